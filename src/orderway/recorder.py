"""Recording facts: stamp them, chain them, write them with the row, and settle races with facts from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from orderway.core import journal
from orderway.core.facts import Created, Ended, Fact, Finished
from orderway.core.journal import Entry, Stamp
from orderway.core.order import Order, Stage
from orderway.errors import HoldLost, OrderExists, StaleOrder
from orderway.logs import tell
from orderway.odd import Deadlines
from orderway.ports.business import Business
from orderway.ports.clock import Clock
from orderway.ports.store import Change, Statement, Store

__all__ = ["FOR_PEOPLE", "HOOK_OF", "MICROSECOND", "WINDING_UP", "Decide", "Recorder"]

MICROSECOND = timedelta(microseconds=1)

Decide = Callable[[Order[Any]], Sequence[Fact]]
"""Which facts follow for an order as it stands; asked again when the order changed in between."""

HOOK_OF: dict[Stage, tuple[str, type[Fact]]] = {
    Stage.DELIVERED: ("finished", Finished),
    Stage.CANCELLING: ("ended", Ended),
    Stage.REJECTING: ("ended", Ended),
    Stage.CLOSING: ("ended", Ended),
    Stage.REFUNDING: ("ended", Ended),
    Stage.FAILING: ("ended", Ended),
}
"""The stages that owe a closing hook: the hook's name, and the fact that marks its success."""

WINDING_UP = frozenset({Stage.CANCELLING, Stage.REJECTING, Stage.CLOSING, Stage.REFUNDING})
"""The stages in which all money goes back before the closing hook is run."""

FOR_PEOPLE = frozenset({Stage.STUCK, Stage.DISPUTED})
"""The stages in which a person is told again and again: see ``Business.alert``."""

_MOST_RACES = 1000
_UNSERVED: Business[Any] = Business()


