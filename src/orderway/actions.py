"""The operator's hand: what a person may do to an order. Each action wants an actor and a reason, for the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orderway.core import ids
from orderway.core.facts import Fact
from orderway.core.journal import compact_json
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.core.payment import GATEWAY
from orderway.core.refunds import Allocation
from orderway.errors import AmountMismatch, InvalidValue, OrderUnreadable, OrderwayError, UsageError
from orderway.odd import Payment
from orderway.operations import (
    accept_facts,
    amend_facts,
    cancel_facts,
    hold_facts,
    refund_facts,
    resume_facts,
    retry_facts,
    skip_facts,
)
from orderway.orders import business_of, check_texts
from orderway.outside import Outside
from orderway.ports.channel import Captured
from orderway.ports.parking import ParkedPayment
from orderway.ports.store import Query

__all__ = ["Actions", "Done"]

Act = Callable[[str], Awaitable[Order[Any]]]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one order of a bulk action.

    Args:
        order: before the action.
        after: after it; None for a dry run, and where it was refused.
        error: why it was refused; None if it was not.
    """

    order: Order[Any]
    after: Order[Any] | None
    error: OrderwayError | None


class Actions(Outside):
    """The part of an App that operators use.

    Every action is atomic, and idempotent: asking again for what was done changes nothing. It is allowed only where
    ``TRANSITIONS`` allows it, and refused with what is allowed. The order then goes on by itself.

    Every action raises ``OrderNotFound`` if there is no such order, ``UsageError`` without actor or reason, and
    ``IllegalTransition`` where the order does not allow it.
    """

    async def cancel(self, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """Cancel an order: what is open is closed, what is held or paid goes back, goods are taken back first.

        An order that was delivered can be cancelled if its business has a ``take_back`` hook.

        Raises:
            UsageError: it was delivered, and cannot be taken back.
            ConfigError: it was delivered, and its type is not registered here.
        """

        def decide(order: Order[Any]) -> Sequence[Fact]:
            return cancel_facts(order, self.businesses.get(order.type), reason, self.recorder.deadlines(order))

        return await self._act(order_id, decide, actor, reason)

    async def refund(
        self,
        order_id: str,
        amount: Money | None = None,
        *,
        key: str,
        actor: str,
        reason: str,
        leg: int | None = None,
        by: Allocation | None = None,
    ) -> Order[Any]:
        """Give money back, and leave the goods where they are. Reserved when this returns, then sent.

        All of the price before the goods are delivered undoes the order: they are not delivered any more.

        Args:
            order_id: which order.
            amount: how much of the price; None for all that is left.
            key: your own key of this request, at most 64 characters: asking again under it gives nothing twice.
            actor: who.
            reason: why.
            leg: only from this leg, in its own currency; the way to give back money that was unexpected.
            by: how it is spread over several legs; the order type's ``refund_by`` if it is not given.

        Raises:
            RefundExceedsPayment: less is left.
            KeyReused: the key stands for another refund.
        """
        if not 1 <= len(key) <= 64:
            raise InvalidValue(f"key {key[:70]!r}: 1 to 64 characters are allowed")
        check_texts(key=key)

        def decide(order: Order[Any]) -> Sequence[Fact]:
            spread = by or self.recorder.business_of(order).refund_by
            return refund_facts(order, amount, key, spread, leg, self.recorder.deadlines(order))

        return await self._act(order_id, decide, actor, reason)

    async def resume(self, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """Send a stuck order on from where it had stopped, and its stuck refunds."""
        return await self._act(
            order_id, lambda order: resume_facts(order, self.recorder.deadlines(order)), actor, reason
        )

    async def retry_now(self, order_id: str, *, actor: str, reason: str, delay_s: float = 0) -> Order[Any]:
        """Have an order tried again now that its cause is mended: one that is stuck is resumed, one that waits is due.

        What waits for its next try, after a failure or for a channel, is only looked at sooner: no fact is recorded.

        Args:
            order_id: which order.
            actor: who.
            reason: why.
            delay_s: how long until it is tried; spreads the load of many, which would else all be tried at once.

        Raises:
            InvalidValue: the delay is negative.
        """
        self._check_said(actor, reason)
        ids.check_order_id(order_id)
        if delay_s < 0:
            raise InvalidValue(f"delay_s={delay_s}: 0 or more is allowed")
        due_in_us = round(delay_s * 1_000_000)
        order = await self._record(order_id, self._retry_facts, self.recorder.stamp(actor, reason), due_in_us)
        if order.due_at_us is not None and order.due_at_us > self.clock.now_us() + due_in_us:
            await self.ports.store.hint(order_id, self.clock.now_us() + due_in_us)
            order = self._adopt(await self.ports.store.get(order_id))
        return order

    async def hold(self, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """Stop an order that is on its way, until it is resumed."""
        return await self._act(order_id, lambda order: hold_facts(order, reason), actor, reason)

    async def amend(self, order_id: str, data: Any, *, actor: str, reason: str) -> Order[Any]:
        """Correct an order's business data; what it was and what it is are both in the journal.

        Args:
            order_id: which order.
            data: all of it, as its business wants it.
            actor: who.
            reason: why.

        Raises:
            InvalidValue: its business does not take it.
        """

        def decide(order: Order[Any]) -> Sequence[Fact]:
            return amend_facts(order, business_of(order.type, self.businesses).encode(data))

        return await self._act(order_id, decide, actor, reason)

    async def skip(self, order_id: str, step: str, *, actor: str, reason: str, result: Any = None) -> Order[Any]:
        """Leave a step of a delivery out, as if it were done with this result."""
        check_texts(step=step)
        text = compact_json(result)
        return await self._act(order_id, lambda order: skip_facts(order, step, text), actor, reason)

    async def accept(self, order_id: str, leg: int, *, actor: str, reason: str) -> Order[Any]:
        """Say that unexpected money of this leg needs nothing more: it is kept, and nobody is asked again."""
        return await self._act(order_id, lambda order: accept_facts(order, leg), actor, reason)

    async def confirm_payment(
        self,
        order_id: str,
        amount: Money,
        *,
        reference: str,
        actor: str,
        reason: str,
        channel: str = GATEWAY,
    ) -> Order[Any]:
        """Record a payment on a person's word; its channel is asked first, where it can be.

        Args:
            order_id: which order.
            amount: how much came.
            reference: the channel's own number of the payment.
            actor: who.
            reason: why: what was seen, and where.
            channel: through which it came.

        Raises:
            AmountMismatch: the channel knows of another amount or number.
            OutcomeUnknown: the channel did not answer; ask again.
            UsageError: the channel says that it was not paid.
        """
        self._check_said(actor, reason)
        if not reference.strip() or amount.amount_minor <= 0:
            raise InvalidValue(f"a payment has a reference and an amount above 0, not {reference!r} and {amount}")
        ids.check_order_id(order_id)
        order = await self.ports.store.get(order_id)
        payment = Payment(channel, amount, reference)
        if channel != GATEWAY:
            payment = await self._confirmed(order, payment)
        return await self._record_payment(order_id, payment, self.recorder.stamp(actor, reason))

    async def match_parked(self, channel: str, reference: str, order_id: str, *, actor: str, reason: str) -> Order[Any]:
        """Record a parked payment with an order of a person's choice.

        Raises:
            InvalidValue: no such payment is parked.
        """
        self._check_said(actor, reason)
        ids.check_order_id(order_id)
        parked = await self._find_parked(channel, reference)
        if parked is None:
            raise InvalidValue(f"no payment {reference!r} of {channel} is parked: see parked_payments")
        stamp = self.recorder.stamp(actor, reason, cause=parked.cause)
        # Neither its key nor its payer counts: that it belongs to this order is what the operator says.
        payment = Payment(parked.channel, parked.amount, parked.reference)
        order = await self._record_payment(order_id, payment, stamp)
        await self.ports.parking.release(channel, reference)
        return order

    async def each(self, query: Query, act: Act, *, dry_run: bool = True) -> AsyncIterator[Done]:
        """Do something to all orders that satisfy a query, one after the other; each has a result of its own.

        Those that cannot be read keep nobody from the others.

        >>> act = lambda order_id: app.resume(order_id, actor="eve", reason="outage over")  # doctest: +SKIP
        >>> async for done in app.each(Query(stages=(Stage.STUCK,)), act, dry_run=False): ...  # doctest: +SKIP

        Args:
            query: which orders; its ``limit`` is the size of a page.
            act: what is done, given an order id.
            dry_run: only list the orders.

        Raises:
            OrderUnreadable: after all others: at least one order could not be read.
        """
        self._ready()
        page_of = query
        unreadable: list[OrderUnreadable] = []
        while True:
            page = await self.ports.store.list(page_of)
            unreadable += page.unreadable
            for order in page.orders:
                yield await self._done(order, act, dry_run=dry_run)
            if page.next is None:
                break
            page_of = query.following(page.next)
        if unreadable:
            raise unreadable[0]

    # ---- inside ---------------------------------------------------------------------------------------------------

    async def _find_parked(self, channel: str, reference: str) -> ParkedPayment | None:
        after: tuple[str, str] | None = None
        while page := await self.ports.parking.list(after, 1000):
            for parked in page:
                if (parked.channel, parked.reference) == (channel, reference):
                    return parked
            after = (page[-1].channel, page[-1].reference)
        return None

    async def _done(self, order: Order[Any], act: Act, *, dry_run: bool) -> Done:
        if dry_run:
            return Done(order, None, None)
        try:
            return Done(order, await act(order.id), None)
        except OrderwayError as error:
            return Done(order, None, error)

    def _retry_facts(self, order: Order[Any]) -> Sequence[Fact]:
        return retry_facts(order, self.recorder.deadlines(order))

    async def _act(
        self, order_id: str, decide: Callable[[Order[Any]], Sequence[Fact]], actor: str, reason: str
    ) -> Order[Any]:
        self._check_said(actor, reason)
        return await self._record(order_id, decide, self.recorder.stamp(actor, reason))

    async def _confirmed(self, order: Order[Any], payment: Payment) -> Payment:
        """The payment as its channel knows it."""
        legs = [leg for leg in order.legs if leg.channel == payment.channel]
        channel = self.payments.channel(payment.channel)
        if not legs:
            raise UsageError(
                f"order {order.id} was never to be paid through {payment.channel}, which therefore cannot be asked: "
                "record the payment as of your own gateway, with channel='gateway'",
                order_id=order.id,
            )
        outcome = await channel.query(self.payments.charge_of(order, legs[0]))
        if not isinstance(outcome, Captured):
            raise UsageError(
                f"{payment.channel} says of order {order.id}: {type(outcome).__name__}; it was not paid there",
                order_id=order.id,
            )
        if (outcome.amount, outcome.reference) != (payment.amount, payment.reference):
            raise AmountMismatch(
                f"{payment.channel} knows of {outcome.amount} as {outcome.reference!r} for order {order.id}, "
                f"not of {payment.amount} as {payment.reference!r}",
                order_id=order.id,
            )
        return Payment(payment.channel, payment.amount, payment.reference, order.payment_key(legs[0]))

    def _check_said(self, actor: str, reason: str) -> None:
        self._ready()
        if not actor.strip() or not reason.strip():
            raise UsageError("an operator's action needs an actor and a reason: who you are, and why, is journaled")
        check_texts(actor=actor, reason=reason)
