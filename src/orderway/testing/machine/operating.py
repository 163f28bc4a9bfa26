"""Rules: what an operator, or a payer who changes his mind, does to an order."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from orderway.core.facts import Stuck
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState, RefundState
from orderway.errors import (
    IllegalTransition,
    InvalidValue,
    KeyReused,
    OutcomeUnknown,
    RefundExceedsPayment,
    Unavailable,
    UsageError,
)
from orderway.ports.channel import Refused
from orderway.testing.machine.base import WHO, Machine, counted
from orderway.testing.machine.shops import WITHOUT_TAKE_BACK
from orderway.testing.machine.world import CURRENCY, POINTS

__all__ = ["Operating"]

STUCK = frozenset({Stage.STUCK, Stage.FAILING})
PARTS = st.sampled_from([1, 100, 450, None])


class Operating(Machine):
    """Somebody changes what was agreed."""

    @rule(order_id=Machine.orders)
    @counted
    def cancel(self, order_id: str) -> None:
        """Before the goods are delivered always; after it, where they can be taken back."""
        before = self._before(order_id)
        after = self._tried(self.world.worker().app.cancel(order_id, **WHO), IllegalTransition)
        stage = before.resume_stage or before.stage
        delivered = stage in {Stage.DELIVERED, Stage.FINISHED}
        if delivered and before.type in WITHOUT_TAKE_BACK:
            assert after is None, f"{before} was delivered and cannot be taken back, but cancelled: {after}"
        elif stage in {Stage.CREATED, Stage.PAID, Stage.DELIVERED, Stage.FINISHED}:
            assert after is not None
            assert after.stage is (Stage.CANCELLING if stage is Stage.CREATED else Stage.RETURNING), f"{after}"

    @rule(order_id=Machine.orders)
    @counted
    def resume(self, order_id: str) -> None:
        before = self._before(order_id)
        resumed = self.world.worker().app.resume(order_id, **WHO)
        if before.stage in STUCK:
            assert self.world.run(resumed).stage is before.resume_stage
        elif any(refund.state is RefundState.STUCK for refund in before.refunds):
            assert not any(refund.state is RefundState.STUCK for refund in self.world.run(resumed).refunds)
        else:
            self._refused(IllegalTransition, resumed)

    @rule(order_id=Machine.orders)
    @counted
    def hold(self, order_id: str) -> None:
        before = self._before(order_id)
        after = self._tried(self.world.worker().app.hold(order_id, **WHO), IllegalTransition)
        assert (after is not None) is (before.allows(Stuck) or before.stage in STUCK), f"{before}, {after}"
        assert after is None or after.stage in STUCK

    @rule(order_id=Machine.orders)
    @counted
    def amend(self, order_id: str) -> None:
        data = {"for": "somebody", "nth": self._number()}
        after = self.world.run(self.world.worker().app.amend(order_id, data, **WHO))
        assert after.data == data

    @rule(order_id=Machine.orders, step=st.sampled_from(["pick", "pack"]))
    @counted
    def skip(self, order_id: str, step: str) -> None:
        skipped = self.world.worker().app.skip(order_id, step, result={"key": "by hand"}, **WHO)
        after = self._tried(skipped, IllegalTransition)
        assert after is None or step in after.steps

    @rule(order_id=Machine.orders, pay=st.sampled_from(["scripted", "card", "wallet", GATEWAY]))
    @counted
    def change_payment(self, order_id: str, pay: str) -> None:
        before = self._before(order_id)
        after = self._tried(self.world.worker().app.change_payment(order_id, pay), IllegalTransition)
        assert (after is not None) is (before.stage is Stage.CREATED), f"{before}, {after}"

    @rule(order_id=Machine.orders)
    @counted
    def confirm_payment(self, order_id: str) -> None:
        """An operator vouches for what the channel has taken; the channel is asked whether it is so."""
        took = next((took for took in self.world.channel.taken() if took.order_id == order_id), None)
        if took is None:
            return
        confirmed = self.world.worker().app.confirm_payment(
            order_id, took.amount, reference=took.reference, channel="scripted", **WHO
        )
        after = self._tried(confirmed, UsageError, OutcomeUnknown, Unavailable)
        assert after is None or any(leg.reference == took.reference for leg in after.legs)

    # ---- giving back ----------------------------------------------------------------------------------------------

    @rule(
        order_id=Machine.orders,
        part=PARTS,
        by=st.sampled_from([None, "reverse", "ratio"]),
        again=st.sampled_from([None, 0, 1]),
    )
    @counted
    def refund(self, order_id: str, part: int | None, by: Any, again: int | None) -> None:
        """So much of the price; asked for once more, nothing more goes back."""
        before, key = self._before(order_id), self._number()
        app = self.world.worker().app
        left = left_minor(before)
        asked = left if part is None else part
        amount = None if part is None else Money(part, before.currency)
        if not before.amount_minor and part is not None:
            amount = None
        after = self._tried(app.refund(order_id, amount, key=key, by=by, **WHO), RefundExceedsPayment)
        assert (after is not None) is (0 < asked <= left), f"{asked} of {left} was asked back of {before}: {after}"
        if after is None:
            return
        assert left_minor(after) == left - asked
        assert sum(refund.worth_minor for refund in after.refunds if refund.key == key) == asked
        if again is not None:
            once_more = self.world.worker().app.refund(order_id, Money(asked + again, before.currency), key=key, **WHO)
            if again:
                self._refused(KeyReused, once_more)
            else:
                assert self.world.run(once_more).refunds == after.refunds

    @rule(order_id=Machine.orders, parts=st.lists(st.sampled_from([1, 100, 300, 450]), min_size=2, max_size=6))
    @counted
    def refunds_race(self, order_id: str, parts: list[int]) -> None:
        """Several at once, through several workers: what fits is accepted, and nothing else."""
        before = self._before(order_id)
        if not before.amount_minor:
            return
        keys = [self._number() for _ in parts]
        asked = [
            self.world.worker().app.refund(order_id, Money(part, before.currency), key=key, **WHO)
            for part, key in zip(parts, keys, strict=True)
        ]
        results = self.world.run(_together(asked))
        left = left_minor(self._row(order_id))
        accepted = 0
        for part, result in zip(parts, results, strict=True):
            if isinstance(result, Order):
                accepted += part
            else:
                assert isinstance(result, RefundExceedsPayment), repr(result)
                assert part > left, f"{part} was refused, and {left} was left all the time"
        assert accepted == left_minor(before) - left, f"{accepted} was accepted, {left_minor(before)} became {left}"

    @rule(order_id=Machine.orders, part=PARTS)
    @counted
    def refund_of_one_leg(self, order_id: str, part: int | None) -> None:
        """In the leg's own currency; also what was unexpected."""
        before = self._before(order_id)
        paid = [leg for leg in before.legs if leg.captured_minor]
        leg = self.world.random.choice(paid) if paid else Leg(0, "", 0, CURRENCY)
        amount = None if part is None else Money(part, leg.currency)
        back = self.world.worker().app.refund(order_id, amount, key=self._number(), leg=leg.number, **WHO)
        if not paid:
            self._refused(InvalidValue, back)
            return
        left = leg.captured_minor - leg.refunded_minor - leg.refunding_minor
        after = self._tried(back, RefundExceedsPayment)
        fits = 0 < (left if part is None else part) <= left
        assert (after is not None) is fits, f"{part} of {left} was asked back of {leg}: {after}"

    @rule(order_id=Machine.orders)
    @counted
    def accept_unexpected_money(self, order_id: str) -> None:
        unexpected = [leg.number for leg in self._before(order_id).legs if leg.state is LegState.UNEXPECTED]
        accepted = self.world.worker().app.accept(order_id, unexpected[0] if unexpected else 99, **WHO)
        if unexpected:
            assert self.world.run(accepted).legs[unexpected[0]].state is LegState.ACCEPTED
        else:
            self._refused(IllegalTransition, accepted)

    @rule(order_id=Machine.orders, is_refused=st.booleans())
    @counted
    def refund_is_paid_out_by_the_shop(self, order_id: str, is_refused: bool) -> None:
        """Money that came through the shop's own gateway goes back through it, or cannot."""
        row = self._before(order_id)
        ours = [refund for refund in row.refunds if row.legs[refund.leg].channel == GATEWAY]
        waits = [refund for refund in ours if refund.is_live or refund.state is RefundState.STUCK]
        if not waits:
            return
        number = waits[0].number
        if is_refused:
            told = self.world.worker().app.record_refund(order_id, number, Refused("no such account"))
            assert self.world.run(told).refunds[number - 1].state is RefundState.REFUSED
        else:
            assert self._pay_out(order_id, number).refunds[number - 1].state is RefundState.RETURNED


def left_minor(order: Order[Any]) -> int:
    """What of the price may still go back: kept apart from the package's own arithmetic."""
    left = 0
    for leg in order.legs:
        if leg.state is not LegState.PAID:
            continue
        free = leg.captured_minor - leg.refunded_minor - leg.refunding_minor
        if leg.currency == POINTS and free:
            went = [r.worth_minor for r in order.refunds if r.leg == leg.number and r.state is not RefundState.REFUSED]
            left += leg.worth_minor - sum(went)
        elif leg.currency != POINTS:
            left += free
    return left


async def _together(calls: list[Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)
