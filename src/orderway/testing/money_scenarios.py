"""Scenarios of money in every shape: mixed payments, refunds, late and odd payments, the operator's hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from orderway.channels.scripted import (
    Disputes,
    NeverPays,
    PaysAfterClose,
    PaysAtOnce,
    PaysLater,
    PaysWrongAmount,
    RefundsLater,
    RefundTimesOutAfter,
    RefundTimesOutBefore,
    Refuses,
    RefusesRefund,
    TimesOutAfter,
)
from orderway.core.money import Money, define_currency
from orderway.core.order import Stage
from orderway.core.payment import GATEWAY
from orderway.errors import OutcomeUnknown, UsageError
from orderway.plans import Pay
from orderway.testing.explorer import Scenario, create_goods_table
from orderway.testing.money_shops import (
    AskingShop,
    BrokenStepShop,
    DataShop,
    PatientShop,
    ReturnByApiShop,
    ReturnByReceiptShop,
    ReturnByTransactionShop,
    ReturnShop,
    RevivingShop,
    SilentShop,
    SoldOutShop,
    SoonShop,
)
from orderway.testing.shops import (
    PRICE,
    UID,
    ClosingShop,
    Shop,
    WaitingShop,
    create_elsewhere,
    goods_elsewhere,
    granted,
    hook_ran,
    scenario,
)
from orderway.testing.world import Worker, World

__all__ = ["MONEY_SCENARIOS"]

define_currency("POINTS")
POINTS = Money(90, "POINTS")
PARTS = (Pay("points", POINTS, worth=Money(90, "CNY")), Pay("wallet", Money(400, "CNY")), Pay("scripted"))
REST = 500  # what the scripted channel is asked for
WHO: dict[str, Any] = {"actor": "eve", "reason": "asked for"}

# ---- what the outside world does

Drive = Callable[[Worker], Awaitable[None]]


def buys(pay: Any, *, wallet: int = 400, points: int = 90, data: Any = None, seconds: float = 3) -> Drive:
    """A caller with so much in her wallets, who orders and forwards; time passes."""

    async def drive(worker: Worker) -> None:
        if wallet:
            await worker.app.wallet.top_up(UID, Money(wallet, "CNY"), key="before")
        if points:
            await worker.app.wallet.top_up(UID, Money(points, "POINTS"), key="points")
        order = await worker.app.create(1, UID, amount=PRICE, pay=pay, own_number="1", data=data)
        await worker.app.forward(order)
        for _ in range(2):
            await worker.let_pass(seconds / 2)

    return drive


def then(
    first: Drive, *acts: Callable[[Worker, str], Awaitable[object]], seconds: float = 2, finished: bool = False
) -> Drive:
    """After this, that: each act is given the order's id; what an order does not allow any more is left alone.

    Args:
        first: orders.
        acts: one after the other.
        seconds: between them.
        finished: the first act waits until the order is finished.
    """

    async def drive(worker: Worker) -> None:
        await first(worker)
        order_id = worker.app.order_id_from(1, UID, "1")
        for _ in range(10):
            if not finished or (await worker.app.get(order_id)).is_final:
                break
            await worker.let_pass(1)
        for act in acts:
            with suppress(UsageError, OutcomeUnknown):
                await act(worker, order_id)
            await worker.let_pass(seconds)

    return drive


async def top_up(worker: Worker, order_id: str) -> object:
    return await worker.app.wallet.top_up(UID, Money(400, "CNY"), key="after")


async def cancel(worker: Worker, order_id: str) -> object:
    return await worker.app.cancel(order_id, **WHO)


async def hold(worker: Worker, order_id: str) -> object:
    if worker.world.notes.setdefault("held", False):
        return None
    order = await worker.app.hold(order_id, **WHO)
    worker.world.notes["held"] = True
    return order


async def resume(worker: Worker, order_id: str) -> object:
    return await worker.app.resume(order_id, **WHO)


async def amend(worker: Worker, order_id: str) -> object:
    return await worker.app.amend(order_id, {"number": "good"}, **WHO)


async def skip(worker: Worker, order_id: str) -> object:
    return await worker.app.skip(order_id, "ship", **WHO)


async def switch(worker: Worker, order_id: str) -> object:
    return await worker.app.change_payment(order_id, "card")


async def confirm(worker: Worker, order_id: str) -> object:
    took = worker.world.channel.taken()
    if not took:
        return None
    return await worker.app.confirm_payment(order_id, PRICE, reference=took[0].reference, channel="scripted", **WHO)


def refund(minor: int | None, key: str, **others: Any) -> Callable[[Worker, str], Awaitable[object]]:
    """An operator gives this much back."""

    async def act(worker: Worker, order_id: str) -> object:
        amount = None if minor is None else Money(minor, "CNY")
        return await worker.app.refund(order_id, amount, key=key, **WHO, **others)

    return act


async def pays_before_the_order_is_there(worker: Worker) -> None:
    """The gateway is faster than the shop."""
    order_id = worker.app.order_id_from(1, UID, "1")
    worker.world.pay_outside(order_id, PRICE, "R1")
    await worker.work()
    await worker.app.create(1, UID, amount=PRICE, pay=GATEWAY, own_number="1")
    for _ in range(3):
        await worker.let_pass(1)


async def pays_after_it_was_closed(worker: Worker) -> None:
    """A payment at the shop's own gateway, when the order has been closed."""
    order = await worker.app.create(1, UID, amount=PRICE, pay=GATEWAY, own_number="1")
    await worker.let_pass(9)
    worker.world.pay_outside(order.id, PRICE, "R1", told=2)
    await worker.let_pass(1)


