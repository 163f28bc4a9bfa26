"""One of two processes that carry an order between them: ``sell`` creates one, ``work`` finishes it on its hint.

    python traced_process.py sell|work DATABASE SPANS

Each writes its spans to the file SPANS, one JSON a line. ``work`` says when it is ready, and ends with the order.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from orderway import App, Business, Money, Order
from orderway.observe import Tracing


class Memberships(Business[dict[str, Any]]):
    order_type = 1

    def __init__(self) -> None:
        self.done = asyncio.Event()

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        """There is nothing to hand over."""

    async def finished(self, order: Order[Any]) -> None:
        self.done.set()


async def sell(app: App) -> None:
    async with app:
        await app.wallet.top_up("ann", Money.of("9.90", "CNY"), key="first")
        order = await app.create(1, "ann", amount=Money.of("9.90", "CNY"), pay="wallet")
        await app.hint(order.id)


async def work(app: App, memberships: Memberships) -> None:
    async with app:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await memberships.done.wait()


def main(role: str, database: str, spans: str) -> None:
    with open(spans, "w", encoding="utf-8") as file:
        provider = TracerProvider(resource=Resource.create({"service.name": role}))
        exporter = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        memberships = Memberships()
        app = App(f"sqlite:///{database}", queue="store", sweep=role == "work")
        app.register(memberships)
        app.sweeper._poll_s = 3600  # what is not brought by a hint stays
        Tracing(app, tracer_provider=provider)
        asyncio.run(sell(app) if role == "sell" else work(app, memberships))


if __name__ == "__main__":
    main(*sys.argv[1:])
