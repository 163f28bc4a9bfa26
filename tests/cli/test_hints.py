"""``orderway hint`` over a queue, ``orderway hints``, and what the doctor says of a queue."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orderway import App, blocking
from orderway.adapters import open_ports, queue_for, started_queue
from orderway.config import load_settings
from orderway.core.hints import Hint, decode
from orderway.errors import ConfigError

NOBODY = "amqp://me:hunter2@127.0.0.1:1/%2F?answer_within_s=1"
"""Where no broker listens."""
SHOP = """
from shop import *

def make(queue="store"):
    app = App("sqlite:///orders.db", sweep=False, queue=queue)
    app.register(Toy())
    return app

def broken():
    return make("{url}")
"""


@pytest.fixture
def queued(shop: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The shop with a module ``queued``, whose Apps have a queue."""
    (shop.folder / "queued.py").write_text(SHOP.replace("{url}", NOBODY))
    monkeypatch.delitem(__import__("sys").modules, "queued", raising=False)
    return shop


async def bury(folder: Path, *letters: tuple[bytes, str]) -> None:
    ports = await open_ports(f"sqlite:///{folder}/orders.db")
    async with started_queue("store", ports) as queue:
        for body, reason in letters:
            await queue.send(body, {}, 0)
            await queue.bury(await queue.receive(), reason)
    await ports.close()


async def receive(folder: Path) -> bytes:
    ports = await open_ports(f"sqlite:///{folder}/orders.db")
    async with started_queue("store", ports) as queue, asyncio.timeout(60):
        message = await queue.receive()
        await queue.ack(message)
    await ports.close()
    return message.body


def test_hint_sends_one_over_the_queue_of_the_app(queued: Any) -> None:
    order_id = queued.ids["waiting"]
    assert queued.run("hint", order_id, "--app", "queued:make").stdout == "it is due now, and a hint was sent\n"
    assert decode(asyncio.run(receive(queued.folder))) == Hint(order_id, "bob")
    assert queued.json("hint", order_id, "--app", "queued:make")["sent"] is True
    finished = queued.json("hint", queued.ids["finished"], "--app", "queued:make")
    assert (finished["hinted"], finished["sent"]) == (False, None)


def test_hint_does_without_a_queue_that_is_down(queued: Any) -> None:
    out = queued.run("hint", queued.ids["waiting"], "--app", "queued:broken")
    assert (out.exit_code, out.stdout) == (0, "it is due now\n")
    assert "no hint was sent, and none is needed: " in out.stderr
    assert "hunter2" not in out.output


def test_hints_lists_dead_letters_harmlessly(queued: Any) -> None:
    asyncio.run(bury(queued.folder, (b"\x1b[2J\xff" + b"x" * 1000, "unreadable"), (b"{}", "unknown_order")))
    out = queued.run("hints", "--app", "queued:make")
    heading, first, second = out.stdout.splitlines()
    assert heading.split() == ["buried", "reason", "body"]
    assert "unreadable" in first
    assert "\\x1b[2J\\xff" in first
    assert "\x1b" not in out.stdout
    assert len(first) < 400
    assert second.endswith("  {}")
    found = queued.json("hints", "--queue", "store", "--limit", "1")
    assert found["queue"] == "the orders' own database"
    (letter,) = found["hints"]
    assert (letter["reason"], len(letter["body"])) == ("unreadable", 1008)
    assert letter["buried_at"].endswith("Z")


def test_hints_says_when_there_are_none_or_which_queue_is_lacking(queued: Any) -> None:
    assert queued.run("hints", "--app", "queued:make").stdout == "no dead letters in the orders' own database\n"
    for words, said, code in (
        ([], "no queue is given: name one by --queue", 4),
        (["--app", "shop:make"], "your App has no queue", 4),
        (["--app", "queued:make", "--queue", "store"], "exclude each other", 2),
        (["--queue", "hunter2:secret"], "what was given is no queue that Orderway knows", 4),
        (["--queue", NOBODY], "RabbitMQ at amqp://127.0.0.1:1", 6),
    ):
        out = queued.run("hints", *words)
        assert said in out.stderr, words
        assert "hunter2" not in out.output
        assert out.exit_code == code, words


def queue_finding(shop: Any, *words: str) -> tuple[bool, str, str]:
    (found,) = [each for each in shop.json("doctor", *words)["findings"] if each["part"] == "queue"]
    return found["ok"], found["found"], found["advice"]


def test_the_doctor_looks_at_the_queue(queued: Any) -> None:
    is_well, found, advice = queue_finding(queued, "--app", "queued:make")
    assert (is_well, advice) == (True, "")
    assert found.endswith("; no dead letters")
    asyncio.run(bury(queued.folder, (b"x", "unreadable"), (b"y", "expired"), (b"z", "unreadable")))
    is_well, found, advice = queue_finding(queued, "--app", "queued:make")
    assert is_well
    assert found.endswith("; dead letters: 3 (2 unreadable, 1 expired)")
    assert advice.startswith("see what they are by `orderway hints --app queued:make`")
    out = queued.run("doctor", "--app", "queued:broken")
    assert out.exit_code == 1
    assert "FAULT queue: RabbitMQ at amqp://127.0.0.1:1" in out.stdout
    assert "orders go on without it" in out.stdout


def test_the_doctor_looks_at_the_configured_queue(queued: Any) -> None:
    config = queued.folder / "orders.yaml"
    document = {"databases": "sqlite:///orders.db", "queue": {"enabled": True, "kind": "rabbitmq", "url": NOBODY}}
    config.write_text(json.dumps(document))
    is_well, found, _ = queue_finding(queued, "--config", str(config))
    assert not is_well
    assert "hunter2" not in queued.run("doctor", "--config", str(config)).output
    config.write_text(json.dumps(document | {"queue": {"enabled": True}}))
    assert queue_finding(queued, "--config", str(config))[0], found


WRONG = [
    "stroe",
    "kafka://:hunter2@h",
    "hunter2",
    "store://hunter2",
    "pulsar",
    "pulsar://:hunter2/@h",
    "amqp://u:hunter2@h:x",
]


@pytest.mark.parametrize("queue", WRONG)
def test_a_queue_that_cannot_be_is_refused_before_anything_is_connected_to(queue: str) -> None:
    with pytest.raises(ConfigError) as caught:
        App("memory://", queue=queue)
    assert "hunter2" not in str(caught.value)
    assert "its form is" in str(caught.value) or "are allowed" in str(caught.value)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{folder}/orders.db"])
def test_a_blocking_app_with_a_queue(url: str, tmp_path: Path) -> None:
    url = url.format(folder=tmp_path)
    settings = load_settings(environ={}, databases=url, queue={"enabled": True, "delay_s": 7}, worker={"sweep": False})
    for app in (blocking.App(url, queue="store", sweep=False), blocking.App.from_settings(settings)):
        with app:
            order_id = app.inner.order_id_from(1, "ann", "n")
            app.send_hint(order_id, "ann", delay_s=0)
            assert app.inner.hinting is not None
            assert app.inner.hinting.outcomes["sent"] == 1
    assert settings.app_arguments()["queue_delay_s"] == 7
    with blocking.App(url, sweep=False) as without, pytest.raises(ConfigError, match="this App has no queue"):
        without.send_hint(order_id, "ann")


def test_a_ready_queue_is_taken_as_it_is() -> None:
    app = App("memory://")
    queue = queue_for("store", app.ports)
    assert queue_for(queue, app.ports) is queue
