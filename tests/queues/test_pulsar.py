"""What is Pulsar's own: its URLs, its token, its client's ways, and a broker that is not there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import fields, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orderway.errors import ConfigError, InvalidValue, Unavailable
from orderway.ports.queue import DELAYS, REDELIVERS, SURVIVES_RESTART, Message, Queue
from orderway.queues.pulsar import Pulsar, PulsarQueue, connecting
from orderway.system_clock import SystemClock
from orderway.testing.servers import PulsarTopics

TOKEN = "eyJhbGciOi.canary-4711.x_y"
NOBODY = "pulsar://127.0.0.1:9/order?answer_within_s=1"
"""Where no broker listens."""
WITHIN_S = 20.0


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("pulsar://host", Pulsar("pulsar://host")),
        ("pulsar://host:6650/", Pulsar("pulsar://host:6650", "public", "default", "order", "order")),
        ("pulsar://host/hints", Pulsar("pulsar://host", topic="hints")),
        ("pulsar://a:1,b:2/t/n/o?subscription=s", Pulsar("pulsar://a:1,b:2", "t", "n", "o", "s")),
        ("pulsar://[::1]:6650/t/n/o", Pulsar("pulsar://[::1]:6650", "t", "n", "o")),
        ("pulsar+ssl://:a%2Fb@host", Pulsar("pulsar+ssl://host", token="a/b")),
        ("pulsar://host?token=a%26b&delays=no", Pulsar("pulsar://host", token="a&b", delays=False)),
        ("pulsar://host?answer_within_s=9", Pulsar("pulsar://host", answer_within_s=9)),
        ("pulsar+ssl://host?tls_trust_certs=/c.pem", Pulsar("pulsar+ssl://host", tls_trust_certs="/c.pem")),
    ],
)
def test_a_url_says_where_and_how(url: str, options: Pulsar) -> None:
    assert Pulsar.from_url(url) == options


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://host", "its form is pulsar://host:6650/tenant/namespace/topic"),
        ("pulsar://", "its form is pulsar://"),
        ("pulsar://host:6650/a/b", "/topic or /tenant/namespace/topic are allowed"),
        ("pulsar://host/a/b/c/d", "/topic or /tenant/namespace/topic are allowed"),
        ("pulsar://host/a b", "is no topic of Pulsar"),
        ("pulsar://host?subscription=a/b", "is no subscription of Pulsar"),
        ("pulsar://host?delays=maybe", "delays='maybe'"),
        ("pulsar://host?answer_within_s=soon", "answer_within_s='soon'"),
        ("pulsar://host?answer_within_s=600", "1 to 60 whole seconds are allowed"),
        ("pulsar://host/hints?dead_letters=hints", "a topic of their own"),
        ("pulsar://host?retries=3", "'retries' is no parameter"),
        ("pulsar://host?nothing", "cannot be read"),
        ("pulsar://host#part", "cannot be read"),
        (f"pulsar://:{TOKEN}/@host", "percent-encoded"),
        (f"pulsar://:{TOKEN}%zz@host", "percent-encoded"),
        (f"pulsar://[{TOKEN}@host", "percent-encoded"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_quoting_a_secret(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        PulsarQueue.from_url(url)
    assert says in str(refused.value)
    assert "canary" not in str(refused.value)


def test_each_parameter_is_on_the_page_of_queues() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backends.md").read_text()
    pulsar = page.partition("## Pulsar\n")[2].partition("\n## ")[0]
    elsewhere = {"service_url", "tenant", "namespace", "topic", "user", "password"}
    parameters = {field.name for field in fields(Pulsar)} - elsewhere
    assert {name for name in parameters if f"| `{name}` |" not in pulsar} == set()


def test_a_broker_without_delays_is_told_by_the_url() -> None:
    assert PulsarQueue.from_url("pulsar://host").capabilities == {DELAYS, REDELIVERS, SURVIVES_RESTART}
    assert PulsarQueue.from_url("pulsar://host?delays=no").capabilities == {REDELIVERS, SURVIVES_RESTART}


def test_without_its_client_it_names_the_extra() -> None:
    program = """if True:
        import sys
        sys.modules["pulsar"] = None
        from orderway.errors import ConfigError
        try:
            import orderway.queues.pulsar
        except ConfigError as error:
            print(error)
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "Pulsar needs the package pulsar-client: pip install 'orderway[pulsar]'\n"


