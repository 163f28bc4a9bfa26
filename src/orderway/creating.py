"""Creating orders, and the ids that they get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orderway.core import ids
from orderway.core.hints import Hint
from orderway.core.journal import SYSTEM
from orderway.core.money import Money
from orderway.core.order import Order
from orderway.core.payment import GATEWAY
from orderway.errors import InvalidValue
from orderway.hinting import Hinting
from orderway.holds import Holds
from orderway.membership import Membership
from orderway.numbering import Numbering
from orderway.orders import business_of, check_id, check_texts, check_uid, created_fact
from orderway.outside import Outside
from orderway.plans import Pay, plan_legs
from orderway.ports.channel import Channel
from orderway.ports.observer import observed

__all__ = ["Creating"]


class Creating(Outside):
    """The part of an App that creates orders."""

    channels: dict[str, Channel]
    hinting: Hinting | None
    holds: Holds
    lease_us: int
    membership: Membership
    numbering: Numbering

    def new_order_id(self, order_type: int, uid: str) -> str:
        """A new order id for this user, made without asking anything. The type is not part of it."""
        check_uid(uid)
        business_of(order_type, self.businesses)
        return self.numbering.by_time(uid, self.clock.now_us())

    def order_id_from(self, order_type: int, uid: str, own_number: str) -> str:
        """The order id that stands for a number of your own or of a third party: always the same one.

        Give ``own_number`` to ``create`` as well: it is stored and compared.
        """
        check_uid(uid)
        return ids.id_from_own_number(order_type, uid, own_number)

    async def next_order_id(self, order_type: int, uid: str) -> str:
        """An order id by sequence, as the original makes them; it tells how many orders there are.

        Raises:
            Unavailable: the sequence does not answer. ``create`` of an App with ``ids="sequence"`` goes on by time.
        """
        self._ready()
        check_uid(uid)
        business_of(order_type, self.businesses)
        return await self.numbering.by_sequence(order_type, uid)

    @observed
    async def create(
        self,
        order_type: int,
        uid: str,
        *,
        amount: Money | None = None,
        pay: str | Pay | Sequence[str | Pay] | None = None,
        data: Any = None,
        remark: str = "",
        order_id: str | None = None,
        own_number: str = "",
        actor: str = "system",
    ) -> Order[Any]:
        """Create an order. It will be carried on whatever happens to this process; ``forward`` does so at once.

        Atomic. Idempotent: the same id (or ``own_number``) with the same content returns the stored order.

        Args:
            order_type: of a registered business.
            uid: the user, 1 to 128 characters.
            amount: the price; None or 0 where there is nothing to pay.
            pay: the channel that it is paid through: ``wallet``, the name of another channel, or ``gateway`` for
                your own gateway, whose payments you tell by ``record_payment``. A list of channels and ``Pay`` parts
                for a mixed payment, in the order of their priority: all or nothing.
            data: the business's own data, as its type wants it.
            remark: a text for people, at most 1,024 characters.
            order_id: from ``new_order_id``; made here if it is not given.
            own_number: your own or a third party's number, from which the id is made.
            actor: who creates it, for the journal.

        Raises:
            InvalidValue: an argument is not of its form.
            ConfigError: the type is not registered, or there is no such channel.
            OrderExists: the id stands for another content.
        """
        self._ready()
        check_uid(uid)
        business = business_of(order_type, self.businesses)
        legs = plan_legs(amount, pay, self.channels)
        if actor != SYSTEM:
            check_texts(actor=actor)
        stamp = self.recorder.stamp(actor)
        given = self._given_id(order_type, uid, order_id, own_number, stamp.at_us)
        fact = created_fact(business, uid, amount, legs, data, remark, own_number, stamp.at_us)
        # An order that waits for its payer is free; one that its creator can carry on at once is held by the insert.
        waits = len(legs) == 1 and legs[0].channel == GATEWAY
        holder = None if waits or not self.holds.swept else self.membership.incarnation
        due_at_us = fact.deadline_at_us if waits else stamp.at_us + self.lease_us
        written = (fact, stamp, holder, due_at_us)
        if given is None:
            order = await self.numbering.create(order_type, uid, lambda made: self.recorder.create_new(made, *written))
        else:
            order = await self.recorder.create(given, *written)
        if holder is not None and order.version == 1 and order.holder == holder and order.updated_at_us == stamp.at_us:
            self.holds.grant(order.id)
        order._decode = business.decode
        if self.hinting is not None and not waits:
            self.hinting.send_soon(Hint(order.id, uid))
        return order

    def _given_id(self, order_type: int, uid: str, order_id: str | None, own_number: str, now_us: int) -> str | None:
        """The id that a new order gets; None if it is drawn from the sequence, perhaps several times.

        Raises:
            InvalidValue: the id was not made for this user, or for this number.
        """
        if own_number:
            made = ids.id_from_own_number(order_type, uid, own_number)
            if order_id not in {None, made}:
                raise InvalidValue(f"order_id {order_id} and own_number {own_number!r} do not belong together")
            return made
        if order_id is not None:
            check_id(order_id, uid)
            return order_id
        return None if self.numbering.draws else self.numbering.by_time(uid, now_us)
