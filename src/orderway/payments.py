"""Payments: asking the channels, and what an answer means for an order. The money fact is always kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from orderway.core.facts import Fact, Paid, PaymentPending, Stuck, UnexpectedPayment
from orderway.core.journal import Entry, compact_json, fact_of
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import Leg, LegState
from orderway.core.text import fitting_reference, storable
from orderway.errors import ConfigError, Declined, InvalidValue, Unavailable
from orderway.orders import DATA_CHARACTERS, check_text
from orderway.ports.channel import Channel, Charge, NotFound, Outcome, Refused

__all__ = ["Payments", "details_text", "open_leg", "payer_details", "payment_facts"]

logger = logging.getLogger("orderway")


def open_leg(order: Order[Any], channel: str | None = None) -> Leg | None:
    """The first leg that may still be paid (through this channel), or None."""
    return next((leg for leg in order.legs if leg.is_open and channel in {None, leg.channel}), None)


def payment_facts(
    order: Order[Any], channel: str, amount: Money, reference: str, deadline_at_us: int
) -> tuple[Fact, ...]:
    """The facts that a verified payment leads to, whatever state the order is in; none if it is known already.

    Args:
        order: as it stands.
        channel: through which it came.
        amount: how much came.
        reference: the channel's own number of the payment; tells a repeated notification from a second payment.
        deadline_at_us: until when delivering is tried, from now on.
    """
    reference = fitting_reference(reference)
    payment = (channel, reference, amount.amount_minor, amount.currency)
    known = [leg for leg in order.legs if (leg.channel, leg.reference, leg.captured_minor, leg.currency) == payment]
    if known and not (known[0].state is LegState.UNEXPECTED and order.stage is Stage.CREATED):
        return ()
    leg = open_leg(order, channel)
    awaited = order.stage is Stage.CREATED or order.resume_stage is Stage.CREATED
    if leg is not None and awaited and Money(leg.amount_minor, leg.currency) == amount:
        return (
            Paid(
                leg=leg.number,
                amount_minor=amount.amount_minor,
                reference=reference,
                deadline_at_us=deadline_at_us,
            ),
        )
    kept = UnexpectedPayment(
        channel=channel, amount_minor=amount.amount_minor, currency=amount.currency, reference=reference
    )
    if order.stage is not Stage.CREATED:
        return (kept,)
    asked = "nothing" if leg is None else str(Money(leg.amount_minor, leg.currency))
    stuck = Stuck(why="unexpected_payment", error=f"{amount} came through {channel}, where {asked} was asked for")
    return (stuck,) if known else (kept, stuck)


def details_text(details: Any) -> str | None:
    """What a channel gave for the payer, as JSON text for the journal; None for nothing.

    Raises:
        InvalidValue: it is no JSON, or too long to be kept.
    """
    if details is None:
        return None
    try:
        text = compact_json(details)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"a channel's details for the payer must be JSON, and these are not: {error}") from error
    check_text("a channel's details for the payer", text, DATA_CHARACTERS)
    return text


def payer_details(order: Order[Any], entries: Sequence[Entry]) -> Any | None:
    """What the payer of an order needs, as its channel gave it last; None if it gave nothing, or needs no payer now.

    An order that is stuck needs none: somebody who has paid wrongly must not be asked for the whole price again.

    Args:
        order: as it stands.
        entries: its journal.
    """
    leg = open_leg(order)
    if leg is None or order.stage is not Stage.CREATED:
        return None
    for entry in reversed(entries):
        if entry.fact == PaymentPending.__name__:
            match fact_of(entry):
                case PaymentPending(leg=leg.number, details=str(text)):
                    return json.loads(text)
    return None


class Payments:
    """Asks the channels. The same payment is always asked for under the same key.

    Args:
        channels: by name.
    """

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self.channels = channels

    async def ask(self, order: Order[Any], leg: Leg, *, late: bool) -> Outcome | None:
        """Ask a leg's channel for its money, or what became of it; None where the outcome is unknown.

        Args:
            order: whose payment it is.
            leg: still open.
            late: the deadline is past: have it closed there, unless it was paid.
        """
        channel = self.channel(leg.channel)
        charge = Charge(order.payment_key(leg), order.id, order.uid, Money(leg.amount_minor, leg.currency))
        if late:
            return await channel.close(charge)
        if leg.state is not LegState.PLANNED:
            outcome = await channel.query(charge)
            if not isinstance(outcome, NotFound):
                return outcome  # otherwise nothing was taken, and the same key may be charged
        try:
            return await channel.charge(charge)
        except Declined as error:
            return Refused(storable(str(error)))
        except Unavailable:
            raise  # nothing was sent
        except Exception as error:  # noqa: BLE001 - the money may have been taken: from now on ask, never repeat
            logger.warning("order %s: no answer from %s: %s", order.id, channel.name, type(error).__name__)
            return None

    def channel(self, name: str) -> Channel:
        """The channel of this name.

        Raises:
            ConfigError: this App has none.
        """
        try:
            return self.channels[name]
        except KeyError:
            known = ", ".join(sorted(self.channels)) or "none"
            raise ConfigError(
                f"no channel is called {name!r}; this App has: {known}. Give it to App(channels=...)"
            ) from None
