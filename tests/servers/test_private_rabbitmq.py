"""A private RabbitMQ: it starts, is killed, comes back with what it took, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aio_pika
import pytest

from orderway.queues.rabbitmq import RabbitmqQueue
from orderway.queues.rabbitmq.topology import Topology
from orderway.system_clock import SystemClock
from orderway.testing.servers import RabbitmqQueues, RabbitmqServer, ServerUnavailable, binaries
from orderway.testing.servers.guard import processes_in

WITHIN_S = 30


async def send(url: str, body: bytes, delay_s: float = 0) -> None:
    queue = RabbitmqQueue.from_url(url)
    await queue.start(SystemClock())
    await queue.send(body, delay_s=delay_s)
    await queue.close()


async def receive(url: str) -> bytes:
    queue = RabbitmqQueue.from_url(url)
    await queue.start(SystemClock())
    async with asyncio.timeout(WITHIN_S):
        message = await queue.receive()
    await queue.ack(message)
    await queue.close()
    return message.body


def names_of(folder: Path) -> set[str]:
    return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes_in(folder)}


def test_two_at_once_have_nothing_in_common_and_one_that_is_killed_comes_back() -> None:
    with RabbitmqServer() as one, RabbitmqServer() as two:
        folders = [one.folder, two.folder]
        assert all({"beam.smp", "epmd"} <= names_of(folder) for folder in folders), "each with an epmd of its own"
        url, other_url = one.new_database("order"), two.new_database("order")
        asyncio.run(send(url, b"word of one"))
        asyncio.run(send(other_url, b"word of two"))
        two.kill()
        assert not two.is_running
        assert processes_in(two.folder) == []
        assert asyncio.run(receive(url)) == b"word of one"
        two.start()
        assert two.new_database("order") == other_url
        assert asyncio.run(receive(other_url)) == b"word of two"
        if os.geteuid() == 0:
            assert {Path(f"/proc/{pid}").owner() for pid in processes_in(one.folder)} == {"rabbitmq"}
        assert one.folder.stat().st_mode & 0o077 == 0, "others could read the password"
    for folder in folders:
        assert processes_in(folder) == []
        assert not folder.exists()


def test_stopped_in_good_order_it_keeps_what_it_took() -> None:
    with RabbitmqServer() as server:
        url = server.new_database()
        asyncio.run(send(url, b"kept"))
        server.stop()
        assert not server.is_running
        server.start()
        assert asyncio.run(receive(url)) == b"kept"


def test_a_setting_that_it_does_not_know_is_told() -> None:
    server = RabbitmqServer({"unheard_of": "1"})
    with pytest.raises(ServerUnavailable, match=r"did not start. The end of its log:[\s\S]*unheard_of"):
        server.start()
    folder = server.folder
    server.remove()
    assert not folder.exists()


def test_a_missing_program_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "_SYSTEM_FOLDERS", ())
    with pytest.raises(ServerUnavailable, match=r"apt-get install --no-install-recommends rabbitmq-server$"):
        RabbitmqServer().start()


def test_debians_wrapper_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("front", "back"):
        (tmp_path / name).mkdir()
    wrapper, program = tmp_path / "rabbitmq-script-wrapper", tmp_path / "back" / "rabbitmq-server"
    for path in (wrapper, program):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    (tmp_path / "front" / "rabbitmq-server").symlink_to(wrapper)
    monkeypatch.setenv("PATH", f"{tmp_path / 'front'}{os.pathsep}{tmp_path / 'back'}")
    assert binaries.find_program("rabbitmq-server", package="rabbitmq-server") == str(program)


def test_a_queue_is_dropped_with_all_that_belongs_to_it(rabbitmq_server: RabbitmqQueues) -> None:
    url = rabbitmq_server.new_database("dropped")
    asyncio.run(send(url, b"", delay_s=2))
    shape = Topology("dropped")
    names = [shape.queue, shape.dead, shape.level_name(0), shape.level_name(1)]
    assert asyncio.run(found(url, names)) == names
    rabbitmq_server.drop(url)
    rabbitmq_server.drop(url)  # idempotent
    assert asyncio.run(found(url, names)) == []


async def found(url: str, names: list[str]) -> list[str]:
    """Those of the queues that are there."""
    there = []
    connection = await aio_pika.connect(url)
    async with connection:
        for name in names:
            try:
                async with connection.channel() as channel:
                    await channel.get_queue(name)
                there.append(name)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                pass
    return there


def test_a_server_that_refuses_is_told_without_the_password() -> None:
    with pytest.raises(ServerUnavailable, match=r"RabbitMQ at 127\.0\.0\.1:9 refused") as refused:
        RabbitmqQueues("amqp://ann:canary@127.0.0.1:9/").drop("amqp://ann:canary@127.0.0.1:9/?queue=x")
    assert "canary" not in str(refused.value)