# ---- what the runs are judged by


def create_came_back(world: World) -> None:
    """The tables of ``ReturnShop``."""
    create_goods_table(world)
    world.database.execute("CREATE TABLE came_back (order_id TEXT NOT NULL)")


def taken_back_once(world: World) -> Iterable[str]:
    """What ``ReturnShop`` took back came back once, and its money went back."""
    back = world.database.execute("SELECT order_id FROM came_back")
    took = len(world.channel.taken())
    if len(back) != took:  # neither, where a crash let the cancel come before the payment
        yield f"goods were taken back {len(back)} times"
    yield from gave_back(*[990] * took)(world)


def gave_back(*minor: int) -> Callable[[World], Iterable[str]]:
    """The scripted channel gave back these amounts, each once."""

    def check(world: World) -> Iterable[str]:
        found = sorted(back.amount.amount_minor for back in world.channel.returned())
        if found != sorted(minor):
            yield f"the channel gave back {found}, not {sorted(minor)}"

    return check


def gave_back_if_closed(minor: int) -> Callable[[World], Iterable[str]]:
    """What came after the end went back; what came before an end that a crash put off has paid the order."""

    def check(world: World) -> Iterable[str]:
        delivered = world.database.execute("SELECT order_id FROM goods")
        went_back = world.channel.taken() and not delivered
        return gave_back(*([minor] if went_back else []))(world)

    return check


def _rest(behaviour: Any) -> dict[int | str, Any]:
    return {REST: behaviour}


def _whole(behaviour: Any) -> dict[int | str, Any]:
    return {PRICE.amount_minor: behaviour}


EITHER = frozenset({Stage.CLOSED, Stage.FINISHED})
UNDONE = frozenset({Stage.REFUNDED, Stage.CANCELLED})  # cancelled: after a crash, the cancel came before the payment
PAID = buys("scripted", wallet=0, points=0)

