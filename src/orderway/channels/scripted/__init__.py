"""The scripted channel: a payment channel that does what it is told, for your tests and for the demo.

Its payers pay at once, later, twice, never, a wrong amount, or after the payment was closed; they refuse, and dispute;
it times out before or after it took the money. Refunds go back at once, later or never. Its notifications are signed
as a real channel's are, and can be lost, doubled, late or forged::

    channel = ScriptedChannel(clock, {1999: NeverPays(), 2500: PaysLater(notices=DOUBLED)})

Like a real channel it outlives the shop: with ``path`` it keeps what it took in an SQLite file of its own, which
several processes may use at once. ``orderway.channels.scripted_http`` serves it to programs of other kinds.
"""

from orderway.channels.behaviours import (
    DOUBLED,
    LOST,
    ONCE,
    Behaviour,
    Disputes,
    HasOnly,
    NeverPays,
    Notice,
    PaysAfterClose,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    PaysWrongCurrency,
    RefundBehaviour,
    RefundRefusedLater,
    RefundsAtOnce,
    RefundScript,
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefundUnreachable,
    Refuses,
    RefusesRefund,
    Script,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.channels.scripted.channel import ScriptedChannel
from orderway.channels.scripted.notifications import SIGNATURE_HEADER
from orderway.channels.scripted.payments import Held, Taken
from orderway.channels.scripted.refunds import GivenBack

__all__ = [
    "DOUBLED",
    "LOST",
    "ONCE",
    "SIGNATURE_HEADER",
    "Behaviour",
    "Disputes",
    "GivenBack",
    "HasOnly",
    "Held",
    "NeverPays",
    "Notice",
    "PaysAfterClose",
    "PaysAtOnce",
    "PaysLater",
    "PaysTwice",
    "PaysWrongAmount",
    "PaysWrongCurrency",
    "RefundBehaviour",
    "RefundRefusedLater",
    "RefundScript",
    "RefundTimesOutAfter",
    "RefundTimesOutBefore",
    "RefundUnreachable",
    "RefundsAtOnce",
    "RefundsLater",
    "Refuses",
    "RefusesRefund",
    "Script",
    "ScriptedChannel",
    "Taken",
    "TimesOutAfter",
    "TimesOutBefore",
    "Unreachable",
]
