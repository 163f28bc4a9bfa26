"""No secret and no business data in logs, metrics, spans and on the streams, whatever becomes of an order."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from observed_shop import PRICE
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orderway import App, Business, Cancel, Money, Order, OrderwayError, Retry, ScriptedChannel
from orderway.adapters import memory_ports
from orderway.channels.behaviours import PaysWrongAmount, TimesOutAfter
from orderway.errors import Declined, Unavailable
from orderway.memory import MemoryDatabase, MemoryMailbox
from orderway.observe import JsonLines, Metrics, Tracing
from orderway.ports.business import Hold, RetryIn, Verdict
from orderway.ports.channel import Charge, Outcome
from orderway.queues.store import StoreQueue
from orderway.testing.clock import VirtualClock

CANARY = re.compile(r"canary-[a-z0-9-]+")
LATE = "canary-late-hook-error"  # the places in the code are logged, so it must not stand in one of them


class Goods(Business[dict[str, Any]]):
    """Does what the order's data say; all that it raises and returns sings."""

    order_type = 1
    retry = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=30), jitter=0, deadline=timedelta(minutes=2))
    refund_within = timedelta(minutes=2)

    def can_forward(self, order: Order[Any]) -> Verdict:
        verdicts: dict[str, Verdict] = {
            "cancel": Cancel("canary-cancel-reason"),
            "hold": Hold("canary-hold-reason"),
            "wait": RetryIn(timedelta(seconds=5), "canary-wait-reason"),
        }
        return verdicts.get(order.data.get("verdict", ""))

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        match order.data.get("deliver"):
            case "raise":
                raise RuntimeError("canary-hook-error")
            case "sql":
                delivery.execute("INSERT INTO nowhere VALUES (:v)", {"v": "canary-parameter"}, expect=1)
            case "late":
                async with delivery.transaction() as connection:
                    await connection.fetch("SELECT 1")
                raise RuntimeError(LATE)
        await delivery.step("pack", lambda key: {"parcel": "canary-step-result"})

    def take_back(self, order: Order[Any], delivery: Any) -> None:
        """In a thread, as any plain ``def``."""

    def ended(self, order: Order[Any]) -> None:
        if order.data.get("ended") == "raise":
            raise RuntimeError("canary-ended-error")


class Bank(ScriptedChannel):
    """Sings in its errors, too."""

    async def charge(self, charge: Charge) -> Outcome:
        match charge.amount.amount_minor:
            case 1:
                raise Declined("canary-declined")
            case 2:
                raise Unavailable("canary-unavailable")
            case 3:
                raise RuntimeError("canary-channel-bug")
        return await super().charge(charge)


