"""The scenarios that Orderway explores itself with; examples for scenarios of your own.

All orders are of user ``ann``, and named by numbers of their own, so that a caller can ask again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from orderway.channels.scripted import (
    DOUBLED,
    Notice,
    PaysAtOnce,
    PaysLater,
    PaysTwice,
    Script,
    TimesOutAfter,
    TimesOutBefore,
)
from orderway.core.money import Money
from orderway.core.order import Stage
from orderway.core.payment import GATEWAY
from orderway.errors import IllegalTransition
from orderway.testing.explorer import Scenario
from orderway.testing.money_scenarios import MONEY_SCENARIOS
from orderway.testing.shops import (
    PRICE,
    UID,
    AlertingShop,
    ApiShop,
    BlockingTransactionShop,
    CarefulShop,
    ClosingShop,
    ReceiptShop,
    Shop,
    StepShop,
    TransactionShop,
    WaitingShop,
    WaveringShop,
    create_elsewhere,
    each_step_has_one_key,
    goods_elsewhere,
    granted,
    hook_ran,
    scenario,
    told_and_not_too_often,
)
from orderway.testing.world import Worker

__all__ = ["SCENARIOS", "scenario"]

# ---- what the outside world does


def buy(pay: str | None, *, price: Money | None = PRICE, top_up: Money | None = None) -> Callable[[Worker], Any]:
    """A caller who orders and forwards, with money in the wallet before if ``top_up`` says so."""

    async def drive(worker: Worker) -> None:
        if top_up is not None:
            await worker.app.wallet.top_up(UID, top_up, key="before")
        order = await worker.app.create(1, UID, amount=price, pay=pay, own_number="1")
        await worker.app.forward(order)

    return drive


def buy_and_wait(seconds: float) -> Callable[[Worker], Awaitable[None]]:
    """A caller who orders through the scripted channel; time passes, in which the payer pays or does not."""

    async def drive(worker: Worker) -> None:
        await buy("scripted")(worker)
        await worker.let_pass(seconds)

    return drive


async def pay_at_own_gateway(worker: Worker) -> None:
    """The shop's own gateway tells of a payment, twice, as gateways do until they are answered."""
    order = await worker.app.create(1, UID, amount=PRICE, pay=GATEWAY, own_number="1")
    worker.world.pay_outside(order.id, PRICE, "R1", told=2)
    await worker.work()
    await worker.app.forward(order)  # the order as it was before it was paid: only its row counts


async def short_then_top_up(worker: Worker) -> None:
    """A caller without money, who tops up later."""
    await buy("wallet")(worker)
    await worker.let_pass(1)
    await worker.app.wallet.top_up(UID, PRICE, key="after")


async def stuck_then_retried(worker: Worker) -> None:
    """A delivery fails until its order is stuck; some alerts later the cause is mended, and an operator sends it on."""
    await buy("wallet", top_up=PRICE)(worker)
    order_id = worker.app.order_id_from(1, UID, "1")
    for _ in range(12):
        await worker.let_pass(2)
    worker.world.notes["mended"] = True
    with suppress(IllegalTransition):  # done before a crash
        await worker.app.retry_now(order_id, actor="eve", reason="mended", delay_s=2)


def _scripted(behaviour: Any) -> Script:
    return {PRICE.amount_minor: behaviour}


LATE = (Notice(), Notice(after=timedelta(seconds=90)))

SCENARIOS: tuple[Scenario, ...] = (
    scenario("prepaid from the wallet", ClosingShop, buy("wallet", top_up=PRICE), check=hook_ran("finished")),
    scenario("pay later", Shop, buy_and_wait(2), script=_scripted(PaysLater())),
    scenario("own gateway", Shop, pay_at_own_gateway),
    scenario("nothing to pay", Shop, buy(None, price=None)),
    scenario(
        "insufficient, rejected",
        ClosingShop,
        buy("wallet"),
        expect=frozenset({Stage.REJECTED}),
        check=hook_ran("ended"),
    ),
    scenario("insufficient, then top-up", WaitingShop, short_then_top_up),
    scenario(
        "late and doubled callback", Shop, buy_and_wait(2), script=_scripted(PaysLater(notices=DOUBLED)), aftermath_s=5
    ),
    scenario("callback after the end", Shop, buy_and_wait(2), script=_scripted(PaysAtOnce(LATE)), aftermath_s=120),
    scenario(
        "paid twice", ClosingShop, buy_and_wait(2), script=_scripted(PaysTwice(notices=LATE)), aftermath_s=120,
        most_charges=2,
    ),
    scenario("unknown outcome, money taken", Shop, buy_and_wait(2), script=_scripted(TimesOutAfter())),
    scenario(
        "unknown outcome, nothing taken", Shop, buy_and_wait(2), script=_scripted([TimesOutBefore(), PaysAtOnce()])
    ),
    scenario("steps", StepShop, buy("wallet", top_up=PRICE), check=each_step_has_one_key),
    scenario("own transaction", TransactionShop, buy("wallet", top_up=PRICE)),
    scenario("own transaction in a thread", BlockingTransactionShop, buy("wallet", top_up=PRICE)),
    scenario("receipt", ReceiptShop, buy("wallet", top_up=PRICE), prepare=create_elsewhere, delivered=goods_elsewhere),
    scenario("goods behind an API", ApiShop, buy("wallet", top_up=PRICE), delivered=granted),
    scenario(
        "out of stock for a moment",
        WaveringShop,
        buy("scripted"),
        expect=frozenset({Stage.FINISHED, Stage.CANCELLED, Stage.CLOSED}),  # closed: the verdict was lost in a crash
    ),
    scenario("held for a person", CarefulShop, buy("scripted"), expect=frozenset({Stage.FINISHED, Stage.STUCK})),
    scenario(
        "stuck, told of, and retried",
        AlertingShop,
        stuck_then_retried,
        expect=frozenset({Stage.FINISHED, Stage.STUCK}),
        check=told_and_not_too_often,
    ),
    scenario(
        "rejected, then top-up",
        ClosingShop,
        short_then_top_up,
        expect=frozenset({Stage.FINISHED, Stage.REJECTED}),
    ),
    *MONEY_SCENARIOS,
)  # fmt: skip
"""Every way to pay and every way to deliver; the delivery by ``delivery.execute`` is the first ones'."""
