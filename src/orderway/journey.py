"""The journey of an order: created -> paid -> delivered -> finished. Read this file and you know the system.

``Journey.forward`` is the only code that moves an order. The caller, the payment callback, the sweeper and the
command line all call it, any number of times, after any crash. It looks at the stage, takes the one step that this
stage asks for, records the facts that follow, and looks again, until nothing is left to do now:

    created ---- pay -----> paid ---- deliver ----> delivered ---- close ----> finished
       |                     |                          |                         |
       |                     +--------------------------+-----> returning <-------+
       |                                                            | take_back
       +--> cancelling, rejecting, closing                      refunding
                   | wind_up                                        | wind_up
            cancelled, rejected, closed                         refunded

A step has at most one kind of effect (a charge, a delivery, a hook) and returns a ``Move``: the facts that follow
from it, or how long to wait. What a step raises is retried with back-off; past the deadline the order is stuck, in
front of a person. How an order is paid, in one part or several, is in ``paying.py``; while a step has to wait, what is
not wanted any more is closed and what is owed goes back: ``settling.py``.

Two things make it safe to die anywhere. The row is written before each effect and says when to look again
(``due_at``), so somebody always comes back; and each effect carries a key derived from the order, so doing it again
does nothing new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orderway.alerting import alert, remind, tries_between
from orderway.core.facts import Cancelled, Revoked, Stuck, TakenBack
from orderway.core.order import Order, Stage
from orderway.core.payment import LegState
from orderway.core.text import storable
from orderway.delivery import Delivery
from orderway.errors import DeliveryFailed, HoldLost, OrderwayError, UsageError
from orderway.hooks import call
from orderway.logs import tell_bug
from orderway.moves import Move, record, sooner
from orderway.paying import Paying
from orderway.payments import Payments
from orderway.ports.business import Business, Cancel, RetryIn
from orderway.recorder import HOOK_OF, MICROSECOND, WINDING_UP, Recorder
from orderway.run import Run
from orderway.settling import Settling, rest_to_refund

__all__ = ["Journey"]

FEWEST_TRIES = 3
"""So often at least a step has failed before its order is stuck: after an outage, one failure more proves nothing."""


class Journey:
    """Carries orders of registered businesses along their way.

    Args:
        recorder: writes the facts.
        businesses: by order type.
        payments: asks the channels: see ``Paying`` and ``Settling``.
        random: gives numbers in [0, 1), for the jitter.
    """

    def __init__(
        self,
        recorder: Recorder,
        businesses: Mapping[int, Business[Any]],
        payments: Payments,
        random: Callable[[], float],
    ) -> None:
        self.recorder = recorder
        self.businesses = businesses
        self.random = random
        self.paying = Paying(recorder, payments)
        self.settling = Settling(recorder, payments, random)
        self.steps: dict[Stage, Callable[[Run], Awaitable[Move | None]]] = {
            Stage.CREATED: self.pay,
            Stage.PAID: self.deliver,
            Stage.RETURNING: self.take_back,
            **dict.fromkeys(HOOK_OF, self.close),
            **dict.fromkeys(WINDING_UP, self.wind_up),
            Stage.FAILING: self.fail,
        }

    async def forward(self, order: Order[Any]) -> Order[Any]:
        """Carry an order that this worker holds as far as it goes now, then let go of it.

        Returns:
            The order as it stands.

        Raises:
            HoldLost: another worker has taken it over, and carries it on.
            Unavailable: the store did not answer; the order is due, and will be looked at again.
        """
        run = Run(order, self.businesses[order.type], self.recorder)
        while run.order.holder is not None and (run.is_watched or not run.order.is_final):
            move = await self.step(run)
            if move is None:
                continue  # the step has recorded its facts itself
            try:
                await self.take(run, move)
            except (DeliveryFailed, UsageError) as error:  # what followed cannot be written as it is
                await self.take(run, self.try_again(run, error))
        if run.order.holder is not None:  # what came from outside has ended it: nothing is left but to let go
            await run.let_go()
        return run.order

    async def step(self, run: Run) -> Move | None:
        """Do what the stage asks for; while that has to wait, settle what money is on its way elsewhere."""
        act = remind if run.is_watched else self.steps.get(run.order.stage, self.settling.settle)
        try:
            move = await act(run)
        except HoldLost:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a hook or a channel raises, the order is tried again
            move = self.try_again(run, error)
        if move is None or move.decide is not None or run.order.is_settled or act == self.settling.settle:
            return move
        return sooner(move, await self.settling.settle(run))

    async def take(self, run: Run, move: Move) -> None:
        """Write what a step has led to: facts, or a new time to look at the order."""
        if move.decide is None:
            await run.postpone(move.wait_us or 0, move.error, failed=move.failed)
        else:
            before = run.order.version
            try:
                await run.record(move.decide, due_in_us=move.wait_us, statements=move.statements)
            except HoldLost:
                if move.is_payment:
                    await self.recorder.record_from_outside(run.order.id, move.decide, self.recorder.stamp())
                raise
            if run.order.version == before:  # nothing new followed: asking again at once would bring nothing new either
                await run.postpone(run.business.query_every // MICROSECOND, move.error, failed=True)

    def try_again(self, run: Run, error: Exception) -> Move:
        """What follows from a failed step: wait and retry until the deadline, then a person."""
        order, retry = run.order, run.business.retry
        order.forget_changes()
        text = storable(f"{type(error).__name__}: {error}")
        deadline_us = {
            # A channel that cannot even be asked to close.
            Stage.CREATED: order.deadline_at_us + retry.deadline // MICROSECOND,
            Stage.PAID: order.deadline_at_us,
            Stage.RETURNING: order.deadline_at_us,
        }.get(order.stage) or self.recorder.until_us(order, run.business, order.updated_at_us)
        attempts = order.attempts + 1
        is_over = run.now_us >= deadline_us and attempts >= FEWEST_TRIES
        if order.allows(Stuck) and (is_over or (retry.most_attempts and attempts >= retry.most_attempts)):
            why = error.code if isinstance(error, OrderwayError) else "hook_failed"
            return record(Stuck(why=why, error=text, attempts=attempts, tried_from_us=order.updated_at_us))
        return Move(wait_us=retry.delay_us(attempts, self.random()), error=text, failed=True)

    # ---- the steps ------------------------------------------------------------------------------------------------

    async def pay(self, run: Run) -> Move | None:
        """created: get the money, part by part, or find out that it will not come."""
        untouched = all(leg.state is LegState.PLANNED for leg in run.order.legs)
        if untouched and self.paying.may_ask(run) and (verdict := await self.ask(run)) is not None:
            return verdict
        return await self.paying.pay(run)

    async def deliver(self, run: Run) -> Move | None:
        """paid: hand the goods over, exactly once."""
        if (verdict := await self.ask(run)) is not None:
            return verdict
        return await self.hand_over(run, run.business.deliver, Delivery(run))

    async def take_back(self, run: Run) -> Move | None:
        """returning: take the goods back, exactly once, before the money goes back."""
        if not run.business.overrides("take_back"):
            return record(TakenBack())
        return await self.hand_over(run, run.business.take_back, Delivery(run, TakenBack))

    def is_overdue(self, run: Run) -> bool:
        """True if a paid order may not even wait any longer."""
        order, within = run.order, run.business.finish_within
        return within is not None and order.stage is Stage.PAID and run.now_us >= order.deadline_at_us

    async def hand_over(self, run: Run, hook: Callable[..., Any], delivery: Delivery) -> Move | None:
        """Run a hook that moves goods; its own transaction may have recorded the fact already."""
        try:
            await call(hook, run.order, delivery)
        except Exception as error:
            if not delivery.committed:
                raise
            what = f"order {run.order.id}: the hook raised after its transaction was committed"
            tell_bug(what, error, order_id=run.order.id, order_type=run.order.type)
        if delivery.committed:
            return None
        return Move(lambda _: (delivery.fact(),), statements=tuple(delivery.statements))

    async def wind_up(self, run: Run) -> Move | None:
        """cancelling, rejecting, closing, refunding: every cent goes back, then the closing hook is run."""
        order = run.order
        until_us = self.recorder.deadlines(order).refund_us
        if rest_to_refund(order, until_us):
            return Move(lambda order: rest_to_refund(order, until_us))
        if not order.is_settled and run.now_us < order.updated_at_us + run.business.retry.deadline // MICROSECOND:
            return Move(wait_us=run.business.query_every // MICROSECOND)
        if not order.is_wound_up:
            return record(Stuck(why="not_wound_up", error="a payment was not closed, or a refund failed"))
        if order.stage is Stage.REFUNDING and not order.amount_minor:
            return record(Cancelled(why=order.why))
        return await self.close(run)

    async def close(self, run: Run) -> Move | None:
        """delivered, failing, and what is wound up: run the closing hook, and mark that it succeeded."""
        hook, mark = HOOK_OF[run.order.stage]
        if run.business.overrides(hook):
            await call(getattr(run.business, hook), run.order)
        return record(mark())

    async def fail(self, run: Run) -> Move | None:
        """failing: have a person told, then run the closing hook."""
        if run.business.overrides("alert") and not run.order.attempts % tries_between(run.business):
            await alert(run)
        return await self.close(run)

    async def ask(self, run: Run) -> Move | None:
        """Ask the business whether the order may go on; None if so."""
        business, order = run.business, run.order
        if not business.overrides("can_forward"):
            return None
        match await call(business.can_forward, order):
            case None:
                return None
            case Cancel(reason) if order.stage is Stage.CREATED:
                return await self.paying.end_unpaid(run, Cancelled(why="by_business", error=storable(reason)))
            case Cancel(reason) if not order.amount_minor and not business.overrides("take_back"):
                return record(Cancelled(why="by_business", error=storable(reason)))
            case Cancel(reason):
                until_us = self.recorder.deadlines(order).deliver_us
                return record(Revoked(why="by_business", error=storable(reason), deadline_at_us=until_us))
            case RetryIn(_, reason) if self.is_overdue(run):
                return record(Stuck(why="overdue", error=storable(reason)))
            case RetryIn(delay, reason):
                return Move(wait_us=delay // MICROSECOND, error=storable(reason))
            case verdict:
                return record(Stuck(why="held", error=storable(verdict.reason)))
