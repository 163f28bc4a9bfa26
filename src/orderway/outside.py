"""What comes from outside: payments, results of refunds, disputes. Recorded whatever state the order is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orderway.adapters import Ports
from orderway.core import ids
from orderway.core.facts import Fact
from orderway.core.journal import SYSTEM, Stamp
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.core.payment import GATEWAY
from orderway.errors import InvalidValue, OrderNotFound, OrderUnreadable
from orderway.odd import Payment, payment_facts
from orderway.operations import dispute_facts, is_decided, plan_facts, refund_result_facts
from orderway.orders import check_texts
from orderway.parked import Parked
from orderway.payments import Payments
from orderway.plans import check_known
from orderway.ports.business import Business
from orderway.ports.channel import DisputeNotification, Notification, RefundNotification, Refused, Returned
from orderway.ports.clock import Clock
from orderway.ports.parking import ParkedPayment
from orderway.recorder import Decide, Recorder
from orderway.sweeper import Sweeper

__all__ = ["Outside"]


class Outside:
    """The part of an App that takes in what comes from outside."""

    clock: Clock
    ports: Ports
    businesses: dict[int, Business[Any]]
    recorder: Recorder
    payments: Payments
    parked: Parked
    sweeper: Sweeper
    _hint_soon: Callable[[Order[Any]], None]
    _ready: Callable[[], None]

    async def record_payment(
        self,
        order_id: str,
        amount: Money,
        *,
        reference: str,
        channel: str = GATEWAY,
        uid: str = "",
        key: str = "",
        actor: str = SYSTEM,
        cause: str = "",
    ) -> Order[Any] | None:
        """Record a verified payment, whatever state the order is in; the order goes on by itself.

        Atomic: paid and due in one transaction, durable when this returns. Answer your payment provider then.
        Idempotent: by (channel, reference). A payment that was not asked for so (another amount, an order that has
        ended, a second time under another reference) is kept with the order, and its order type says what follows:
        see ``Business.late_payment``, ``second_payment`` and ``wrong_payment``.

        Args:
            order_id: which order.
            amount: how much came.
            reference: the provider's own number of the payment.
            channel: through which it came.
            uid: the payer, where the provider knows your user; another one's payment is not believed to be meant.
            key: the payment key that it was made under, where you know it.
            actor: who says so.
            cause: what told us, for instance the notification's number.

        Returns:
            The order; None if there is none, or none that this version can read: then the payment is parked, and
            recorded as soon as there is.

        Raises:
            InvalidValue: an empty reference, or an amount that is not above 0.
        """
        self._ready()
        if not reference or amount.amount_minor <= 0:
            raise InvalidValue(f"a payment has a reference and an amount above 0, not {reference!r} and {amount}")
        check_texts(channel=channel, actor=actor, cause=cause)
        payment = Payment(channel, amount, reference, key, uid)
        try:
            return await self._record_payment(order_id, payment, self.recorder.stamp(actor, cause=cause))
        except (OrderNotFound, OrderUnreadable, InvalidValue):
            await self.parked.park(order_id, payment, cause)
            return None

    async def notify(self, channel: str, body: bytes, headers: Mapping[str, str]) -> Order[Any] | None:
        """Take a channel's notification: verify it, then record what it tells of: a payment, a refund, a dispute.

        Returns:
            The order; None if a payment was parked: see ``record_payment``.

        Raises:
            BadNotification: it is not signed by the channel; nothing in it is believed.
            OrderNotFound: a refund or dispute of an unknown order.
            Unavailable: not now; answer the channel so that it tells it again.
        """
        self._ready()
        match self.payments.channel(channel).verify(body, headers):
            case Notification(order_id, key, amount, reference, uid):
                return await self.record_payment(
                    order_id, amount, reference=reference, channel=channel, uid=uid, key=key, actor=channel
                )
            case RefundNotification(order_id, key, outcome):

                def decide(order: Order[Any]) -> Sequence[Fact]:
                    number = next((each.number for each in order.refunds if order.refund_key(each) == key), 0)
                    return refund_result_facts(order, number, outcome)

                return await self._record(order_id, decide, self.recorder.stamp(channel))
            case DisputeNotification() as told:
                return await self.record_dispute(told, actor=channel)

    async def record_refund(
        self, order_id: str, number: int, outcome: Returned | Refused, *, actor: str = SYSTEM, cause: str = ""
    ) -> Order[Any]:
        """Record what became of a refund that you pay out yourself (a payment through your own gateway).

        Atomic. Idempotent: a result that is known changes nothing.

        Args:
            order_id: which order.
            number: the refund's, as in ``order.refunds``.
            outcome: ``Returned(reference)`` or ``Refused(why)``.
            actor: who says so.
            cause: what told us.

        Raises:
            OrderNotFound: there is no such order.
            InvalidValue: it has no such refund.
        """
        self._ready()
        check_texts(actor=actor, cause=cause)
        stamp = self.recorder.stamp(actor, cause=cause)
        return await self._record(order_id, lambda order: refund_result_facts(order, number, outcome), stamp)

    async def record_dispute(self, told: DisputeNotification, *, actor: str = SYSTEM, cause: str = "") -> Order[Any]:
        """Record a dispute of a payment, or what was decided in it; an order that is on its way stops there.

        Atomic. Idempotent.

        Raises:
            OrderNotFound: there is no such order.
            Unavailable: it does not know of this payment yet; answer that it shall be told again.
        """
        self._ready()
        check_texts(actor=actor, cause=cause)
        ids.check_order_id(told.order_id)
        if is_decided(await self.ports.store.entries(told.order_id), told.reference):
            return self._adopt(await self.ports.store.get(told.order_id))
        stamp = self.recorder.stamp(actor, cause=cause)
        return await self._record(told.order_id, lambda order: dispute_facts(order, told), stamp)

    async def change_payment(self, order_id: str, pay: str, *, actor: str = SYSTEM) -> Order[Any]:
        """Have what is not paid yet of an order paid through another channel, as its payer wishes.

        The payment that was asked for before is closed at its channel; if it is made all the same, it pays the order
        if it comes first, and goes back if it comes second. What is held stays held. ``forward`` asks the new channel.

        Raises:
            IllegalTransition: the order does not wait for its payment.
            ConfigError: no channel of that name.
        """
        self._ready()
        check_known(pay, self.payments.channels)
        check_texts(actor=actor)
        return await self._record(order_id, lambda order: plan_facts(order, pay), self.recorder.stamp(actor))

    async def parked_payments(
        self, *, after: tuple[str, str] | None = None, limit: int = 50
    ) -> Sequence[ParkedPayment]:
        """Verified payments whose order is not known, by (channel, reference)."""
        self._ready()
        return await self.ports.parking.list(after, limit)

    # ---- inside ---------------------------------------------------------------------------------------------------

    async def _record_payment(self, order_id: str, payment: Payment, stamp: Stamp) -> Order[Any]:
        def decide(order: Order[Any]) -> Sequence[Fact]:
            business, until = self.recorder.business_of(order), self.recorder.deadlines(order)
            return payment_facts(order, payment, business, until)

        return await self._record(order_id, decide, stamp)

    async def _record_parked(self, order_id: str, payment: Payment, cause: str) -> Order[Any]:
        return await self._record_payment(order_id, payment, self.recorder.stamp(cause=cause))

    async def _record(self, order_id: str, decide: Decide, stamp: Stamp, due_in_us: int = 0) -> Order[Any]:
        """Record what came from outside, and have the order looked at soon."""
        ids.check_order_id(order_id)
        order = await self.recorder.record_from_outside(order_id, decide, stamp, due_in_us)
        self.sweeper.wake()
        self._hint_soon(order)
        return self._adopt(order)

    def _adopt(self, order: Order[Any]) -> Order[Any]:
        business = self.businesses.get(order.type)
        if business is not None:
            order._decode = business.decode
        return order
