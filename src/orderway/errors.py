"""Every error that Orderway raises, in one tree.

OrderwayError
├── ConfigError              the set-up is wrong: an option, a missing channel, an order type nobody registered
│   ├── SchemaTooNew         the database was written by a newer Orderway
│   └── MissingRights        the database's user may not do this yet; an Unavailable, too
├── UsageError               the caller asked for something that cannot be
│   ├── InvalidValue         an argument is not of its form
│   ├── OrderNotFound        no order has this id
│   ├── OrderExists          the id is taken by another content
│   ├── IllegalTransition    the order's stage does not allow this fact
│   ├── KeyReused            an idempotency key came back with another content
│   ├── RefundExceedsPayment less money is left than was asked back
│   ├── WrongThread          a blocking call on the event loop's thread, or use after a fork
│   └── NestedCall           the App was called inside ``delivery.transaction()``
├── PaymentError             the money side said no, or said nothing
│   ├── Declined             the channel refused
│   ├── InsufficientBalance  the account does not hold enough
│   ├── AmountMismatch       the amount or currency paid is not the one asked
│   ├── BadNotification      a notification could not be verified
│   └── OutcomeUnknown       something was sent and no answer came; ask, never repeat
├── OrderUnreadable          the stored order says something that this version does not know
├── DeliveryFailed           a buffered statement touched another number of rows than expected
└── Unavailable              try again: a part of the system did not answer (nothing was done)
    ├── StaleOrder           the order changed since it was read
    ├── HoldLost             another worker holds the order now
    └── CommitUnknown        the commit may or may not have happened; read, then decide

The axis is: whose fault is it, and was anything sent? ``retryable`` answers whether the same call may be made again
as it stands. ``code`` is stable and has its section in ``docs/errors.md``.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AmountMismatch",
    "BadNotification",
    "CommitUnknown",
    "ConfigError",
    "Declined",
    "DeliveryFailed",
    "HoldLost",
    "IllegalTransition",
    "InsufficientBalance",
    "InvalidValue",
    "KeyReused",
    "MissingRights",
    "NestedCall",
    "OrderExists",
    "OrderNotFound",
    "OrderUnreadable",
    "OrderwayError",
    "OutcomeUnknown",
    "PaymentError",
    "RefundExceedsPayment",
    "SchemaTooNew",
    "StaleOrder",
    "Unavailable",
    "UsageError",
    "WrongThread",
]


class OrderwayError(Exception):
    """The root of all errors of Orderway."""

    code: ClassVar[str] = "orderway"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, order_id: str | None = None) -> None:
        # An error's default message is the first line of its docstring.
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])
        self.order_id = order_id


class ConfigError(OrderwayError):
    """The configuration is wrong."""

    code = "config"


class SchemaTooNew(ConfigError):
    """The database was written by a newer version of Orderway; upgrade the package."""

    code = "schema_too_new"


class UsageError(OrderwayError):
    """The call asks for something that cannot be."""

    code = "usage"


class InvalidValue(UsageError, ValueError):
    """An argument is not of its form."""

    code = "invalid_value"


class OrderNotFound(UsageError):
    """No order has this id."""

    code = "order_not_found"


class OrderExists(UsageError):
    """An order with this id exists and its content is another."""

    code = "order_exists"


class IllegalTransition(UsageError):
    """The order's stage does not allow this."""

    code = "illegal_transition"


class KeyReused(UsageError):
    """This idempotency key was used before with another content."""

    code = "key_reused"


class RefundExceedsPayment(UsageError):
    """Less is left of what was paid than shall go back."""

    code = "refund_exceeds_payment"


class WrongThread(UsageError):
    """The call was made where it would hang: on the event loop's own thread, or after a fork."""

    code = "wrong_thread"


class NestedCall(UsageError):
    """The App was called inside delivery.transaction(), which holds the writer: it would wait for itself."""

    code = "nested_call"


class PaymentError(OrderwayError):
    """The payment could not be made."""

    code = "payment"


class Declined(PaymentError):
    """The channel refused the payment."""

    code = "declined"


class InsufficientBalance(PaymentError):
    """The account does not hold enough."""

    code = "insufficient_balance"


class AmountMismatch(PaymentError):
    """The amount or the currency that was paid is not the one that was asked for."""

    code = "amount_mismatch"


class BadNotification(PaymentError):
    """The notification could not be verified, so nothing in it is believed."""

    code = "bad_notification"


class OutcomeUnknown(PaymentError):
    """A request was sent and no answer came: ask for its outcome, never send it under another key."""

    code = "outcome_unknown"


class OrderUnreadable(OrderwayError):
    """The stored order says something that this version does not know: a newer one wrote it, or somebody changed it."""

    code = "order_unreadable"


class DeliveryFailed(OrderwayError):
    """A statement of the delivery touched another number of rows than expected; nothing was written."""

    code = "delivery_failed"
    retryable = True


class Unavailable(OrderwayError):
    """A part of the system did not answer; nothing was done, and the call may be made again.

    Attributes:
        is_refusal: it did answer, and refuses us: user, password, or what is asked for there is wrong.
    """

    code = "unavailable"
    retryable = True

    def __init__(self, message: str | None = None, *, order_id: str | None = None, is_refusal: bool = False) -> None:
        super().__init__(message, order_id=order_id)
        self.is_refusal = is_refusal


class StaleOrder(Unavailable):
    """The order changed since it was read; read it again."""

    code = "stale_order"


class HoldLost(Unavailable):
    """Another worker holds the order now, and will carry it on."""

    code = "hold_lost"


class CommitUnknown(Unavailable):
    """The commit's answer was lost and could not be looked up; read the order before anything else."""

    code = "commit_unknown"


class MissingRights(ConfigError, Unavailable):
    """The database's user may not do this; nothing was done, and the call may be made again with the right granted."""

    # Both: at start it ends the process, as any wrong set-up does; of a process that is at work nothing is lost, and it
    # goes on by itself once somebody has granted the right, as after an outage.
    code = "missing_rights"

    def __init__(self, message: str | None = None, *, order_id: str | None = None) -> None:
        Unavailable.__init__(self, message, order_id=order_id, is_refusal=True)