MONEY_SCENARIOS: tuple[Scenario, ...] = (
    scenario("mixed: points, wallet, channel", ClosingShop, buys(PARTS), script=_rest(PaysLater()), most_charges=3),
    scenario("mixed: no answer from the channel", Shop, buys(PARTS), script=_rest(TimesOutAfter()), most_charges=3),
    scenario(
        "mixed: the channel refuses", SoonShop, buys(PARTS), script=_rest(Refuses("no")),
        expect=frozenset({Stage.CANCELLED}), check=hook_ran("ended"),
    ),
    scenario(
        "mixed: never paid, closed by itself", SoonShop, buys(PARTS, seconds=10), script=_rest(NeverPays()),
        expect=frozenset({Stage.CLOSED}), check=hook_ran("ended"),
    ),
    scenario(
        "mixed: the second hold is short", SoonShop, buys(PARTS, wallet=100), expect=frozenset({Stage.REJECTED}),
    ),
    scenario(
        "mixed: short, then a top-up", WaitingShop, then(buys(PARTS, wallet=100, seconds=1), top_up), most_charges=3,
    ),
    scenario("mixed: open parts", Shop, buys(["wallet", "scripted"], wallet=490), script=_rest(PaysAtOnce()),
             most_charges=2),
    scenario("mixed: nothing in the open part", Shop, buys(["wallet", "scripted"], wallet=0, points=0)),
    scenario("mixed: holds cover it all", Shop, buys(["wallet", "scripted"], wallet=990, points=0)),
    scenario("mixed: held at a card", Shop, buys([Pay("card", Money(490, "CNY")), "scripted"], wallet=0, points=0),
             script=_rest(PaysLater()), most_charges=2),
    scenario(
        "mixed: sold out after the payment", SoldOutShop, buys(PARTS), script=_rest(PaysLater()), most_charges=3,
        expect=frozenset({Stage.REFUNDED}), check=gave_back(REST),
    ),
    scenario(
        "mixed: paid after it was closed", SoonShop, buys(PARTS, seconds=10), script=_rest(PaysAfterClose()),
        expect=EITHER, aftermath_s=10, most_charges=3, check=gave_back_if_closed(REST),
    ),
    scenario(
        "closed, then paid, revived", RevivingShop, buys("scripted", wallet=0, points=0, seconds=10),
        script=_whole(PaysAfterClose()), aftermath_s=10,
    ),
    scenario(
        "mixed: closed, then paid, revived", RevivingShop, buys(PARTS, seconds=10),
        script=_rest(PaysAfterClose()), aftermath_s=10, most_charges=3,
        expect=EITHER,  # closed: it came while the holds of the first try were still being released
    ),
    scenario(
        "closed, then paid, given back", SoonShop, buys("scripted", wallet=0, points=0, seconds=10),
        script=_whole(PaysAfterClose()), aftermath_s=10, expect=EITHER, check=gave_back_if_closed(990),
    ),
    scenario(
        "closed, then paid, a person decides", AskingShop, buys("scripted", wallet=0, points=0, seconds=10),
        script=_whole(PaysAfterClose()), aftermath_s=10, expect=EITHER, check=gave_back(),
    ),
    scenario("closed, then paid at the own gateway", RevivingShop, pays_after_it_was_closed),
    scenario(
        "a wrong amount, then the right one", PatientShop, buys("scripted", wallet=0, points=0),
        script=_whole([PaysWrongAmount(), PaysLater()]), aftermath_s=5, most_charges=2, check=gave_back(989),
    ),
    scenario(
        "another channel is chosen", PatientShop, then(buys("scripted", wallet=0, points=0), switch),
        script=_whole(NeverPays()),
    ),
    scenario(
        "a second channel is paid as well", Shop, then(buys("scripted", wallet=0, points=0, seconds=1), switch),
        script=_whole(PaysLater(after=timedelta(seconds=2))), most_charges=2, aftermath_s=5,
    ),
    scenario("paid before the order is there", Shop, pays_before_the_order_is_there),
    scenario("refund of a part", SoonShop, then(PAID, refund(300, "r1"), finished=True), check=gave_back(300)),
    scenario(
        "refund of all, in two parts", SoonShop, then(PAID, refund(300, "r1"), refund(None, "r2"), finished=True),
        expect=frozenset({Stage.REFUNDED}), check=gave_back(300, 690),
    ),
    scenario(
        "refunds that ask for too much", SoonShop,
        then(buys("wallet", wallet=990, points=0), refund(600, "r1"), refund(600, "r2"), finished=True),
    ),
    scenario(
        "paid in silence, just before it is closed", SilentShop, buys("scripted", wallet=0, points=0, seconds=10),
        script=_whole(PaysLater(after=timedelta(seconds=5), notices=())),
    ),
    scenario(
        "refund over three legs", SoonShop,
        then(buys(PARTS), refund(700, "r1", by="ratio"), refund(290, "r2"), finished=True),
        script=_rest(PaysLater()), most_charges=3, expect=frozenset({Stage.REFUNDED}),
    ),
    scenario(
        "refund without an answer, done", SoonShop, then(PAID, refund(300, "r1"), finished=True), check=gave_back(300),
        refund_script={300: [RefundTimesOutAfter()]},
    ),
    scenario(
        "refund without an answer, not done", SoonShop, then(PAID, refund(300, "r1"), finished=True),
        check=gave_back(300),
        refund_script={300: [RefundTimesOutBefore(), RefundsLater(after=timedelta(seconds=3))]},
    ),
    scenario(
        "refund refused", SoonShop, then(PAID, refund(300, "r1"), finished=True), check=gave_back(),
        refund_script={300: RefusesRefund("account closed")},
    ),
    scenario(
        "cancelled before it is paid", SoonShop, then(PAID, cancel), script=_whole(NeverPays()),
        expect=frozenset({Stage.CANCELLED, Stage.CLOSED}), check=hook_ran("ended"),
    ),
    scenario(
        "cancelled, then paid", SoonShop, then(PAID, cancel), script=_whole(PaysAfterClose()),
        expect=frozenset({Stage.CANCELLED, Stage.CLOSED}), aftermath_s=10, check=gave_back(990),
    ),
    scenario(
        "cancelled after delivery", ReturnShop, then(PAID, cancel), expect=UNDONE,
        prepare=create_came_back, check=taken_back_once,
    ),
    scenario(
        "taken back by transaction", ReturnByTransactionShop, then(PAID, cancel), expect=UNDONE,
    ),
    scenario(
        "taken back by receipt", ReturnByReceiptShop, then(PAID, cancel), expect=UNDONE,
        prepare=create_elsewhere, delivered=goods_elsewhere,
    ),
    scenario(
        "taken back behind an API", ReturnByApiShop, then(PAID, cancel), expect=UNDONE,
        delivered=granted,
    ),
    scenario(
        "held and resumed", Shop, then(PAID, hold, resume), script=_whole(PaysLater(after=timedelta(seconds=4))),
        aftermath_s=10,
        expect=frozenset({Stage.FINISHED, Stage.STUCK}),
    ),
    scenario("data amended", DataShop, then(buys("scripted", wallet=0, points=0, data={"number": "bad"}), amend)),
    scenario("a step skipped", BrokenStepShop, then(PAID, skip)),
    scenario(
        "payment confirmed by an operator", Shop, then(PAID, confirm),
        script=_whole(PaysLater(after=timedelta(seconds=1), notices=())),
    ),
    scenario(
        "disputed and lost", SoonShop, PAID, script=_whole(Disputes(decided="lost")), aftermath_s=200,
        expect=frozenset({Stage.REFUNDED, Stage.DISPUTED}),
    ),
    scenario(
        "disputed and won", SoonShop, PAID, script=_whole(Disputes(decided="won")), aftermath_s=200,
        expect=frozenset({Stage.FINISHED, Stage.DISPUTED}),
    ),
)  # fmt: skip
"""Each way in which money comes and goes beside the straight one."""
