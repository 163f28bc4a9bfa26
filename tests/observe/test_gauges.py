"""What waits is read from the database, on a timer; also by a process that serves nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from observed_shop import PRICE, Gifts, Market, Sales
from promtool import promtool

from orderway import App, Money, Pay
from orderway.channels.behaviours import TimesOutBefore
from orderway.cli.commands import orderway
from orderway.errors import Unavailable
from orderway.observe import DatabaseMetrics, Metrics, metrics_app


async def counted(market: Market) -> DatabaseMetrics:
    metrics = DatabaseMetrics(market.app().ports.store, market.clock)
    await metrics.gauges.read()
    return metrics


ORDERWAY = Path(sys.executable).with_name("orderway")


def value(metrics: DatabaseMetrics | Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"orderway_{name}", labels)


async def test_due_orders_by_type_and_for_how_long(market: Market) -> None:
    async with market.app() as app:
        await app.create(1, "ann")
        await market.clock.advance(10)
        await app.create(1, "ann")
        await app.forward(await app.create(1, "bob"))
    await market.clock.advance(5)
    metrics = await counted(market)
    assert value(metrics, "orders", status="forwarding") == 2
    assert value(metrics, "orders", status="finished") == 1
    assert value(metrics, "due_orders", order_type="1") == 2
    assert value(metrics, "oldest_due_order_age_seconds", order_type="1") == pytest.approx(12, abs=3.1)


async def test_stuck_orders_by_reason(market: Market) -> None:
    market.gifts.fails = 1000
    async with market.app() as app:
        order = await app.create(1, "ann")
        for _ in range(40):
            await app.forward(order.id)
            await market.clock.advance(30)
        held = await app.create(1, "ann")
        await app.hold(held.id, actor="op", reason="ann's own words")
    metrics = await counted(market)
    assert value(metrics, "stuck_orders", reason="hook_failed") == 1
    assert value(metrics, "stuck_orders", reason="held_by_operator") == 1
    assert "words" not in metrics.text()


async def test_money_held_and_payments_of_which_nothing_is_known(market: Market) -> None:
    async with market.app() as app:
        await app.wallet.top_up("ann", Money(500, "CNY"), key="t")
        market.channel.default = TimesOutBefore()
        await app.forward(await app.create(2, "ann", amount=PRICE, pay=[Pay("wallet", Money(500, "CNY")), "scripted"]))
    await market.clock.advance(7)
    metrics = await counted(market)
    assert value(metrics, "held_money_minor_units", currency="CNY") == 500
    assert value(metrics, "oldest_unknown_payment_age_seconds") == pytest.approx(7, abs=0.1)


async def test_a_type_that_nobody_serves(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    async with market.app() as app:
        await app.create(1, "ann")
    other = market.app(Sales())
    metrics = Metrics(other)
    for wait_s, warnings in ((1, 0), (100, 1), (1, 1)):
        await market.clock.advance(wait_s)
        await metrics.gauges.read()
        assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == warnings
    assert "type 1 " in caplog.text
    assert value(metrics, "unserved_due_orders", order_type="1") == 1
    assert value(metrics, "order_type_served", order_type="2") == 1
    assert value(metrics, "order_type_served", order_type="1") is None


async def test_they_are_read_on_a_timer_and_by_no_work(market: Market) -> None:
    app = market.app()
    metrics = Metrics(app, every_s=30)
    async with app:
        await market.clock.advance(1)
        for _ in range(3):
            await app.create(1, "ann")
        assert value(metrics, "orders", status="forwarding") == 0
        await market.clock.advance(30)
        assert value(metrics, "orders", status="forwarding") == 3


async def test_while_the_database_is_down_the_last_ones_stay(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(now_us: int) -> Any:
        raise Unavailable("the database does not answer")

    app = market.app()
    metrics = Metrics(app, every_s=10)
    async with app:
        await app.create(1, "ann")
        await market.clock.advance(11)
        read_at = value(metrics, "overview_timestamp_seconds")
        monkeypatch.setattr(app.ports.store, "overview", down)
        await market.clock.advance(21)
    assert value(metrics, "overview_failures_total") == 2
    assert value(metrics, "orders", status="forwarding") == 1
    assert value(metrics, "overview_timestamp_seconds") == read_at


async def test_reading_that_takes_long_is_done_more_seldom(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    app = market.app()
    Metrics(app, every_s=10)
    reads = 0
    overview = app.ports.store.overview

    async def slow(now_us: int) -> Any:
        nonlocal reads
        reads += 1
        await market.clock.wait(asyncio.Event(), 5)
        return await overview(now_us)

    monkeypatch.setattr(app.ports.store, "overview", slow)
    async with app:
        await market.clock.advance(99)
        assert reads == 1
        await market.clock.advance(10)
        assert reads == 2
        await market.clock.advance(5)


@pytest.fixture
async def database(tmp_path: Path) -> str:
    """A shop on a file, in which an order is stuck and one is due; its worker is gone."""
    url = f"sqlite:///{tmp_path}/orders.db"
    app = App(url)
    app.register(Gifts())
    async with app:
        stuck = await app.create(1, "ann")
        await app.hold(stuck.id, actor="op", reason="why not")
        await app.create(1, "ann")
    return url


async def test_what_is_exported_is_as_prometheus_wants_it(market: Market) -> None:
    app = market.app(queue=True)
    metrics = Metrics(app)
    async with app:
        await app.wallet.top_up("ann", PRICE, key="t")
        await app.forward(await app.create(2, "ann", amount=PRICE, pay="wallet"))
        await metrics.gauges.read()
    text = metrics.text()
    assert 'fact="Delivered",order_type="2"' in text
    promtool("check", "metrics", given=text)


def test_the_command_tells_without_any_worker(database: str) -> None:
    result = CliRunner().invoke(orderway, ["--url", database, "metrics"])
    assert result.exit_code == 0, result.output
    assert 'orderway_stuck_orders{reason="held_by_operator"} 1.0' in result.output
    promtool("check", "metrics", given=result.output)
    result = CliRunner().invoke(orderway, ["--url", database, "--json", "metrics"])
    samples = json.loads(result.output)["metrics"]
    assert {"name": "orderway_orders", "labels": {"status": "stuck"}, "value": 1.0} in samples


async def test_over_http(market: Market) -> None:
    app = market.app()
    transport = httpx.ASGITransport(metrics_app(app))
    async with app:
        await app.create(1, "ann")
    async with httpx.AsyncClient(transport=transport, base_url="http://orders") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'orderway_facts_total{fact="Created",order_type="1"} 1.0' in answer.text


@pytest.mark.slow
def test_the_command_listens_alone(database: str) -> None:
    command = [ORDERWAY, "--url", database, "--json", "metrics", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            text = ""
            while not re.search(r"^orderway_stuck_orders\{", text, re.MULTILINE):
                with urllib.request.urlopen(url) as answer:
                    text = answer.read().decode()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
    promtool("check", "metrics", given=text)
