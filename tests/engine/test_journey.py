"""The journey over memory: every kind of order, every verdict, retries, deadlines, closing hooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from world import PRICE, Shop, World

from orderway import Business, Cancel, Hold, Money, Order, RetryIn, Stage, Status
from orderway.channels.behaviours import (
    NeverPays,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    PaysWrongAmount,
    Refuses,
    TimesOutAfter,
    TimesOutBefore,
    Unreachable,
)
from orderway.core.payment import LegState
from orderway.ports.channel import Returned


async def facts(app: Any, order: Order[Any]) -> list[str]:
    return [entry.fact for entry in await app.journal(order.id)]


async def test_nothing_to_pay(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.stage, order.status, order.pay_status) == (Stage.FINISHED, Status.FINISHED, 0)
    assert await facts(app, order) == ["Created", "Delivered", "Finished"]
    assert (world.delivered(order), shop.called("finished")) == (1, 1)


async def test_delivered_and_finished_are_one_write_where_nobody_waits_for_the_hook(world: World) -> None:
    class Quiet(Business[dict[str, Any]]):
        order_type = 2

        async def deliver(self, order: Order[Any], delivery: Any) -> None: ...

    app = await world.app(Quiet())
    order = await app.forward(await app.create(2, "alice"))
    entries = await app.journal(order.id)
    assert [entry.fact for entry in entries] == ["Created", "Delivered", "Finished"]
    assert entries[1].write_id == entries[2].write_id != entries[0].write_id


async def test_prepaid_from_the_wallet(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    await app.wallet.top_up("alice", Money(5000, "CNY"), key="t1")
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="wallet"))
    assert (order.stage, order.pay_status) == (Stage.FINISHED, 1)
    assert await app.wallet.balance("alice", "CNY") == Money(5000 - 1999, "CNY")
    assert [leg.state for leg in order.legs] == [LegState.PAID]


async def test_a_short_balance_is_final_where_the_type_says_so(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="wallet"))
    assert (order.stage, order.status, order.why) == (Stage.REJECTED, 4, "insufficient_balance")
    assert (world.delivered(order), shop.called("ended")) == (0, 1)


class Patient(Shop):
    when_short = "wait"


async def test_a_short_balance_waits_for_a_top_up_where_the_type_says_so(world: World) -> None:
    shop = Patient()
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="wallet"))
    assert order.stage is Stage.CREATED
    assert "holds" in order.last_error or order.last_error
    await app.wallet.top_up("alice", PRICE, key="t1")
    await world.clock.advance(0)  # no waiting: the top-up itself sends the order on
    assert (await app.get(order.id)).stage is Stage.FINISHED


async def test_a_short_balance_that_is_never_topped_up_is_rejected_at_the_deadline(world: World) -> None:
    shop = Patient()
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="wallet"))
    await world.clock.advance(shop.pay_within.total_seconds() - 1)
    assert (await app.get(order.id)).stage is Stage.CREATED
    await world.clock.advance(2)
    assert (await app.get(order.id)).stage is Stage.REJECTED
    await app.wallet.top_up("alice", PRICE, key="late")
    await world.clock.advance(600)
    assert await app.wallet.balance("alice", "CNY") == PRICE


async def test_the_users_own_gateway(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    assert order.holder is None
    assert (await app.forward(order)).stage is Stage.CREATED
    paid = await app.record_payment(order.id, PRICE, reference="R1")
    assert paid.stage is Stage.PAID
    await world.clock.advance(0)
    again = await app.record_payment(order.id, PRICE, reference="R1")
    assert (again.stage, again.version) == (Stage.FINISHED, 4)
    assert world.delivered(order) == 1


async def test_an_unpaid_order_of_ones_own_gateway_closes_at_its_deadline(world: World, shop: Shop) -> None:
    app = await world.app(shop)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    await world.clock.advance(shop.pay_within.total_seconds() + 2)
    closed = await app.get(order.id)
    assert (closed.stage, closed.status, shop.called("ended")) == (Stage.CLOSED, 7, 1)
    late = await app.record_payment(order.id, PRICE, reference="R1")
    assert late.stage is Stage.CLOSED
    assert [(leg.state, leg.captured_minor) for leg in late.legs][1:] == [(LegState.UNEXPECTED, 1999)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "ends"),
    [
        (PaysAtOnce(), Stage.FINISHED),
        (PaysLater(after=timedelta(seconds=5), notices=()), Stage.FINISHED),
        (PaysTwice(notices=()), Stage.FINISHED),
        (TimesOutAfter(), Stage.FINISHED),
        (TimesOutBefore(), Stage.CLOSED),
        (NeverPays(), Stage.CLOSED),
        (Refuses(), Stage.CANCELLED),
        (PaysWrongAmount(), Stage.STUCK),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Stage) else str(value),
)
async def test_pay_later_through_a_channel(world: World, shop: Shop, behaviour: Any, ends: Stage) -> None:
    world.channel.script = {PRICE.amount_minor: behaviour}
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="scripted"))
    await world.clock.advance(shop.pay_within.total_seconds() + 120)
    order = await app.get(order.id)
    assert order.stage is ends
    assert world.delivered(order) == (ends is Stage.FINISHED)
    taken = sum(each.amount.amount_minor for each in world.channel.taken())
    kept = sum(leg.captured_minor for leg in order.legs)
    assert kept == taken or isinstance(behaviour, PaysTwice)  # the second payment is told by nobody: see notices=()


async def test_a_lost_notification_is_found_by_asking(world: World, shop: Shop) -> None:
    world.channel.script = {PRICE.amount_minor: PaysLater(after=timedelta(seconds=5), notices=())}
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="scripted"))
    assert [leg.state for leg in order.legs] == [LegState.PENDING]
    await world.clock.advance(shop.query_every.total_seconds() + 1)
    assert (await app.get(order.id)).stage is Stage.FINISHED


async def test_an_unreachable_channel_is_tried_again_with_back_off_and_never_marked_unknown(
    world: World, shop: Shop
) -> None:
    world.channel.script = {PRICE.amount_minor: Unreachable()}
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="scripted"))
    assert (order.attempts, [leg.state for leg in order.legs]) == (1, [LegState.PLANNED])
    world.channel.script = {PRICE.amount_minor: PaysAtOnce()}
    await world.clock.advance(3)
    assert (await app.get(order.id)).stage is Stage.FINISHED


async def test_a_wrong_amount_is_kept_in_front_of_a_person_and_resuming_does_not_count_it_twice(
    world: World, shop: Shop
) -> None:
    app = await world.app(shop)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    order = await app.record_payment(order.id, Money(1998, "CNY"), reference="R1")
    await world.clock.advance(1)
    order = await app.get(order.id)
    assert (order.stage, order.why, order.resume_stage) == (Stage.STUCK, "unexpected_payment", Stage.CREATED)
    await app.record_payment(order.id, Money(1998, "CNY"), reference="R1")
    order = await app.record_payment(order.id, PRICE, reference="R2")  # then the right amount comes
    await world.clock.advance(1)
    order = await app.get(order.id)
    assert order.stage is Stage.FINISHED
    assert [(leg.state, leg.captured_minor) for leg in order.legs] == [
        (LegState.PAID, 1999),
        (LegState.UNEXPECTED, 1998),
    ]


@pytest.mark.parametrize("second", [("R2", PRICE), ("R1", Money(1998, "CNY")), ("R1", Money(1999, "USD"))])
async def test_a_second_payment_of_a_finished_order_is_kept_and_lowers_nothing(
    world: World, shop: Shop, second: tuple[str, Money]
) -> None:
    app = await world.app(shop)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    await app.record_payment(order.id, PRICE, reference="R1")
    await world.clock.advance(1)
    for _ in range(2):
        order = await app.record_payment(order.id, second[1], reference=second[0])
    assert order.stage is Stage.FINISHED
    assert [leg.state for leg in order.legs] == [LegState.PAID, LegState.UNEXPECTED]
    assert (await app.explain(order.id)).advice


class Choosy(Shop):
    verdict: Any = None

    async def can_forward(self, order: Order[Any]) -> Any:
        self.note("can_forward", order)
        return self.verdict


async def test_verdict_cancel(world: World) -> None:
    shop = Choosy()
    shop.verdict = Cancel("sold out")
    app = await world.app(shop)
    await app.wallet.top_up("alice", PRICE, key="t1")
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="wallet"))
    assert (order.stage, order.status, order.why, order.last_error) == (Stage.CANCELLED, 3, "by_business", "sold out")
    assert await app.wallet.balance("alice", "CNY") == PRICE
    assert shop.called("ended") == 1


async def test_verdict_cancel_after_payment_gives_the_money_back(world: World) -> None:
    shop = Choosy()
    shop.verdict = Cancel("sold out")
    app = await world.app(shop)
    order = await app.create(1, "alice", amount=PRICE, pay="gateway")
    await app.record_payment(order.id, PRICE, reference="R1")
    await world.clock.advance(1)
    order = await app.get(order.id)
    assert (order.stage, order.why, order.paid_minor) == (Stage.REFUNDING, "by_business", 1999)
    assert order.needs_person  # only the shop itself can pay out what its own gateway took
    await app.record_refund(order.id, 1, Returned("B1"))
    await world.clock.advance(1)
    order = await app.get(order.id)
    assert (order.stage, order.status, order.refunded_minor) == (Stage.REFUNDED, 5, 1999)


async def test_verdict_retry_in(world: World) -> None:
    shop = Choosy()
    shop.verdict = RetryIn(timedelta(minutes=10), "stock arrives at ten")
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.stage, order.last_error, order.attempts) == (Stage.PAID, "stock arrives at ten", 0)
    shop.verdict = None
    await world.clock.advance(599)
    assert (await app.get(order.id)).stage is Stage.PAID
    await world.clock.advance(2)
    assert (await app.get(order.id)).stage is Stage.FINISHED


async def test_verdict_hold_then_resume(world: World) -> None:
    shop = Choosy()
    shop.verdict = Hold("check the address")
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.stage, order.status, order.why) == (Stage.STUCK, 6, "held")
    shop.verdict = None
    await app.resume(order.id, actor="ann", reason="address is right")
    await world.clock.advance(1)
    assert (await app.get(order.id)).stage is Stage.FINISHED
    resumed = [entry for entry in await app.journal(order.id) if entry.fact == "Resumed"]
    assert [(entry.fields["actor"], entry.fields["reason"]) for entry in resumed] == [("ann", "address is right")]


async def test_a_failing_delivery_backs_off_then_sticks_then_resumes(world: World, shop: Shop) -> None:
    shop.fail["deliver"] = 10_000
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    assert (order.attempts, order.last_error) == (1, "RuntimeError: deliver was told to fail")
    await world.clock.advance(7.9)  # tries at 0, 1, 3 and 7 s
    assert shop.called("deliver") == 4
    await world.clock.advance(3600)
    order = await app.get(order.id)
    assert (order.stage, order.why, order.due_at_us) == (Stage.STUCK, "hook_failed", None)
    assert 60 < shop.called("deliver") < 75  # capped at a minute: once a minute for an hour
    assert shop.called("ended") == 1
    shop.fail.clear()
    await app.resume(order.id, actor="ann", reason="stock is back")
    await world.clock.advance(1)
    assert (await app.get(order.id)).stage is Stage.FINISHED
    assert world.delivered(order) == 1


async def test_closing_hooks_run_until_they_succeed(world: World, shop: Shop) -> None:
    shop.fail["finished"] = 3
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    assert order.stage is Stage.DELIVERED
    await world.clock.advance(10)
    assert (await app.get(order.id)).stage is Stage.FINISHED
    assert (shop.called("finished"), world.delivered(order)) == (4, 1)


@pytest.mark.slow
async def test_a_stuck_hook_that_fails_is_never_given_up(world: World, shop: Shop) -> None:
    shop.fail = {"deliver": 10_000, "ended": 100}
    app = await world.app(shop)
    order = await app.forward(await app.create(1, "alice"))
    await world.clock.advance(3 * 3600)
    order = await app.get(order.id)
    assert (order.stage, shop.called("ended")) == (Stage.STUCK, 101)


async def test_a_statement_that_touches_the_wrong_number_of_rows_fails_this_delivery_alone(world: World) -> None:
    class Stock(Business[dict[str, Any]]):
        order_type = 2

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            delivery.execute("UPDATE stock SET left = left - 1 WHERE left > 0", expect=1)
            delivery.execute("INSERT INTO goods VALUES (:id)", {"id": order.id}, expect=1)

    world.database.goods.execute("CREATE TABLE stock (left INTEGER)")
    world.database.goods.execute("INSERT INTO stock VALUES (1)")
    app = await world.app(Stock())
    one = await app.forward(await app.create(2, "alice"))
    two = await app.forward(await app.create(2, "bob"))
    assert (one.stage, two.stage, two.attempts) == (Stage.FINISHED, Stage.PAID, 1)
    assert "0 rows" in two.last_error
    assert (world.delivered(one), world.delivered(two)) == (1, 0)
    world.database.goods.execute("UPDATE stock SET left = 5")
    await world.clock.advance(5)
    assert (await app.get(two.id)).stage is Stage.FINISHED


async def test_what_hooks_change_in_the_data_rides_in_the_next_fact(world: World) -> None:
    class Counting(Business[dict[str, Any]]):
        order_type = 2

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            order.data["serial"] = "A-7"

        async def finished(self, order: Order[Any]) -> None:
            order.data["told"] = order.data["serial"] + "!"

    app = await world.app(Counting())
    order = await app.forward(await app.create(2, "alice", data={"sku": "x"}))
    assert (await app.get(order.id)).data == {"sku": "x", "serial": "A-7", "told": "A-7!"}


async def test_what_can_forward_changes_rides_with_the_payment(world: World) -> None:
    class Priced(Shop):
        async def can_forward(self, order: Order[Any]) -> None:
            order.data["checked"] = order.data.get("checked", 0) + 1

    app = await world.app(Priced())
    await app.wallet.top_up("alice", PRICE, key="t1")
    order = await app.forward(await app.create(1, "alice", amount=PRICE, pay="wallet"))
    assert (await app.get(order.id)).data == {"checked": 2}
    facts_with_data = [entry.fact for entry in await app.journal(order.id) if "data" in (entry.private or "")]
    assert facts_with_data == ["Paid", "Delivered"]


async def test_what_a_failed_hook_changed_is_dropped(world: World) -> None:
    class Failing(Shop):
        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            order.data["half"] = True
            raise RuntimeError("half done")

    app = await world.app(Failing())
    order = await app.forward(await app.create(1, "alice"))
    assert (order.data, (await app.get(order.id)).data) == ({}, {})


async def test_steps_are_done_once(world: World) -> None:
    class Steps(Business[dict[str, Any]]):
        order_type = 2
        done: list[str] = []  # noqa: RUF012 - one instance in one test
        fail = True

        async def deliver(self, order: Order[Any], delivery: Any) -> None:
            number = await delivery.step("reserve", lambda key: self.act("reserve", key))
            if self.fail:
                raise RuntimeError("the second step is not ready")
            await delivery.step("send", lambda key: self.act(f"send {number}", key))

        def act(self, what: str, key: str) -> int:
            self.done.append(f"{what} {key.partition('-')[2]}")
            return 42

    steps = Steps()
    app = await world.app(steps)
    order = await app.forward(await app.create(2, "alice"))
    assert (order.stage, order.steps, order.attempts) == (Stage.PAID, {"reserve": "42"}, 1)
    steps.fail = False
    await world.clock.advance(5)
    assert (await app.get(order.id)).stage is Stage.FINISHED
    assert steps.done == ["reserve d-reserve", "send 42 d-send"]


async def test_a_type_served_elsewhere_is_left_alone_and_its_payments_are_still_kept(world: World, shop: Shop) -> None:
    seller = await world.app(shop, sweep=False)
    other = await world.app()
    order = await seller.create(1, "alice", amount=PRICE, pay="gateway")
    paid = await other.record_payment(order.id, PRICE, reference="R1")
    await world.clock.advance(60)
    assert (paid.stage, (await other.get(order.id)).stage) == (Stage.PAID, Stage.PAID)
    assert "not registered" in " ".join((await other.explain(order.id)).reasons)
    assert await seller.sweep() == 1
    assert (await other.get(order.id)).stage is Stage.FINISHED