class Recorder:
    """Writes facts. The only code that calls ``Store.create`` and ``Store.record``.

    Args:
        store: where to.
        businesses: those served here, by order type.
        clock: for the instants.
        entropy: gives so many random bytes.
        lease_us: how long a held order may be left alone before it is looked at again.
    """

    def __init__(
        self,
        store: Store,
        businesses: Mapping[int, Business[Any]],
        clock: Clock,
        entropy: Callable[[int], bytes],
        lease_us: int,
    ) -> None:
        self.store = store
        self.businesses = businesses
        self.clock = clock
        self.entropy = entropy
        self.lease_us = lease_us
        self.cause: Callable[[], str] = str
        """Says what brings about the facts that are stamped now, where the caller does not; by default, nothing."""

    def stamp(self, actor: str = journal.SYSTEM, reason: str = "", cause: str = "") -> Stamp:
        """A stamp for facts that are recorded now."""
        noise = self.entropy(24).hex()
        return Stamp(self.clock.now_us(), noise[:16], noise[16:], actor, reason, cause or self.cause())

    async def create(
        self, order_id: str, fact: Created, stamp: Stamp, holder: int | None, due_at_us: int
    ) -> Order[Any]:
        """Write a new order; returns it, or the one that had been created before with the same content.

        Raises:
            OrderExists: the id stands for another content.
        """
        order, entry = journal.begin(order_id, fact, stamp)
        order.holder = holder
        order.due_at_us = due_at_us
        return await self.store.create(order, entry)

    async def create_new(
        self, order_id: str, fact: Created, stamp: Stamp, holder: int | None, due_at_us: int
    ) -> Order[Any] | None:
        """Write a new order under an id that was drawn; None if another order has it, even one of the same content."""
        order, entry = journal.begin(order_id, fact, stamp)
        order.holder = holder
        order.due_at_us = due_at_us
        try:
            stored = await self.store.create(order, entry)
        except OrderExists:
            return None
        if stored.digest == entry.digest:
            return stored
        # Another one's, or ours that has moved on since, where the answer to its commit came late.
        first, *_ = await self.store.entries(order_id)
        return stored if first.write_id == stamp.write_id else None

    async def record(
        self,
        order: Order[Any],
        decide: Decide,
        *,
        due_in_us: int | None = None,
        statements: Sequence[Statement] = (),
    ) -> Order[Any]:
        """Write what follows an effect: only while this order's holder still holds it.

        A holder that loses a race against a fact from outside, but still holds the order, reads it again and records
        on top of that; it never repeats the effect.

        Args:
            order: as read, held.
            decide: the facts that follow for it.
            due_in_us: let go of the order, to be looked at again in this time; None keeps the hold.
            statements: the user's own, written in the same transaction.

        Raises:
            HoldLost: another worker has the order now.
        """
        for race in range(_MOST_RACES):
            facts = decide(order)
            if race and not all(order.allows(type(fact)) for fact in facts):
                return order  # what came from outside has moved the order on: go on from there
            if not facts:
                return order
            change = self.change(order, facts, due_in_us=due_in_us, statements=statements)
            try:
                await self.store.record(change)
            except StaleOrder:
                order = await self.still_held(order)
            else:
                tell(order, facts)
                return change.order
        raise StaleOrder(f"order {order.id} changed {_MOST_RACES} times in a row while a fact was to be recorded")

    async def still_held(self, order: Order[Any]) -> Order[Any]:
        """The order as it is now, if the same worker still holds it.

        Raises:
            HoldLost: it does not.
        """
        current = await self.store.get(order.id)
        if current.holder is None or current.holder != order.holder:
            raise HoldLost(
                f"order {order.id} was taken over by another worker while this one worked on it", order_id=order.id
            )
        return current

    def change(
        self,
        order: Order[Any],
        facts: Sequence[Fact],
        *,
        due_in_us: int | None = None,
        statements: Sequence[Statement] = (),
    ) -> Change:
        """The change that writes these facts (at least one) for a held order."""
        stamp = self.stamp()
        after, entries = self.chain(order, facts, stamp)
        after.attempts = 0
        after.last_error = last_error(order, facts)
        if after.is_final:
            after.due_at_us, after.holder = self.alert_at_us(after, stamp.at_us), None
        elif due_in_us is None:
            after.due_at_us = stamp.at_us + self.lease_us
        else:
            after.due_at_us, after.holder = stamp.at_us + due_in_us, None
        return Change(after, entries, guard=order.holder, statements=statements)

    async def record_from_outside(self, order_id: str, decide: Decide, stamp: Stamp, due_in_us: int = 0) -> Order[Any]:
        """Write what came from outside (a payment, an operator's action): any holder keeps its hold; due in this time.

        Raises:
            OrderNotFound: there is no such order.
            IllegalTransition: the order does not allow it.
        """
        for _ in range(_MOST_RACES):
            order = await self.store.get(order_id)
            facts = decide(order)
            if not facts:
                return order
            # Not closed here, even where no hook waits: somebody may hold the order, and only he can let go of it.
            after, entries = self.chain(order, facts, stamp, close=False)
            after.attempts = 0
            after.last_error = last_error(order, facts)
            # Also where nothing is left to do: somebody may hold the order, and must let go of it.
            nothing_is_due = (
                after.is_final and order.is_final and order.due_at_us is None and not self._may_be_told(after)
            )
            after.due_at_us = None if nothing_is_due else stamp.at_us + due_in_us
            try:
                await self.store.record(Change(after, entries, keep_holder=True))
            except StaleOrder:
                continue
            tell(order, facts)
            return after
        raise StaleOrder(f"order {order_id} changed {_MOST_RACES} times in a row while a fact was to be recorded")

    def chain(
        self, order: Order[Any], facts: Sequence[Fact], stamp: Stamp, *, close: bool = True
    ) -> tuple[Order[Any], list[Entry]]:
        """The order after these facts, and their entries. Facts with no effect between them are recorded together."""
        after = order.copy()
        entries = [journal.append(after, fact, stamp) for fact in facts]
        owed = HOOK_OF.get(after.stage)
        undone_for_nothing = after.stage is Stage.REFUNDING and not after.amount_minor  # ends as cancelled: wind_up
        is_over = after.stage not in WINDING_UP or (after.is_wound_up and not undone_for_nothing)
        if owed is not None and close and is_over:
            business = self.businesses.get(after.type)
            # Where nobody waits for the closing hook, no commit is spent on it. A type served elsewhere may have one.
            if business is not None and not _waits(business, after.stage, owed[0]):
                entries.append(journal.append(after, owed[1](), stamp))
        return after, entries

    def alert_at_us(self, order: Order[Any], from_us: int) -> int | None:
        """When somebody is to be told again that a person must see to the order; None: nobody is."""
        if order.stage not in FOR_PEOPLE:
            return None
        business = self.business_of(order)
        if business.alert_every is None or not business.overrides("alert"):
            return None
        return from_us + business.alert_every // MICROSECOND

    def _may_be_told(self, order: Order[Any]) -> bool:
        """True if a person is to be told of the order; a type that is served elsewhere may have the hook."""
        business = self.businesses.get(order.type)
        return order.stage in FOR_PEOPLE and (business is None or business.overrides("alert"))

    def deadlines(self, order: Order[Any]) -> Deadlines:
        """Until when what follows now is tried, by the order's type; by the defaults, if it is not served here."""
        business = self.business_of(order)
        now_us = self.clock.now_us()
        return Deadlines(
            deliver_us=self.until_us(order, business, now_us),
            pay_us=now_us + business.pay_within // MICROSECOND,
            refund_us=now_us + business.refund_within // MICROSECOND,
        )

    def until_us(self, order: Order[Any], business: Business[Any], from_us: int) -> int:
        """Until when a step that is begun at an instant is tried.

        What a person resumes after ``finish_within`` is tried like any other step.
        """
        until_us = from_us + business.retry.deadline // MICROSECOND
        if business.finish_within is None:
            return until_us
        whole_us = order.created_at_us + business.finish_within // MICROSECOND
        return min(until_us, whole_us) if from_us < whole_us else until_us

    def business_of(self, order: Order[Any]) -> Business[Any]:
        """The business of an order's type; one with all defaults, if it is not served here."""
        return self.businesses.get(order.type, _UNSERVED)


def _waits(business: Business[Any], stage: Stage, hook: str) -> bool:
    """True if somebody waits for an order to come to this stage."""
    return business.overrides(hook) or (stage is Stage.FAILING and business.overrides("alert"))


def last_error(order: Order[Any], facts: Sequence[Fact]) -> str:
    """What a person should read beside the order's new stage: the facts' own error; a closing hook's mark keeps it."""
    if isinstance(facts[-1], Ended):
        return order.last_error
    for fact in facts:
        if text := getattr(fact, "error", ""):
            return str(text)
    return ""