class Scene:
    """An App with everything that tells of it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.database = MemoryDatabase()
        self.bank = Bank(self.clock, secret=b"canary-channel-secret", name="bank")
        self.log = io.StringIO()
        self.exporter = InMemorySpanExporter()

    @asynccontextmanager
    async def app(self) -> AsyncIterator[App]:
        queue = StoreQueue(MemoryMailbox(self.database), "memory")
        app = App(memory_ports(self.database), clock=self.clock, channels=[self.bank], queue=queue, queue_delay_s=0)
        app.register(Goods())
        self.metrics = Metrics(app)
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        Tracing(app, tracer_provider=provider)
        async with app:
            yield app

    async def sell(self, app: App, amount: Money | None = None, pay: str | None = None, **data: str) -> Order[Any]:
        """An order of which everything sings, carried for ten minutes."""
        order = await app.create(
            *(1, "canary-uid"),
            amount=amount,
            pay=pay,
            data={"name": "canary-data", **data},
            remark="canary-remark",
            own_number=f"canary-number-{data}-{amount}-{pay}-{self.clock.now_us()}",
        )
        await app.forward(order)
        for _ in range(20):
            await self.clock.advance(30)
        return await app.get(order.id)

    def outputs(self, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
        streams = capsys.readouterr()
        return {
            "log": self.log.getvalue(),
            "stdout": streams.out,
            "stderr": streams.err,
            "metrics": self.metrics.text(),
            "spans": "".join(span.to_json() for span in self.exporter.get_finished_spans()),
        }


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    logger, handler = logging.getLogger("orderway"), logging.StreamHandler(scene.log)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield scene
    logger.setLevel(level)
    logger.removeHandler(handler)


async def test_nothing_sings(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    fates = []
    async with scene.app() as app:
        await app.wallet.top_up("canary-uid", Money(5000, "CNY"), key="canary-key", memo="canary-memo")
        for data in ({}, {"verdict": "cancel"}, {"verdict": "hold"}, {"deliver": "raise"}, {"deliver": "sql"}):
            fates.append(await scene.sell(app, **data))
        fates.append(await scene.sell(app, deliver="late"))
        fates.append(await scene.sell(app, verdict="cancel", ended="raise"))
        paid = await scene.sell(app, Money(100, "CNY"), "wallet")
        fates.append(await scene.sell(app, Money(9000, "CNY"), "wallet"))
        for amount_minor in (1, 2, 3):
            fates.append(await scene.sell(app, Money(amount_minor, "CNY"), "bank"))
        scene.bank.default = TimesOutAfter()
        fates.append(await scene.sell(app, PRICE, "bank"))
        scene.bank.default = PaysWrongAmount(5)
        fates.append(await scene.sell(app, PRICE, "bank"))
        await app.refund(
            paid.id, Money(10, "CNY"), key="canary-refund-key", actor="canary-actor", reason="canary-reason"
        )
        await app.record_payment(paid.id, PRICE, reference="canary-reference", cause="canary-cause")
        await app.cancel(paid.id, actor="canary-actor", reason="canary-reason")
        parked = app.new_order_id(1, "canary-uid")
        await app.record_payment(parked, PRICE, reference="canary-parked", cause="canary-cause")
        assert app.hinting is not None
        await app.hinting.queue.send(b"canary-message", {})
        await app.hinting.queue.send(json.dumps({"OrderID": paid.id, "Uid": "canary-other"}).encode(), {})
        for _ in range(20):
            await scene.clock.advance(30)
        paid = await app.get(paid.id)
        journals = [entry for order in [*fates, paid] for entry in await app.journal(order.id)]
        stored = "".join(f"{entry.body}{entry.private}" for entry in journals)
    found = {name: CANARY.findall(text) for name, text in scene.outputs(capsys).items()}
    assert not any(found.values()), found
    # It was there to be found: each of these came into the journal, and each kind of line into the log.
    for what in ("data", "remark", "uid", "hook-error", "ended-error", "cancel-reason", "hold-reason", "declined"):
        assert f"canary-{what}" in stored, what
    assert {order.status.name for order in [*fates, paid]} >= {"FINISHED", "STUCK", "CANCELLED"}
    log = scene.log.getvalue()
    for line in ("is stuck when", "unexpected payment of", "has no order: it is kept", "was buried", "went back"):
        assert line in log, line
    assert "raised after its transaction was committed: RuntimeError" in log


@pytest.mark.parametrize(
    "options",
    [
        {"url": "postgresql://shop:canary-password@127.0.0.1:1/shop"},
        {"url": "mysql://shop:canary-password@127.0.0.1:1/shop"},
        {"url": "oracle://shop:canary-password@127.0.0.1:1/shop"},
        {"redis": "redis://:canary-password@127.0.0.1:1/0"},
        {"queue": "amqp://shop:canary-password@127.0.0.1:1/"},
        {"queue": "kafka://shop:canary-password@127.0.0.1:1/"},
    ],
    ids=lambda options: next(iter(options.values())).partition(":")[0],
)
async def test_no_password_of_a_url_sings(
    options: dict[str, Any], scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = ""
    try:
        app = App(**options)
        app.register(Goods())
        async with app:
            await app.forward(await app.create(1, "ann", data={}))
            said += repr(app.hinting and app.hinting.queue.where)
    except OrderwayError as error:
        said += f"{error} {error!r}"
    assert CANARY.findall(said + scene.log.getvalue() + caplog.text) == []
    assert said + caplog.text
