"""Whatever a queue does to its messages, and while its broker is killed: every order finishes, each once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chaos import FAULTS, Chaos

from orderway import App, Business, Retry
from orderway.adapters import open_ports, ports_for, queue_for
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.ports.queue import Queue
from orderway.testing.servers import Databases, RabbitmqServer
from orderway.testing.servers.fixtures import StartServer
from orderway.testing.servers.pulsar import best_pulsar

pytestmark = pytest.mark.slow

ORDERS = 60
WITHIN_S = 90
PRICE = Money.of("9.90", "CNY")
BROKERS = ("store", "pulsar", "rabbitmq")


class Gifts(Business[None]):
    """Every third delivery fails once, so that there is something to be tried again."""

    order_type = 1
    retry = Retry(first=timedelta(seconds=0.2), cap=timedelta(seconds=1))

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.changed = asyncio.Condition()

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        self.begun[order.id] += 1
        if order.remark == "fails once" and self.begun[order.id] == 1:
            raise OSError("the warehouse does not answer")
        delivery.execute("INSERT INTO gifts VALUES (:id)", {"id": order.id}, expect=1)

    async def finished(self, order: Order[Any]) -> None:
        async with self.changed:
            self.delivered[order.id] += 1
            self.changed.notify_all()

    async def until_all_finished(self, orders: set[str]) -> None:
        async with asyncio.timeout(WITHIN_S), self.changed:
            await self.changed.wait_for(lambda: set(self.delivered) >= orders)


class Deployment:
    """A shop that only sells, and two workers, over one database and one broker."""

    def __init__(self, folder: Path, queue_url: str, wrap: Callable[[Queue], Queue] = lambda queue: queue) -> None:
        self.file = folder / "orders.db"
        self.gifts = Gifts()
        self.apps: list[App] = []
        self._queue_url = queue_url
        self._wrap = wrap

    @asynccontextmanager
    async def running(self) -> AsyncIterator[App]:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("CREATE TABLE gifts (id TEXT)")  # without a key, so that doubles show
        async with AsyncExitStack() as stack:
            self.apps = [await stack.enter_async_context(self._app(sweep=sweep)) for sweep in (False, True, True)]
            yield self.apps[0]

    def _app(self, *, sweep: bool) -> App:
        ports = ports_for(f"sqlite:///{self.file}")
        app = App(ports, queue=self._wrap(queue_for(self._queue_url, ports)), queue_delay_s=1, sweep=sweep)
        app.register(self.gifts)
        return app

    def outcomes(self) -> Counter[str]:
        """What became of all hints, over all Apps."""
        return sum((app.hinting.outcomes for app in self.apps if app.hinting is not None), Counter[str]())

    async def stages(self, orders: set[str]) -> set[Stage]:
        """In which stages these orders are, when everybody has gone home."""
        ports = await open_ports(f"sqlite:///{self.file}")
        try:
            return {(await ports.store.get(order_id)).stage for order_id in orders}
        finally:
            await ports.close()

    def gifts_given(self) -> list[str]:
        with closing(sqlite3.connect(self.file)) as connection:
            return sorted(row[0] for row in connection.execute("SELECT id FROM gifts"))


async def sell(shop: App, nth: int) -> str:
    """An order that its seller does not carry: free, or paid through the seller's own gateway."""
    remark = "fails once" if nth % 3 == 0 else ""
    if nth % 2:
        return (await shop.create(1, f"user-{nth}", remark=remark)).id
    order = await shop.create(1, f"user-{nth}", amount=PRICE, pay="gateway", remark=remark)
    await shop.record_payment(order.id, PRICE, reference=f"r{nth}")
    return order.id


@pytest.fixture(params=BROKERS)
def queue_url(request: pytest.FixtureRequest) -> str:
    """A queue of this test's own."""
    if request.param == "store":
        return "store"
    server: Databases = request.getfixturevalue(f"{request.param}_server")
    return server.new_database()


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_order_finishes_once(
    tmp_path: Path, queue_url: str, fault: str, summarize: Callable[[str, str], None]
) -> None:
    queues: list[Chaos] = []

    def wrap(queue: Queue) -> Queue:
        queues.append(Chaos(queue, fault, seed=len(queues)))
        return queues[-1]

    deployment = Deployment(tmp_path, queue_url, wrap)
    async with deployment.running() as shop:
        orders = set(await asyncio.gather(*(sell(shop, nth) for nth in range(ORDERS))))
        await deployment.gifts.until_all_finished(orders)
    assert await deployment.stages(orders) == {Stage.FINISHED}
    assert deployment.gifts_given() == sorted(orders)
    assert queues[0].reached >= ORDERS
    outcomes = deployment.outcomes()
    assert (fault == "lost") == (not outcomes.keys() & {"carried", "early", "finished"}), outcomes
    counts = ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    summarize(
        "hints in trouble", f"{queue_url.partition(':')[0]}, {fault}: {ORDERS} orders, each finished once; {counts}"
    )


@pytest.mark.parametrize("kind", [RabbitmqServer, best_pulsar()], ids=["rabbitmq", "pulsar"])
async def test_a_broker_killed_under_load_costs_nothing_but_time(
    tmp_path: Path, kind: Callable[[], Any], own_server: StartServer, summarize: Callable[[str, str], None]
) -> None:
    server = own_server(kind())
    deployment = Deployment(tmp_path, server.new_database())
    async with deployment.running() as shop:
        orders = {await sell(shop, nth) for nth in range(ORDERS)}
        selling = [asyncio.create_task(sell(shop, nth)) for nth in range(ORDERS, 2 * ORDERS)]
        await asyncio.to_thread(server.kill)
        orders |= set(await asyncio.gather(*selling))
        orders |= {await sell(shop, nth) for nth in range(2 * ORDERS, 3 * ORDERS)}
        await deployment.gifts.until_all_finished(orders)
        before = deployment.outcomes()
        await asyncio.to_thread(server.start)
        try:
            async with asyncio.timeout(WITHIN_S):  # hints come again by themselves
                while any(deployment.outcomes()[each] <= before[each] for each in ("sent", "finished")):
                    last = await sell(shop, 3 * ORDERS + len(orders))
                    orders.add(last)
                    await deployment.gifts.until_all_finished({last})
        except TimeoutError:
            said = server.log.read_text(errors="replace")[-4000:]
            pytest.fail(f"No hints came: {deployment.outcomes()} after {before}; the broker said at last:\n{said}")
    assert await deployment.stages(orders) == {Stage.FINISHED}
    assert deployment.gifts_given() == sorted(orders)
    assert deployment.outcomes()["unsent"] > 0, "the broker was missed"
    counts = ", ".join(f"{name} {count}" for name, count in sorted(deployment.outcomes().items()))
    summarize("hints in trouble", f"{type(server).__name__} killed and started: {len(orders)} orders once; {counts}")
