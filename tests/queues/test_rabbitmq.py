"""What is RabbitMQ's own: its URLs, the way of a delayed message, and what other people do with the queue."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orderway.errors import ConfigError, InvalidValue, Unavailable
from orderway.ports.queue import Buried, Message
from orderway.queues.rabbitmq import Rabbitmq, RabbitmqQueue, topology
from orderway.queues.rabbitmq.topology import LEVELS, Topology
from orderway.system_clock import SystemClock
from orderway.testing.servers import RabbitmqQueues, RabbitmqServer
from orderway.testing.servers.fixtures import StartServer
from orderway.testing.servers.guard import processes_in
from orderway.testing.servers.server import free_port

PASSWORD = "canary-4711"
WITHIN_S = 30.0


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("amqp://host", Rabbitmq("host")),
        ("amqp://host/", Rabbitmq("host", 5672, "guest", "guest", "/", "order")),
        ("amqp://ann:a%2Fb%40c@host:1234/shop?queue=hints", Rabbitmq("host", 1234, "ann", "a/b@c", "shop", "hints")),
        ("amqp://host/%2F", Rabbitmq("host")),
        ("amqp://host/a%2Fb", Rabbitmq("host", vhost="a/b")),
        ("amqp://[::1]:5672", Rabbitmq("::1")),
        ("amqps://host", Rabbitmq("host", 5671, tls=True)),
        (f"amqps://host?tls_trust_certs={__file__}", Rabbitmq("host", 5671, tls=True, tls_trust_certs=__file__)),
        ("amqp://host?queue_type=quorum&prefetch=7", Rabbitmq("host", queue_type="quorum", prefetch=7)),
        ("amqp://host?answer_within_s=0.5", Rabbitmq("host", answer_within_s=0.5)),
    ],
)
def test_a_url_says_where_and_how(url: str, options: Rabbitmq) -> None:
    assert Rabbitmq.from_url(url) == options


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("pulsar://host", "its form is amqp://user:password@host:5672/vhost?queue=order"),
        ("amqp://", "its form is amqp://"),
        ("amqp://host:0", "its form is amqp://"),
        ("amqp://host:port", "cannot be read"),
        ("amqp://host/a/b", "percent-encoded"),
        ("amqp://host?queue=a b", "is no name for a queue"),
        ("amqp://host?queue=amq.x", "is no name for a queue"),
        (f"amqp://host?queue={'x' * 129}", "is no name for a queue"),
        ("amqp://host?queue_type=stream", "classic and quorum are allowed"),
        ("amqp://host?prefetch=0", "1 to 10,000 are allowed"),
        ("amqp://host?prefetch=2.5", "prefetch='2.5'"),
        ("amqp://host?answer_within_s=soon", "answer_within_s='soon'"),
        ("amqp://host?answer_within_s=600", "0.1 to 60 are allowed"),
        ("amqps://host?tls_trust_certs=/nowhere", "tls_trust_certs is '/nowhere': [Errno 2] No such file"),
        (f"amqps://host?tls_trust_certs={__file__}", "a file of PEM is needed"),
        ("amqp://host?heartbeat=3", "'heartbeat' is no parameter"),
        ("amqp://host?nothing", "cannot be read"),
        ("amqp://host#part", "cannot be read"),
        (f"amqp://ann:{PASSWORD}/@host", "percent-encoded"),
        (f"amqp://ann:{PASSWORD}%zz@host", "percent-encoded"),
        (f"amqp://ann:[{PASSWORD}@host", "percent-encoded"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_quoting_a_secret(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        RabbitmqQueue.from_url(url)
    assert says in str(refused.value)
    assert "canary" not in str(refused.value)


def test_each_parameter_is_on_the_page_of_queues_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backends.md").read_text().partition("## RabbitMQ")[2]
    said = dict(re.findall(r"^\| `(\w+)` \| (?:`(.+?)`|-) \|", page, re.MULTILINE))
    in_the_address = {"host", "port", "user", "password", "vhost", "tls"}
    parameters = [field for field in fields(Rabbitmq) if field.name not in in_the_address]
    assert said == {
        field.name: f"{field.default:g}" if field.type == "float" else str(field.default) for field in parameters
    }


def test_without_its_client_it_names_the_extra() -> None:
    program = """if True:
        import sys
        sys.modules["aio_pika"] = None
        from orderway.errors import ConfigError
        try:
            import orderway.queues.rabbitmq
        except ConfigError as error:
            print(error)
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "RabbitMQ needs the package aio-pika: pip install 'orderway[rabbitmq]'\n"


