"""A business: the hooks that the user writes for one order type."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast, get_args, get_origin

from orderway.core.journal import compact_json
from orderway.core.order import Order
from orderway.core.refunds import Allocation
from orderway.errors import ConfigError, InvalidValue

__all__ = ["Business", "Cancel", "Hold", "Retry", "RetryIn", "Verdict"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Verdict: the order shall not be carried out."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Verdict: not now; ask again after this delay. No failure: it may be returned for ever, past any deadline."""

    delay: timedelta
    reason: str = ""

    def __post_init__(self) -> None:
        if self.delay <= timedelta(0):
            raise InvalidValue(f"RetryIn({self.delay}): the delay must be longer than 0")


@dataclass(frozen=True, slots=True)
class Hold:
    """Verdict: a person must decide; the order is stuck until it is resumed."""

    reason: str


Verdict = Cancel | RetryIn | Hold | None


@dataclass(frozen=True, slots=True)
class Retry:
    """How a failed step is tried again.

    Args:
        first: the delay after the first failure.
        factor: each further delay is this many times longer, at least 1.
        cap: the longest delay.
        jitter: each delay is shortened at random by up to this part of itself, 0 to 1.
        deadline: how long delivering is tried, from when the order was paid; past it the order is stuck.
        most_attempts: after so many failures in a row an order is stuck before its deadline, too; None for no bound.
    """

    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    cap: timedelta = timedelta(minutes=5)
    jitter: float = 0.2
    deadline: timedelta = timedelta(days=1)
    most_attempts: int | None = None

    def __post_init__(self) -> None:
        if self.first <= timedelta(0) or self.cap < self.first or self.deadline <= timedelta(0):
            raise ConfigError(f"{self}: first and deadline must be positive, and cap no shorter than first")
        if self.factor < 1 or not 0 <= self.jitter <= 1:
            raise ConfigError(f"{self}: factor must be at least 1 and jitter between 0 and 1")
        if self.most_attempts is not None and self.most_attempts < 1:
            raise ConfigError(f"{self}: most_attempts must be at least 1, or None")

    def delay_us(self, attempts: int, random: float) -> int:
        """The delay after this many failures (at least 1), in microseconds; ``random`` is in [0, 1)."""
        longest = self.cap / self.first  # compared as a ratio first: factor ** attempts may not fit a timedelta
        times = min(self.factor ** min(attempts - 1, 64), longest)
        return int(self.first / timedelta(microseconds=1) * times * (1 - self.jitter * random))


