"""An operator whose machine has a wrong clock: what is late, and how long ago something was, the database says."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from orderway import Business, blocking
from orderway.adapters import open_ports
from orderway.checkpoint import Checkpoint
from orderway.cli import metrics
from orderway.cli.commands import orderway
from orderway.cli.opening import Settings
from orderway.ports.store import Query
from orderway.system_clock import SystemClock

AHEAD_US = 86_400_000_000


class Song(Business[None]):
    order_type = 1

    async def deliver(self, order: object, delivery: object) -> None:
        pass


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    made: str = request.getfixturevalue(f"{request.param}_url")
    with blocking.App(made, sweep=False) as app:
        app.register(Song())
        order = app.create(1, "ann", pay="gateway", amount=None)
        app.hint(order.id)
    return made


@pytest.fixture(autouse=True)
def a_day_ahead(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = SystemClock.now_us
    monkeypatch.setattr(SystemClock, "now_us", lambda clock: right(clock) + AHEAD_US)


def output_of(*arguments: str) -> str:
    result = CliRunner().invoke(orderway, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_how_long_ago_counts_from_the_time_of_the_database(url: str) -> None:
    for options, found in ((("--since", "1h"), 1), (("--until", "1h"), 0)):
        page = json.loads(output_of("list", "--json", "--url", url, *options))
        assert len(page["orders"]) == found


def test_the_doctor_takes_nothing_for_late(url: str) -> None:
    assert "1 are due, the oldest for 0 s" in output_of("doctor", "--url", url)


def test_metrics_take_nothing_for_late(url: str) -> None:
    [age] = [line for line in output_of("metrics", "--url", url).splitlines() if line.startswith("orderway_oldest_due")]
    assert float(age.split()[-1]) < AHEAD_US / 1_000_000 / 2


async def test_nor_do_metrics_that_are_asked_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(metrics, "print_json", told.set_result)
    listening = asyncio.create_task(metrics._serve(Settings((url,), json=True), "127.0.0.1:0", every_s=1))
    place, ages = (await told)["url"], list[str]()
    async with httpx.AsyncClient() as client:
        while not ages:
            ages = re.findall(r"^orderway_oldest_due\S* (\S+)", (await client.get(place)).text, re.MULTILINE)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert float(ages[0]) < AHEAD_US / 1_000_000 / 2


async def test_a_hint_can_be_taken_at_once(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_shop.py").write_text(f"""
from orderway import App
from {__name__} import Song

app = App({url!r}, queue="store", sweep=False)
app.register(Song())
""")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "late_shop", raising=False)
    ports = await open_ports(url)
    [order] = (await ports.store.list(Query())).orders
    told = await asyncio.to_thread(output_of, "hint", order.id, "--app", "late_shop:app")
    assert told == "it is due now, and a hint was sent\n"
    now_us = await ports.now_us()
    assert len(await ports.mailbox.take(now_us, now_us + 1, 10)) == 1
    await ports.close()


def test_a_checkpoint_is_of_the_time_of_the_database(url: str, tmp_path: Path) -> None:
    output_of("verify", "--url", url, "--write", str(tmp_path / "checkpoint.txt"))
    made_at = datetime.fromisoformat(Checkpoint(tmp_path / "checkpoint.txt").at)
    assert made_at.timestamp() * 1_000_000 < SystemClock().now_us() - AHEAD_US / 2