# ---- the way of a delayed message -----------------------------------------------------------------------------------


def way_of(shape: Topology, delay_s: float) -> tuple[int, int]:
    """What the server does with a message: how many seconds it is held back in all, and in how many queues."""
    route = shape.route(delay_s)
    levels = {level.name: level for level in map(shape.level, range(route.levels))}  # no others exist yet
    at, waited_s, queues = route.exchange, 0, 0
    while at:
        (binding,) = [each for each in levels[at].bindings if fits(each.pattern, route.key)]
        assert binding.source == at
        at = binding.target
        if binding.to_queue and at != shape.queue:
            arguments = levels[at].arguments
            waited_s, queues = waited_s + int(arguments["x-message-ttl"]) // 1000, queues + 1
            at = str(arguments["x-dead-letter-exchange"])
            assert at or arguments["x-dead-letter-routing-key"] == shape.queue
        elif binding.to_queue:
            at = ""
    return waited_s, queues


def fits(pattern: str, key: str) -> bool:
    """As a topic exchange compares, of whose wildcards only ``*`` is used."""
    words, wanted = key.split("."), pattern.split(".")
    return len(words) == len(wanted) and all(want in ("*", word) for want, word in zip(wanted, words, strict=True))


@given(st.floats(0, 864_000) | st.integers(0, 864_000), st.sampled_from(["classic", "quorum"]))
@example(864_000, "classic")
@example(2**19 - 1, "quorum")
@example(0, "classic")
def test_every_delay_is_waited_for_within_a_second_and_in_at_most_twenty_queues(delay_s: float, kind: str) -> None:
    shape = Topology("order.of.things", kind)
    if delay_s == 0:
        assert shape.route(0) == topology.Route("", "order.of.things", 0)
        return
    waited_s, queues = way_of(shape, delay_s)
    assert waited_s - 1 < delay_s <= waited_s
    assert 1 <= queues <= LEVELS


def test_the_names_fit_where_the_queue_s_own_does() -> None:
    shape = Topology("x" * 128)
    names = [shape.dead, *(shape.level_name(number) for number in range(LEVELS)), shape.route(864_000).key]
    assert max(map(len, names)) <= 255


# ---- a server that is not there -------------------------------------------------------------------------------------


async def test_a_server_that_is_down_is_unavailable_soon_and_no_secret_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"amqp://ann:{PASSWORD}@127.0.0.1:9/shop?queue=hints&answer_within_s=1"
    queue = RabbitmqQueue.from_url(url)
    await queue.start(SystemClock())
    for call in (lambda: queue.send(b""), queue.receive, queue.buried):
        began_s = time.monotonic()
        with pytest.raises(Unavailable) as unavailable:
            await call()
        assert time.monotonic() - began_s < 5
        assert "amqp://127.0.0.1:9/shop?queue=hints" in str(unavailable.value)
        assert "canary" not in str(unavailable.value)
    await queue.close()
    assert "canary" not in caplog.text + repr(queue) + repr(Rabbitmq.from_url(url)) + queue.where


