"""The commands stuck and retry-now."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orderway import App, Business, Retry
from orderway.cli.commands import orderway
from orderway.core.order import Order, Stage
from orderway.testing.clock import VirtualClock


class Gifts(Business[None]):
    order_type = 1
    retry = Retry(most_attempts=1)

    async def deliver(self, order: Order[Any], delivery: Any) -> None:
        raise OSError("the warehouse\ndoes not answer") if order.uid != "bob" else ValueError("no size")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Three orders that are stuck, one of them held by a person, and one that waits for its payer."""
    url = f"sqlite:///{tmp_path}/orders.db"

    async def sell() -> None:
        app = App(url, sweep=False, clock=VirtualClock())
        app.register(Gifts())
        async with app:
            for uid in ("ann", "bob"):
                await app.forward(await app.create(1, uid))
            held = await app.create(1, "eve")
            await app.hold(held.id, actor="joe", reason="a second look")
            await app.forward(held.id)

    asyncio.run(sell())
    return url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(orderway, list(arguments))


def test_stuck_orders_are_grouped_by_reason(url: str) -> None:
    groups = json.loads(run("stuck", "--url", url, "--json").stdout)["groups"]
    assert [(each["reason"], each["orders"], each["types"]) for each in groups] == [
        ("hook_failed", 2, {"1": 2}),
        ("held_by_operator", 1, {"1": 1}),
    ]
    shown = run("stuck", "--url", url).stdout
    assert "hook_failed" in shown
    assert "retry-now" in shown
    assert run("stuck", "--url", url, "--type", "7").stdout == "nothing is stuck\n"


def test_those_of_one_reason_are_shown_one_by_one(url: str) -> None:
    orders = json.loads(run("stuck", "--url", url, "--reason", "hook_failed", "--json").stdout)["orders"]
    assert [each["attempts"] for each in orders] == [1, 1]
    assert {each["error"] for each in orders} == {
        "OSError: the warehouse\ndoes not answer",
        "ValueError: no size",
    }
    assert all(each["first_try_at"] <= each["last_try_at"] for each in orders)
    assert all(each["resumes_at"] == "paid" for each in orders)
    assert "OSError: the warehouse" in run("stuck", "--url", url, "--reason", "hook_failed").stdout


def test_retrying_many_is_a_dry_run_first_and_spreads_them(url: str) -> None:
    signed = ("--actor", "joe", "--reason", "the warehouse is back", "--url", url)
    rehearsed = run("retry-now", "--all", "--type", "1", *signed)
    assert rehearsed.exit_code == 0, rehearsed.output
    assert "3 retried" in rehearsed.output or "3 would be retried" in rehearsed.output, rehearsed.output
    assert len(json.loads(run("stuck", "--url", url, "--json").stdout)["groups"]) == 2, "nothing has happened yet"
    done = run("retry-now", "--all", "--type", "1", "--yes", "--rate", "0.5", *signed)
    assert done.exit_code == 0, done.output
    assert run("stuck", "--url", url).stdout == "nothing is stuck\n"
    listed = json.loads(run("list", "--url", url, "--json").stdout)["orders"]
    due = sorted(each["due_at"] for each in listed)
    assert len(set(due)) == 3, "one after the other"
    assert {each["stage"] for each in listed} == {Stage.PAID.value}


def test_one_order(url: str) -> None:
    example = json.loads(run("stuck", "--url", url, "--json").stdout)["groups"][1]["example"]
    done = run("retry-now", example, "--actor", "joe", "--reason", "looked at", "--url", url, "--json")
    assert json.loads(done.stdout)["order"]["stage"] == Stage.PAID.value
    assert run("retry-now", example, "--url", url).exit_code == 2, "who and why is asked"
