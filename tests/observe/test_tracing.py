"""One trace runs from an order's creation to its end: over the queue, and through other processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from observed_shop import PRICE, Gifts, Market
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span

from orderway import App
from orderway.core.hints import Hint
from orderway.observe import Tracing


class Traces:
    """What several Apps, as if each were a process of its own, have traced."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def watch(self, app: App) -> App:
        Tracing(app, tracer_provider=self.provider)
        return app

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def tree(self) -> dict[str, str | None]:
        """Each span's name, and its parent's."""
        names = {span.context.span_id: span.name for span in self.spans}
        return {span.name: span.parent and names.get(span.parent.span_id, "?") for span in self.spans}

    def of_one_trace(self) -> bool:
        return len({span.context.trace_id for span in self.spans}) == 1


@pytest.fixture
def traces() -> Traces:
    return Traces()


async def test_each_step_is_a_span_of_one_trace(market: Market, traces: Traces) -> None:
    async with traces.watch(market.app()) as app:
        await app.wallet.top_up("ann", PRICE, key="t")
        order = await app.forward(await app.create(2, "ann", amount=PRICE, pay="wallet"))
    assert traces.tree() == {
        "orderway create": None,
        "orderway forward": "orderway create",
        "orderway charge": "orderway forward",
        "wallet charge": "orderway charge",
        "orderway deliver": "orderway forward",
        "orderway finish": "orderway forward",
    }
    assert traces.of_one_trace()
    assert dict(traces.named("wallet charge").attributes or {}) == {
        "orderway.order_id": order.id,
        "orderway.channel": "wallet",
        "orderway.outcome": "Captured",
    }


async def test_another_process_finds_the_trace_in_the_orders_journal(market: Market, traces: Traces) -> None:
    async with traces.watch(market.app()) as app:
        order = await app.create(1, "ann")
    async with traces.watch(market.app()) as other:
        await other.forward(order.id)
        created, *_, delivered = await other.journal(order.id)
    assert traces.tree()["orderway forward"] == "orderway create"
    assert traces.of_one_trace()
    for entry, name in ((created, "orderway create"), (delivered, "orderway forward")):
        context = traces.named(name).context
        assert entry.fields["cause"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


async def test_over_the_queue(market: Market, traces: Traces) -> None:
    async with traces.watch(market.app(queue=True)) as app:
        assert app.hinting is not None
        order = await app.create(1, "ann")
        await app.hint(order.id)
    async with traces.watch(market.app(queue=True, sweep=True)) as other:
        other.sweeper.wake()
        for _ in range(20):
            await market.clock.advance(0.5)
    assert traces.of_one_trace()
    assert {"orderway send", "orderway receive", "orderway deliver"} <= set(traces.tree())
    assert traces.tree()["orderway send"] == "orderway create"
    assert traces.tree()["orderway receive"] == "orderway send"


async def test_a_hint_without_a_trace_or_for_no_order_begins_none(market: Market, traces: Traces) -> None:
    async with market.app(queue=True) as plain:
        assert plain.hinting is not None
        order = await plain.create(1, "ann")
        await plain.hinting.queue.send(b"no hint at all", {"traceparent": f"00-{1:032x}-{1:016x}-01"})
        await plain.hinting.send(Hint(order.id), 0)
    async with traces.watch(market.app(queue=True, sweep=True)):
        for _ in range(20):
            await market.clock.advance(0.5)
    assert traces.tree() == {"orderway forward": None, "orderway deliver": "orderway forward"}


async def test_a_request_that_creates_is_the_parent_and_one_that_forwards_is_linked(
    market: Market, traces: Traces
) -> None:
    tracer = traces.provider.get_tracer("web")
    async with traces.watch(market.app()) as app:
        with tracer.start_as_current_span("POST /orders"):
            order = await app.create(1, "ann")
        with tracer.start_as_current_span("POST /callback"):
            await app.forward(order.id)
    assert traces.tree()["orderway create"] == "POST /orders"
    forward = traces.named("orderway forward")
    assert traces.tree()["orderway forward"] == "orderway create"
    assert [link.context.span_id for link in forward.links] == [traces.named("POST /callback").context.span_id]


async def test_what_hooks_trace_belongs_to_their_step(market: Market, traces: Traces) -> None:
    seen = []

    class Traced(Gifts):
        def deliver(self, order: Any, delivery: Any) -> None:  # type: ignore[override]
            seen.append(get_current_span().get_span_context().span_id)

    async with traces.watch(market.app(Traced())) as app:
        await app.forward(await app.create(1, "ann"))
    assert seen == [traces.named("orderway deliver").context.span_id]


async def test_of_an_error_only_its_kind_is_told(market: Market, traces: Traces) -> None:
    market.gifts.fails, market.gifts.text = 1, "ann lives in Paris"
    async with traces.watch(market.app()) as app:
        await app.forward(await app.create(1, "ann"))
    deliver = traces.named("orderway deliver")
    assert not deliver.status.is_ok
    assert (deliver.attributes or {})["error.type"] == "RuntimeError"
    assert not any("ann" in span.to_json() for span in traces.spans)


async def test_a_cause_that_somebody_gave_stays(market: Market, traces: Traces) -> None:
    async with traces.watch(market.app()) as app:
        order = await app.create(2, "ann", amount=PRICE, pay="gateway")
        await app.record_payment(order.id, PRICE, reference="R-1", cause="notice 7")
        paid = (await app.journal(order.id))[1]
    assert paid.fields["cause"] == "notice 7"


@pytest.mark.slow
def test_one_trace_through_two_processes(tmp_path: Path) -> None:
    script = Path(__file__).with_name("traced_process.py")

    def command(role: str) -> list[str]:
        return [sys.executable, str(script), role, str(tmp_path / "orders.db"), str(tmp_path / f"{role}.jsonl")]

    with subprocess.Popen(command("work"), stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            subprocess.run(command("sell"), check=True, timeout=60)
            assert worker.wait(60) == 0
        finally:
            worker.kill()
    spans = [
        {**json.loads(line), "process": role}
        for role in ("sell", "work")
        for line in (tmp_path / f"{role}.jsonl").read_text().splitlines()
    ]
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    by_id = {span["context"]["span_id"]: span for span in spans}
    chain = [next(span for span in spans if span["name"] == "orderway finish")]
    while chain[-1]["parent_id"] is not None:
        chain.append(by_id[chain[-1]["parent_id"]])
    assert [(span["process"], span["name"]) for span in chain] == [
        ("work", "orderway finish"),
        ("work", "orderway forward"),
        ("work", "orderway receive"),
        ("sell", "orderway send"),
        ("sell", "orderway create"),
    ]