@pytest.mark.slow
async def test_a_wrong_password_is_said_but_not_which(
    rabbitmq_server: RabbitmqQueues, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    parts = urlsplit(rabbitmq_server.new_database())
    queue = RabbitmqQueue.from_url(
        parts._replace(netloc=f"orderway:{PASSWORD}@{parts.netloc.rpartition('@')[2]}").geturl()
    )
    await queue.start(SystemClock())
    with pytest.raises(Unavailable, match="ACCESS_REFUSED") as unavailable:
        await queue.send(b"")
    await queue.close()
    assert "canary" not in caplog.text + str(unavailable.value)


@pytest.mark.slow
async def test_a_frozen_server_keeps_nobody_waiting_and_is_used_again_when_it_goes_on(own_server: StartServer) -> None:
    server = await asyncio.to_thread(own_server, RabbitmqServer())
    url = server.new_database()
    queue = RabbitmqQueue.from_url(f"{url}&answer_within_s=1")
    await queue.start(SystemClock())
    await queue.send(b"before")
    message = await queue.receive()
    signal_all(server, signal.SIGSTOP)
    for _ in range(2):  # over the connection that is there, then over none
        began_s = time.monotonic()
        with pytest.raises(Unavailable, match="no answer"):
            await queue.send(b"meanwhile")
        assert time.monotonic() - began_s < 3
    signal_all(server, signal.SIGCONT)
    async with asyncio.timeout(WITHIN_S):
        await sent(queue, b"after")
        await queue.ack(message)
        came = {await taken(queue)}
        while b"after" not in came:
            came.add(await taken(queue))
    assert came <= {b"meanwhile", b"after"}
    await queue.close()


def signal_all(server: RabbitmqServer, number: signal.Signals) -> None:
    for pid in processes_in(server.folder):
        os.kill(pid, number)


async def sent(queue: RabbitmqQueue, body: bytes) -> None:
    while True:
        try:
            return await queue.send(body)
        except Unavailable:
            await asyncio.sleep(0.05)  # there is no signal to wait for


async def taken(queue: RabbitmqQueue) -> bytes:
    message = await queue.receive()
    await queue.ack(message)
    return message.body


@pytest.mark.slow
async def test_over_tls_the_certificate_is_verified(own_server: StartServer, certificate: tuple[Path, Path]) -> None:
    path, key = certificate
    port = free_port()
    settings = {"listeners.ssl.1": f"127.0.0.1:{port}", "ssl_options.verify": "verify_none"}
    files = {"ssl_options.certfile": str(path), "ssl_options.keyfile": str(key)}
    server = await asyncio.to_thread(own_server, RabbitmqServer({**settings, **files}))
    url = server.new_database().replace("amqp:", "amqps:").replace(f":{server.port}", f":{port}")
    stranger = RabbitmqQueue.from_url(url)
    await stranger.start(SystemClock())
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await stranger.send(b"")
    await stranger.close()
    queue = RabbitmqQueue.from_url(f"{url}&tls_trust_certs={path}")
    await queue.start(SystemClock())
    async with asyncio.timeout(WITHIN_S):
        await queue.send(b"secret")
        assert await taken(queue) == b"secret"
    await queue.close()


# ---- on a server that is there --------------------------------------------------------------------------------------


async def moved_by_the_server(queue: RabbitmqQueue) -> Sequence[Buried]:
    """The dead letters, as soon as there are any."""
    while True:
        if buried := await queue.buried():
            return buried
        await asyncio.sleep(0.05)  # there is no signal to wait for


@pytest.fixture(params=["classic", "quorum"])
def url(rabbitmq_server: RabbitmqQueues, request: pytest.FixtureRequest) -> str:
    return f"{rabbitmq_server.new_database()}&queue_type={request.param}"


@pytest.fixture
async def queue(rabbitmq_server: RabbitmqQueues, url: str) -> AsyncIterator[RabbitmqQueue]:
    queue = RabbitmqQueue.from_url(url)
    await queue.start(SystemClock())
    yield queue
    await queue.close()
    await asyncio.to_thread(rabbitmq_server.drop, url)


@pytest.fixture
async def channel(url: str) -> AsyncIterator[Any]:
    """Somebody else's, on the same server."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        yield channel


async def test_a_delay_of_several_digits_is_kept_and_not_much_exceeded(queue: RabbitmqQueue) -> None:
    began_s = time.monotonic()
    await queue.send(b"later", delay_s=2.5)
    async with asyncio.timeout(WITHIN_S):
        message = await queue.receive()
    assert 2.95 <= time.monotonic() - began_s < 5
    assert (message.body, message.headers, message.tries) == (b"later", {}, 0)


async def test_only_the_levels_that_a_delay_needs_are_made(queue: RabbitmqQueue, channel: Any) -> None:
    await queue.send(b"", delay_s=2)
    shape = Topology(Rabbitmq.from_url(queue.where).queue)
    await channel.get_queue(shape.level_name(1))
    with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
        await channel.get_queue(shape.level_name(2))


async def test_a_retry_later_is_held_back_and_counts_the_tries(queue: RabbitmqQueue) -> None:
    await queue.send(b"again", {"traceparent": "1"})
    first = await queue.receive()
    began_s = time.monotonic()
    await queue.retry(first, 0.2)
    await queue.retry(first, 0)  # it is settled
    async with asyncio.timeout(WITHIN_S):
        second = await queue.receive()
    assert time.monotonic() - began_s >= 0.95
    assert (second.headers, second.tries) == ({"traceparent": "1"}, 1)
    assert second.sent_at_us == first.sent_at_us
    await queue.ack(second)
    await queue.send(b"the last one")
    assert await taken(queue) == b"the last one"


async def test_anybody_s_message_comes_with_what_can_be_told_of_it(queue: RabbitmqQueue, channel: Any) -> None:
    await queue.send(b"first")  # so that there is a queue
    assert await taken(queue) == b"first"
    strange = {
        "n": 7,
        "orderway-tries": "many",
        "orderway-sent-at-us": bytearray(b"\xff"),
        "trace": "x",
        "x-death": [1],
        "no": None,
    }
    await channel.default_exchange.publish(
        aio_pika.Message(b"\xff", headers=strange, timestamp=1_700_000_000), Rabbitmq.from_url(queue.where).queue
    )
    message = await queue.receive()
    assert message == Message(b"\xff", {"trace": "x"}, 1_700_000_000_000_000, 0, None)
    await queue.retry(message, 0)
    again = await queue.receive()
    assert (again.headers, again.sent_at_us, again.tries) == ({"trace": "x"}, 1_700_000_000_000_000, 1)
    await queue.bury(again, "unreadable")
    (dead,) = await queue.buried()
    assert (dead.body, dead.reason) == (b"\xff", "unreadable")


async def test_who_deletes_the_queue_stops_its_receivers_only_for_a_moment(queue: RabbitmqQueue, channel: Any) -> None:
    await queue.send(b"first")
    assert await taken(queue) == b"first"
    receiving = asyncio.create_task(queue.receive())
    await asyncio.sleep(0)
    await channel.queue_delete(Rabbitmq.from_url(queue.where).queue)
    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(Unavailable, match="was deleted"):
            await receiving
        with pytest.raises(Unavailable, match="no queue for the message"):  # by whom it is still thought to be there
            await queue.send(b"nowhere")
        await queue.send(b"second")
        assert await taken(queue) == b"second"


async def test_a_queue_of_the_other_type_is_refused_and_it_is_said_why(url: str, queue: RabbitmqQueue) -> None:
    await queue.send(b"")
    kinds = {"classic": "quorum", "quorum": "classic"}
    kind = url.rpartition("=")[2]
    other = RabbitmqQueue.from_url(f"{url.removesuffix(kind)}{kinds[kind]}")
    await other.start(SystemClock())
    with pytest.raises(Unavailable, match=r"PRECONDITION_FAILED .* of the other queue_type"):
        await other.send(b"")
    await other.close()


async def test_dead_letters_stay_in_order_however_often_they_are_looked_at(queue: RabbitmqQueue) -> None:
    bodies = [b"%d" % n for n in range(20)]
    for body in bodies:
        await queue.send(body)
        await queue.bury(await queue.receive(), "unknown_order")
    for _ in range(30):
        assert [each.body for each in await queue.buried()] == bodies
    assert [each.body for each in await queue.buried(3)] == bodies[:3]
    for limit in (0, 1001):
        with pytest.raises(InvalidValue):
            await queue.buried(limit)


async def test_a_quorum_queue_gives_up_a_message_that_nobody_settles(
    rabbitmq_server: RabbitmqQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "MOST_DELIVERIES", 2)
    url = f"{rabbitmq_server.new_database()}&queue_type=quorum"
    async with asyncio.timeout(WITHIN_S):
        for tries in range(3):
            queue = RabbitmqQueue.from_url(url)
            await queue.start(SystemClock())
            if tries == 0:
                await queue.send(b"poison")
            assert (await queue.receive()).tries == tries
            await queue.close()
        await queue.start(SystemClock())
        (dead,) = await moved_by_the_server(queue)
    assert (dead.body, dead.reason) == (b"poison", "delivery_limit")
    assert abs(dead.buried_at_us - time.time_ns() // 1000) < 60_000_000
    await queue.close()


async def test_no_more_is_taken_than_was_asked_for(rabbitmq_server: RabbitmqQueues) -> None:
    url = rabbitmq_server.new_database()
    greedy, other = RabbitmqQueue.from_url(f"{url}&prefetch=2"), RabbitmqQueue.from_url(url)
    for queue in (greedy, other):
        await queue.start(SystemClock())
    for n in range(3):
        await greedy.send(b"%d" % n)
    first = await greedy.receive()
    async with asyncio.timeout(WITHIN_S):
        assert await taken(other) == b"2"
    await greedy.ack(first)
    assert await taken(greedy) == b"1"
    for queue in (greedy, other):
        await queue.close()


async def test_a_cancelled_caller_leaves_the_connection_whole(queue: RabbitmqQueue) -> None:
    for turn in range(20):
        sending = asyncio.create_task(queue.send(b"%d" % turn, delay_s=turn % 2))
        for _ in range(turn):
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})
    await queue.send(b"last")
    async with asyncio.timeout(WITHIN_S):
        while await taken(queue) != b"last":
            pass
