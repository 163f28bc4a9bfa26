"""A private RabbitMQ for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from orderway.testing.servers.binaries import ServerUnavailable, find_program
from orderway.testing.servers.server import HOST, USER, Server, free_port, random_name

_PACKAGE = "rabbitmq-server"
_ANSWER_WITHIN_S = 30.0
_GREETING = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


class RabbitmqQueues:
    """A running RabbitMQ, on which each test gets a queue of its own.

    Args:
        url: `amqp://user:password@host:port/vhost`; the user must be allowed to make queues there.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def new_database(self, name: str | None = None) -> str:
        """The URL of a queue that nobody has. It is made when it is first used."""
        return urlsplit(self.url)._replace(query=urlencode({"queue": name or random_name()})).geturl()

    def drop(self, url: str) -> None:
        """Deletes the queue of `new_database` with all that belongs to it. Idempotent.

        Raises:
            ServerUnavailable: the server cannot be reached or says no.
        """
        asyncio.run(_delete(url))


async def _delete(url: str) -> None:
    # Here, so that the servers of the other kinds need no driver.
    import aio_pika

    from orderway.queues.rabbitmq.options import Rabbitmq
    from orderway.queues.rabbitmq.topology import LEVELS, Topology

    options = Rabbitmq.from_url(url)
    topology = Topology(options.queue, options.queue_type)
    levels = [topology.level_name(number) for number in reversed(range(LEVELS))]
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            connection: Any = await aio_pika.connect(url)
            async with connection, connection.channel() as channel:
                for queue in (topology.queue, topology.dead, *levels):
                    await channel.queue_delete(queue)
                for exchange in levels:
                    await channel.exchange_delete(exchange)
    except (TimeoutError, OSError, aio_pika.exceptions.AMQPError) as error:
        raise ServerUnavailable(f"RabbitMQ at {options.address} refused: {error}") from error


class RabbitmqServer(RabbitmqQueues, Server):
    """A private RabbitMQ without plugins. As root it runs under its own account.

    Its Erlang node is alone: it has a name server (epmd) and a cookie of its own, and listens on the loopback only.

    Args:
        settings: settings as in rabbitmq.conf, such as `{"vm_memory_high_watermark.absolute": "1GB"}`, over the ones
            that are set here.
    """

    account = "rabbitmq"

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        Server.__init__(self, settings)
        self._names_port = free_port()
        self._node_port = free_port()

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{quote(self.password, safe='')}@{HOST}:{self.port}/"

    def _create(self) -> None:
        self._program()
        self.data.mkdir()
        settings = {
            "listeners.tcp.1": f"{HOST}:{self.port}",
            # Made at the first start.
            "default_user": USER,
            "default_pass": self.password,
            "log.console": "true",
            "log.file": "false",
            # Past these limits it takes no messages. The machine's memory and disk are not only its own.
            "disk_free_limit.absolute": "10MB",
            "vm_memory_high_watermark.absolute": "512MB",
            "raft.wal_max_size_bytes": "32000000",
            **self.settings,
        }
        for file, text in {
            "rabbitmq.conf": "".join(f"{name} = {value}\n" for name, value in settings.items()),
            "enabled_plugins": "[].\n",
            "rabbitmq-env.conf": "",  # in place of the machine's
        }.items():
            path = self.folder / file
            path.touch(mode=0o600)
            path.write_text(text)
            self._own(path)
        self._own(self.data)

    def _command(self) -> Sequence[str]:
        # In the foreground, where it lives and dies with the server's folder; RabbitMQ would leave one behind.
        names = find_program("epmd", package=_PACKAGE)
        return ["/bin/sh", "-c", '"$1" & exec "$0"', self._program(), names]

    def _program(self) -> str:
        return find_program("rabbitmq-server", package=_PACKAGE)

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._names_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self.data),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_NODENAME": f"{USER}@localhost",
            # Without its busy waiting, which takes a processor from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _is_ready(self, connection: socket.socket) -> bool:
        """It listens when all that it kept is there again; whoever greets it is then asked who they are."""
        connection.sendall(_GREETING)
        return connection.recv(1) == _METHOD_FRAME