class Business(Generic[T]):
    """The hooks of one order type. ``Business[Data]`` names the type of its data: dict, a dataclass, a pydantic model.

    Hooks may be ``async def``, or plain ``def`` (run in a thread). They steer by what they return; what they raise is
    retried with back-off until the deadline, then the order is stuck. A hook may run more than once: ``deliver``
    takes effect exactly once if it uses one of the three ways of its ``delivery``.
    """

    order_type: ClassVar[int]
    """The number that keeps this business's orders apart from others', 0 to 65,535."""

    retry: ClassVar[Retry] = Retry()
    """How failed steps are tried again."""

    pay_within: ClassVar[timedelta] = timedelta(hours=2)
    """How long an order waits to be paid; past it the order is closed (or rejected, where a balance was short)."""

    finish_within: ClassVar[timedelta | None] = None
    """How long after its creation a paid order may still be tried; past it, it is stuck however often it may be tried.
    Also where ``can_forward`` returns ``RetryIn``. None: only ``retry.deadline`` counts, from step to step."""

    alert_every: ClassVar[timedelta | None] = timedelta(hours=1)
    """How often ``alert`` is called again while an order stays stuck or disputed; None: only once."""

    when_short: ClassVar[Literal["reject", "wait"]] = "reject"
    """When a balance does not suffice: final, or wait for a top-up until ``pay_within`` is over."""

    query_every: ClassVar[timedelta] = timedelta(seconds=30)
    """How often a channel is asked about a payment that it waits for."""

    late_payment: ClassVar[Literal["revive", "give_back", "ask"]] = "give_back"
    """When an order that ended unpaid is paid after all: carried out if still possible, money back, or a person."""

    second_payment: ClassVar[Literal["give_back", "ask"]] = "give_back"
    """When an order that is paid is paid again."""

    wrong_payment: ClassVar[Literal["give_back", "ask"]] = "ask"
    """When another amount or currency comes, or somebody else's payment: money back and wait on, or a person."""

    refund_by: ClassVar[Allocation] = "reverse"
    """How a refund is spread over several payments: the last one first, or each in ``ratio`` to what it still has."""

    refund_within: ClassVar[timedelta] = timedelta(days=7)
    """How long a refund is tried; past it the refund is stuck, in front of a person."""

    transaction_limit: ClassVar[timedelta] = timedelta(seconds=5)
    """How long ``delivery.transaction()`` may take."""

    def can_forward(self, order: Order[T]) -> Awaitable[Verdict] | Verdict:
        """Asked before an order is charged, and before it is delivered: None to go on, or a verdict."""
        return None

    def deliver(self, order: Order[T], delivery: Any) -> Awaitable[None] | None:
        """Hand the goods over. See ``orderway.Delivery`` for the ways to do so exactly once."""
        raise NotImplementedError(f"{type(self).__name__}.deliver")

    def take_back(self, order: Order[T], delivery: Any) -> Awaitable[None] | None:
        """Undo a delivery: the order was cancelled after it was paid. Has the same ways to do so exactly once.

        It is also asked where delivering was begun and never recorded as done: take back what there is.
        """
        return None

    def finished(self, order: Order[T]) -> Awaitable[None] | None:
        """The order is delivered. Runs at least once; marked when it succeeded."""
        return None

    def ended(self, order: Order[T]) -> Awaitable[None] | None:
        """The order was cancelled, rejected, closed, refunded or is stuck: see its status. Runs at least once."""
        return None

    def alert(self, order: Order[T]) -> Awaitable[None] | None:
        """A person must see to the order: it is stuck or disputed; see its ``why``. Called again by ``alert_every``.

        Runs at least once each time, in one process; what it raises is logged, and moves nothing.
        """
        return None

    def overrides(self, hook: str) -> bool:
        """True if this business has a hook of its own under this name."""
        return getattr(type(self), hook) is not getattr(Business, hook)

    @classmethod
    @functools.cache
    def data_type(cls) -> Any:
        """The ``Data`` of ``Business[Data]``; dict where it is one of any kind, or none was named."""
        for base in cls.__mro__:
            for generic in base.__dict__.get("__orig_bases__", ()):
                if get_origin(generic) is Business and not isinstance(get_args(generic)[0], TypeVar):
                    kind = get_args(generic)[0]
                    return dict if get_origin(kind) is dict else kind
        return dict

    @classmethod
    def decode(cls, text: str) -> T:
        """The business data from its stored JSON text."""
        data = json.loads(text)
        kind = cls.data_type()
        if hasattr(kind, "model_validate"):
            return cast(T, kind.model_validate(data))
        if dataclasses.is_dataclass(kind):
            return cast(type[T], kind)(**data)
        return cast(T, data)

    @classmethod
    def encode(cls, data: T | dict[str, Any] | None) -> str:
        """The business data as JSON text, checked against the business's type.

        Raises:
            InvalidValue: it is not of the type, or cannot be written as JSON.
        """
        kind = cls.data_type()
        if data is None or data == {}:
            if kind is dict:
                return "{}"
            data = {}
        try:
            if type(data) is dict and kind is not dict:
                data = cls.decode(compact_json(data))
            text = compact_json(_plain(data))
            if not text.isascii():
                text.encode()  # a lone surrogate is no character, and no database keeps it
        except (TypeError, ValueError) as error:
            raise InvalidValue(
                f"data of order type {cls.order_type} is not as {cls.__name__} wants it: {error}"
            ) from error
        return text


def _plain(data: Any) -> Any:
    """A model or a dataclass as what JSON knows; anything else as it is."""
    if hasattr(data, "model_dump"):
        return data.model_dump(mode="json")
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return dataclasses.asdict(data)
    return data