@pytest.mark.slow
async def test_a_broker_that_is_down_is_unavailable_soon_and_nothing_is_said_aloud(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    queue = PulsarQueue.from_url(NOBODY.replace("//", f"//:{TOKEN}@"))
    await queue.start(SystemClock())
    for call in (lambda: queue.send(b""), queue.receive, queue.buried):
        began_s = time.monotonic()
        with pytest.raises(Unavailable) as unavailable:
            await call()
        assert time.monotonic() - began_s < 5
        assert "pulsar://127.0.0.1:9/public/default/order?subscription=order" in str(unavailable.value)
        assert "canary" not in str(unavailable.value)
    await queue.close()
    assert capfd.readouterr() == ("", "")
    assert "canary" not in caplog.text + repr(queue) + repr(Pulsar.from_url(f"pulsar://:{TOKEN}@h")) + queue.where


@pytest.fixture
async def queue(pulsar_server: PulsarTopics) -> AsyncIterator[PulsarQueue]:
    queue = PulsarQueue(replace(Pulsar.from_url(pulsar_server.new_database()), answer_within_s=30))
    await queue.start(SystemClock())
    yield queue
    await queue.close()


def test_a_queue_that_nobody_closed_does_not_end_the_process(pulsar_server: PulsarTopics) -> None:
    """The client's threads answer late; where that met an event loop that is closed, the process was aborted."""
    program = """if True:
        import asyncio, gc, sys
        from orderway.queues.pulsar import PulsarQueue
        from orderway.system_clock import SystemClock

        async def use_and_forget():
            queue = PulsarQueue.from_url(sys.argv[1])
            await queue.start(SystemClock())
            await queue.send(b"1")
            await queue.receive()
            waiting = asyncio.create_task(queue.receive())
            await asyncio.sleep(0)

        for _ in range(2):
            asyncio.run(use_and_forget())
            gc.collect()
        print("done")
    """
    command = [sys.executable, "-c", program, pulsar_server.new_database()]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


@pytest.fixture
def apache(pulsar_server: PulsarTopics) -> PulsarTopics:
    """Apache's own broker, which is told by its asking for a token."""
    if not urlsplit(pulsar_server.url).password:
        pytest.skip("pulsar-lite asks for no token, and cannot tell whether a topic is empty")
    return pulsar_server


async def test_a_message_to_be_retried_later_comes_after_that_delay(queue: PulsarQueue) -> None:
    await queue.send(b"later")
    message = await soon(queue.receive())
    began_s = time.monotonic()
    await queue.retry(message, 1.0)
    again = await soon(queue.receive())
    assert (again.body, again.tries) == (b"later", 1)
    assert time.monotonic() - began_s >= 1.0


async def test_a_message_that_was_settled_otherwise_is_left_alone(apache: PulsarTopics, queue: PulsarQueue) -> None:
    await queue.send(b"again")
    message = await soon(queue.receive())
    await queue.retry(message, 0)
    await queue.ack(message)
    await queue.bury(message, "unreadable")
    assert (await soon(queue.receive())).tries == 1
    assert await queue.buried() == []


async def test_what_the_client_itself_gives_up_is_among_the_dead_letters(
    apache: PulsarTopics, queue: PulsarQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "MOST_TRIES", 2)
    await queue.send(b"poison")
    for _ in range(3):
        await queue.retry(await soon(queue.receive()), 0)
    await queue.send(b"next")
    assert (await soon(queue.receive())).body == b"next"
    async with asyncio.timeout(WITHIN_S):
        while not (buried := await queue.buried()):
            pass  # the client publishes it in its own time, and tells nobody
    assert [(letter.body, letter.reason) for letter in buried] == [(b"poison", "too_many_tries")]


async def test_how_many_dead_letters_may_be_asked_for(apache: PulsarTopics, queue: PulsarQueue) -> None:
    for limit in (0, 1001):
        with pytest.raises(InvalidValue):
            await queue.buried(limit)
    assert await queue.buried(1000) == []


async def test_a_wrong_token_is_refused(apache: PulsarTopics) -> None:
    parts = urlsplit(apache.new_database())
    stranger = parts._replace(netloc=f":{TOKEN}@{parts.hostname}:{parts.port}")
    queue: Queue = PulsarQueue.from_url(stranger.geturl())
    await queue.start(SystemClock())
    with pytest.raises(Unavailable) as refused:  # the client itself says no more than that
        await queue.send(b"")
    assert "canary" not in str(refused.value)
    await queue.close()


async def soon(awaited: Awaitable[Message]) -> Message:
    async with asyncio.timeout(WITHIN_S):
        return await awaited
