"""Rules: orders are made, in every way to pay; some of them after they were paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from orderway.channels.scripted import (
    DOUBLED,
    LOST,
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
    Refuses,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.money import Money
from orderway.core.payment import GATEWAY, LegState
from orderway.errors import OrderExists
from orderway.plans import Pay
from orderway.testing.machine.base import MOSTLY, ORDER_TYPES, PRICES, UIDS, WHO, Machine, counted, leg_of
from orderway.testing.machine.world import CURRENCY, POINTS

__all__ = ["Creating"]

BEHAVIOURS = st.sampled_from(
    [
        PaysAtOnce(),
        PaysAtOnce(),
        PaysAtOnce(),
        PaysAtOnce(DOUBLED),
        PaysLater(timedelta(seconds=5)),
        PaysLater(timedelta(seconds=40), DOUBLED),
        PaysLater(timedelta(seconds=20), LOST),
        PaysLater(timedelta(seconds=2), (Notice(forged="signature"), Notice(timedelta(seconds=3), forged="amount"))),
        PaysLater(timedelta(seconds=9), (Notice(timedelta(minutes=15)),)),
        PaysLater(timedelta(seconds=3), uid="mallory"),
        PaysTwice(timedelta(seconds=3), timedelta(seconds=30)),
        PaysAfterClose(timedelta(seconds=1)),
        PaysAfterClose(timedelta(minutes=5), DOUBLED),
        PaysWrongAmount(off_by=1),
        PaysWrongCurrency("USD"),
        HasOnly(200),
        Disputes(),
        Disputes(timedelta(seconds=20), "lost", timedelta(seconds=30), amount_minor=100),
        Disputes(timedelta(seconds=20), "won", pays=PaysLater(timedelta(seconds=5))),
        NeverPays(),
        TimesOutAfter(),
        (TimesOutBefore(), PaysLater(timedelta(seconds=1))),
        (Unreachable(), TimesOutBefore(), PaysAtOnce()),
        Refuses(),
    ]
)

SMALL_PART, LARGE_PRICE = 90, Money(990, CURRENCY)
IN_POINTS = Pay("points", Money(70, POINTS), worth=Money(SMALL_PART, CURRENCY))
IN_WALLET = Pay("wallet", Money(SMALL_PART, CURRENCY))
ON_CARD = Pay("card", Money(SMALL_PART, CURRENCY))
PLANS = st.sampled_from(
    [
        [IN_POINTS, IN_WALLET, Pay("scripted")],
        [IN_POINTS, Pay("wallet"), Pay("scripted")],
        [Pay("wallet"), Pay("scripted")],
        [Pay("wallet"), Pay("card")],
        [Pay("wallet"), Pay("card"), Pay(GATEWAY)],
        [IN_POINTS, Pay("wallet")],
        [ON_CARD, IN_WALLET, Pay("scripted")],
        [ON_CARD, Pay("scripted", Money(400, CURRENCY)), Pay(GATEWAY)],
    ]
)


class Creating(Machine):
    """Orders are made."""

    @rule(target=Machine.orders, order_type=ORDER_TYPES, uid=UIDS, at_once=MOSTLY)
    @counted
    def create_with_nothing_to_pay(self, order_type: int, uid: str, at_once: bool) -> str:
        return self._create(order_type, uid, at_once=at_once)

    @rule(target=Machine.orders, order_type=ORDER_TYPES, uid=UIDS, price=PRICES, at_once=MOSTLY)
    @counted
    def create_prepaid(self, order_type: int, uid: str, price: int, at_once: bool) -> str:
        return self._create(order_type, uid, at_once=at_once, amount=Money(price, CURRENCY), pay="wallet")

    @rule(target=Machine.orders, order_type=ORDER_TYPES, uid=UIDS, price=PRICES)
    @counted
    def create_for_the_gateway(self, order_type: int, uid: str, price: int) -> str:
        return self._create(order_type, uid, amount=Money(price, CURRENCY), pay=GATEWAY)

    @rule(
        target=Machine.orders,
        order_type=ORDER_TYPES,
        uid=UIDS,
        price=PRICES,
        pay=st.sampled_from(["scripted", "scripted", "card"]),
        behaves=BEHAVIOURS,
        at_once=MOSTLY,
    )
    @counted
    def create_for_a_channel(self, order_type: int, uid: str, price: int, pay: str, behaves: Any, at_once: bool) -> str:
        order_id = self.world.worker().app.new_order_id(order_type, uid)
        self.world.behaviours[order_id] = behaves
        amount = Money(price, CURRENCY)
        return self._create(order_type, uid, at_once=at_once, amount=amount, pay=pay, order_id=order_id)

    @rule(target=Machine.orders, order_type=ORDER_TYPES, uid=UIDS, plan=PLANS, behaves=BEHAVIOURS, at_once=MOSTLY)
    @counted
    def create_mixed(self, order_type: int, uid: str, plan: list[Pay], behaves: Any, at_once: bool) -> str:
        """Paid in several parts, some of a fixed amount, some open."""
        order_id = self.world.worker().app.new_order_id(order_type, uid)
        self.world.behaviours[order_id] = behaves
        return self._create(order_type, uid, at_once=at_once, amount=LARGE_PRICE, pay=plan, order_id=order_id)

    @rule(target=Machine.orders, order_type=ORDER_TYPES, uid=UIDS, price=PRICES, other=st.booleans())
    @counted
    def create_twice(self, order_type: int, uid: str, price: int, other: bool) -> str:
        """With the same own number: the same order, or a refusal where the content is another one."""
        number = self._number()
        amount = Money(price, CURRENCY)
        order_id = self._create(order_type, uid, amount=amount, pay="wallet", own_number=number)
        again = self.world.worker().app.create(
            order_type, uid, data={"for": uid}, amount=Money(price + other, CURRENCY), pay="wallet", own_number=number
        )
        if other:
            self._refused(OrderExists, again)
        else:
            assert self.world.run(again).id == order_id
        return order_id

    @rule(order_type=ORDER_TYPES, uid=UIDS, price=PRICES)
    @counted
    def payment_comes_before_its_order(self, order_type: int, uid: str, price: int) -> None:
        """It is parked, until the order is there."""
        app, number = self.world.worker().app, self._number()
        order_id = app.order_id_from(order_type, uid, number)
        told = app.record_payment(order_id, Money(price, CURRENCY), reference=f"early-{number}")
        assert self.world.run(told) is None
        parked = self.world.run(self.world.observer.parking.list(None, 1000))
        assert any(payment.order_id == order_id for payment in parked)
        self.expected[number] = order_type, uid, price

    @precondition(lambda self: self.begun is not None and self.expected)
    @rule(target=Machine.orders, choice=st.integers(0, 9), by_hand=st.booleans())
    @counted
    def create_what_was_paid_before(self, choice: int, by_hand: bool) -> str:
        """What was parked for it is matched when it is looked for, or by an operator."""
        number = list(self.expected)[choice % len(self.expected)]
        order_type, uid, price = self.expected.pop(number)
        reference = f"early-{number}"
        order_id = self._create(order_type, uid, amount=Money(price, CURRENCY), pay=GATEWAY, own_number=number)
        self.books.till.told[order_id][reference] = price, CURRENCY
        self.books.till.early.add(reference)
        if by_hand:
            app = self.world.worker().app
            after = self.world.run(app.match_parked(GATEWAY, reference, order_id, **WHO))
            assert leg_of(after, reference).state is LegState.PAID
        return order_id
