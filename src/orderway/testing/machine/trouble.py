"""Rules: hooks fail, workers die, freeze and are overtaken, clocks are wrong, channels do not answer, time passes."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from orderway.channels.scripted import (
    RefundBehaviour,
    RefundRefusedLater,
    RefundsAtOnce,
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    RefundUnreachable,
    RefusesRefund,
)
from orderway.core.money import Money
from orderway.ports.business import Cancel, Hold, RetryIn
from orderway.testing.machine.base import ORDER_TYPES, PRICES, UIDS, Machine, counted
from orderway.testing.machine.shops import DEADLINE, PAY_WITHIN
from orderway.testing.machine.worker import Outage
from orderway.testing.machine.world import CURRENCY

__all__ = ["Trouble"]

POINTS_OF_CALLS = [
    f"{when} {what}" for what in ("charge", "hold", "capture", "close", "refund") for when in ("before", "after")
]
STOPS = st.sampled_from([*POINTS_OF_CALLS, "deliver", "after goods", "take_back"])
VERDICTS = st.sampled_from([None, None, Cancel("sold out"), Hold("ask me"), RetryIn(timedelta(seconds=7), "wait")])
HOOKS = st.sampled_from(["can_forward", "deliver", "inside", "take_back", "finished", "ended"])
REFUNDS = st.sampled_from(
    [
        RefundsAtOnce(),
        RefundsLater(timedelta(seconds=20)),
        RefundsLater(timedelta(seconds=40), notices=()),
        RefusesRefund(),
        RefundRefusedLater(after=timedelta(seconds=10)),
        RefundTimesOutAfter(),
        RefundTimesOutBefore(),
        RefundUnreachable(),
    ]
)
CHANNELS = st.sampled_from(["wallet", "points", "scripted", "card"])


class Trouble(Machine):
    """Nothing goes as it should."""

    # ---- what fails -----------------------------------------------------------------------------------------------

    @rule(order_type=ORDER_TYPES, hook=HOOKS, times=st.sampled_from([1, 2, inf]))
    @counted
    def hook_begins_to_fail(self, order_type: int, hook: str, times: float) -> None:
        self.world.failing[order_type, hook] = times

    @rule()
    @counted
    def hooks_are_mended(self) -> None:
        self.world.failing.clear()

    @rule(order_type=ORDER_TYPES, verdict=VERDICTS)
    @counted
    def business_changes_its_verdict(self, order_type: int, verdict: Any) -> None:
        self.world.verdicts[order_type] = verdict

    @rule(behave=REFUNDS)
    @counted
    def refunds_behave(self, behave: RefundBehaviour) -> None:
        self.world.refunds_behave = behave

    @rule(channel=CHANNELS, outage=st.sampled_from(list(Outage)))
    @counted
    def channel_goes_out(self, channel: str, outage: Outage) -> None:
        self.world.outages[channel] = outage

    @rule()
    @counted
    def channels_come_back(self) -> None:
        self.world.outages.clear()

    # ---- workers --------------------------------------------------------------------------------------------------

    @rule(order_id=Machine.orders, turns=st.integers(0, 60))
    @counted
    def worker_dies_while_forwarding(self, order_id: str, turns: int) -> None:
        dying = self.world.worker()
        dying.begin(dying.app.forward(order_id), turns)
        dying.die()
        if not self.world.awake:
            self.world.join()

    @rule(order_id=Machine.orders, point=STOPS)
    @counted
    def worker_freezes(self, order_id: str, point: str) -> None:
        self._freeze(point, order_id)

    @rule(
        target=Machine.orders,
        order_type=ORDER_TYPES,
        uid=UIDS,
        price=PRICES,
        pay=st.sampled_from(["wallet", "scripted", ["wallet", "card"]]),
        point=STOPS,
    )
    @counted
    def worker_freezes_over_a_new_order(self, order_type: int, uid: str, price: int, pay: Any, point: str) -> str:
        order_id = self._create(order_type, uid, amount=Money(price, CURRENCY), pay=pay)
        self._freeze(point, order_id)
        return order_id

    @rule(
        target=Machine.orders,
        order_type=ORDER_TYPES,
        uid=UIDS,
        price=PRICES,
        cancelled=st.booleans(),
        topped_up=st.booleans(),
    )
    @counted
    def worker_is_overtaken_before_it_charges(
        self, order_type: int, uid: str, price: int, cancelled: bool, topped_up: bool
    ) -> str:
        """It wakes up when another one has brought the order to its end, and the money is there by now."""
        order_id = self._create(order_type, uid, amount=Money(price, CURRENCY), pay="wallet")
        self._freeze("before charge", order_id)
        self._bury()
        verdict = self.world.verdicts.get(order_type)
        if cancelled:
            self.world.verdicts[order_type] = Cancel("changed its mind")
        self.world.run(self.world.worker().app.sweep())
        self.world.verdicts[order_type] = verdict
        if topped_up:
            self._top_up(uid, Money(2000, CURRENCY))
        self._thaw()
        return order_id

    @rule(target=Machine.orders, order_type=ORDER_TYPES, uid=UIDS)
    @counted
    def worker_is_overtaken_while_it_delivers(self, order_type: int, uid: str) -> str:
        """Two have the order in hand, and only the one that holds it gets anything written."""
        order_id = self._create(order_type, uid)
        overtaken = self._freeze("deliver", order_id)
        self._bury()
        holder = self._freeze("deliver", order_id)
        before = self._row(order_id)
        if overtaken.frozen and holder.frozen and overtaken is not holder:
            overtaken.thaw()
            after = self._row(order_id)
            assert after == before, f"a worker that no longer holds {before} made it {after}"
        self._thaw()
        return order_id

    @precondition(lambda self: self.begun is not None and len(self.begun.awake) < len(self.begun.workers))
    @rule()
    @counted
    def frozen_workers_thaw(self) -> None:
        self._thaw()

    @precondition(lambda self: self.begun is not None and len(self.begun.workers) < 4)
    @rule()
    @counted
    def worker_joins(self) -> None:
        self.world.join()

    @rule()
    @counted
    def beat(self) -> None:
        self.world.run(self.world.worker().app.membership.beat())

    @rule()
    @counted
    def the_dead_are_buried(self) -> None:
        """All who are awake beat, over longer than a dead one has."""
        self._bury()

    # ---- time -----------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 1.1, 3.1, 12, 31, DEADLINE.total_seconds(), PAY_WITHIN.total_seconds() + 1]))
    @counted
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(seconds=st.sampled_from([-3600, -20, 0, 0, 20, 3600]))
    @counted
    def wall_clock_jumps(self, seconds: int) -> None:
        """One worker's; the others keep the right time."""
        self.world.worker().clock.skew_us = seconds * 1_000_000
