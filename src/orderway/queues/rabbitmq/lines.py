"""Lines to the server: a connection with one channel each, made when it is needed and again after it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from orderway.errors import Unavailable
from orderway.queues.rabbitmq.options import Rabbitmq
from orderway.queues.rabbitmq.topology import Route, Topology

__all__ = ["Line", "ReceivingLines", "SendingLines"]

T = TypeVar("T")

# Whatever it tells is in our errors as well; where nobody has set up a log, it would stand on stderr once more.
logging.getLogger("aiormq").addHandler(logging.NullHandler())

_VHOST_REFUSED = "the virtual host is not there, or its user may not use it"
_REFUSALS = ("ACCESS_REFUSED", "NOT_ALLOWED", _VHOST_REFUSED)
"""What is said by or of a server that refuses us."""
_HEARTBEAT_S = 10
"""A receiver that waits notices within three of these that the server is gone without a word."""


@dataclass(eq=False, slots=True)
class Line:
    """A connection with a channel. Once lost it stays lost.

    Args:
        lost: why, if it is.
        levels: so many levels of delays, from the lowest, were found or made over it.
        making: held by who makes levels.
        came: what was received over it, and not handed on.
        stirred: set when something came, or it was lost.
    """

    connection: AbstractConnection
    channel: AbstractChannel
    lost: str | None = None
    levels: int = 0
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    came: deque[AbstractIncomingMessage] = field(default_factory=deque)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def lose(self, why: str) -> bool:
        """It is lost. What came over it comes again over another. False if it was lost already."""
        if self.lost is not None:
            return False
        self.lost = why
        self.came.clear()
        self.stirred.set()
        return True


class Lines:
    """One line at a time, for all who use it. Of aio-pika's own connections that come again by themselves, none: while
    they do, calls wait without an end, and what they restore may have been settled otherwise since.

    Args:
        options: where.
        name: what the connection is for, as the server lists it.
        tls: how to speak TLS; None without.
        confirms: whether the server confirms what is published over the channel.
    """

    def __init__(self, options: Rabbitmq, name: str, tls: ssl.SSLContext | None, *, confirms: bool) -> None:
        self._options = options
        self._name = name
        self._confirms = confirms
        self._tls = tls
        self._opening: asyncio.Task[Line] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.topology = Topology(options.queue, options.queue_type)

    async def ask(self, question: Callable[[Line], Awaitable[T]]) -> T:
        """Do something over the line, which is opened if need be; in all within ``answer_within_s``.

        Whoever calls may be cancelled: it goes on, because to end it in the middle would end the channel.

        Raises:
            Unavailable: it failed, or there was no answer in time. The line is lost.
        """
        return await self._answered(self._asked(question))

    async def ask_over(self, line: Line, question: Callable[[Line], Awaitable[T]]) -> T:
        """The same over this line and no other, for what is known to it alone."""
        return await self._answered(self._over(line, question))

    async def close(self) -> None:
        """Close the line, and stay closed. Idempotent."""
        self._closed = True
        if self._opening is not None:
            opening, self._opening = self._opening, None
            if not opening.done():
                opening.cancel()
            elif not _is_over(opening):
                self._leave(opening.result(), "closed")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._options.answer_within_s)
        for task in self._tasks:
            task.cancel()

    def unavailable(self, why: str) -> Unavailable:
        """The error that says this."""
        is_refusal = any(word in why for word in _REFUSALS)
        return Unavailable(f"RabbitMQ at {self._options.where}: {why}", is_refusal=is_refusal)

    async def prepare(self, line: Line) -> None:
        """Have the server make what is needed over each new line."""
        await self._make_queue(line, self.topology.queue, self.topology.arguments)

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def _answered(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            work.close()
            raise self.unavailable("this queue is closed")
        task = self._spawn(work)
        done, _ = await asyncio.wait({task}, timeout=self._options.answer_within_s)
        if not done:
            task.cancel()
            raise self.unavailable(f"no answer within {self._options.answer_within_s:g} s")
        # When a connection is lost, what waits on it ends with whatever ended it: any error, or as if cancelled.
        if task.cancelled():
            raise self.unavailable("the connection was lost")
        if error := task.exception():
            raise self.unavailable(_why(error)) from error
        return task.result()

    async def _asked(self, question: Callable[[Line], Awaitable[T]]) -> T:
        return await self._over(await self._line(), question)

    async def _over(self, line: Line, question: Callable[[Line], Awaitable[T]]) -> T:
        try:
            return await question(line)
        except BaseException as error:
            self._leave(line, _why(error))
            raise

    # ---- opening and leaving ----------------------------------------------------------------------------------------

    async def _line(self) -> Line:
        """The line; opened in a task of its own, as others wait for it too."""
        opening = self._opening
        if opening is None or (opening.done() and _is_over(opening)):
            opening = self._opening = self._spawn(self._open())
        return await asyncio.shield(opening)

    async def _open(self) -> Line:
        options = self._options
        async with asyncio.timeout(options.answer_within_s):
            connection = await aio_pika.connect(
                host=options.host,
                port=options.port,
                login=options.user,
                password=options.password,
                virtualhost=options.vhost,
                ssl=options.tls,
                ssl_context=self._tls,
                heartbeat=_HEARTBEAT_S,
                client_properties={"connection_name": f"orderway: {self._name}"},
            )
            try:
                channel = connection.channel(publisher_confirms=self._confirms, on_return_raises=self._confirms)
                line = Line(connection, channel)
                connection.close_callbacks.add(lambda _, error: self._leave(line, _why(error)))
                channel.close_callbacks.add(lambda _, error: self._leave(line, _why(error)))
                await channel.initialize()
                await self.prepare(line)
            except BaseException:
                self._spawn(self._hang_up(connection))
                raise
        return line

    def _leave(self, line: Line, why: str) -> None:
        """Take another line from now on."""
        if line.lose(why):
            self._spawn(self._hang_up(line.connection))

    async def _hang_up(self, connection: AbstractConnection) -> None:
        # It may fail as anything on a lost connection does; and then there is nothing left to close.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._options.answer_within_s):
                await connection.close()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_heard)
        return task

    async def _make_queue(self, line: Line, name: str, arguments: Mapping[str, str | int]) -> None:
        await line.channel.declare_queue(name, durable=True, arguments=dict(arguments))


class SendingLines(Lines):
    """For messages to be published, each confirmed by the server. A connection of its own: one that publishes is not
    listened to while the server is short of memory or disk, and then receivers could settle nothing.
    """

    def __init__(self, options: Rabbitmq, tls: ssl.SSLContext | None) -> None:
        super().__init__(options, "sends", tls, confirms=True)

    async def prepare(self, line: Line) -> None:
        """Have the server make the queues that are always there."""
        await super().prepare(line)
        await self._make_queue(line, self.topology.dead, self.topology.dead_arguments)

    async def publish(self, message: aio_pika.Message, route: Route) -> None:
        """Publish a message; it is on disk when this returns.

        Raises:
            Unavailable: the server does not answer, or has no place for it.
        """

        async def publish(line: Line) -> None:
            await self._make_levels(line, route.levels)
            exchange = line.channel.default_exchange
            if route.exchange:
                exchange = await line.channel.get_exchange(route.exchange, ensure=False)
            await exchange.publish(message, route.key, mandatory=True)

        await self.ask(publish)

    async def peek(self, queue: str, limit: int) -> list[AbstractIncomingMessage]:
        """The first messages of a queue, which are put back where they were.

        Raises:
            Unavailable: the server does not answer.
        """

        async def peek(line: Line) -> list[AbstractIncomingMessage]:
            found: list[AbstractIncomingMessage] = []
            async with line.connection.channel(publisher_confirms=False) as channel:
                source = await channel.get_queue(queue, ensure=False)
                while len(found) < limit and (message := await source.get(no_ack=False, fail=False)):
                    found.append(message)
                if found:
                    await found[-1].nack(multiple=True, requeue=True)
            return found

        return await self.ask(peek)

    async def _make_levels(self, line: Line, levels: int) -> None:
        """Make the levels that are not there yet, from below: each leads to the one before."""
        if line.levels >= levels:
            return
        async with line.making:
            for number in range(line.levels, levels):
                level = self.topology.level(number)
                await line.channel.declare_exchange(level.name, aio_pika.ExchangeType.TOPIC, durable=True)
                await self._make_queue(line, level.name, level.arguments)
                for binding in level.bindings:
                    if binding.to_queue:
                        queue = await line.channel.get_queue(binding.target, ensure=False)
                        await queue.bind(binding.source, binding.pattern)
                    else:
                        target = await line.channel.get_exchange(binding.target, ensure=False)
                        await target.bind(binding.source, binding.pattern)
                line.levels = number + 1


class ReceivingLines(Lines):
    """For messages that are received, at most ``prefetch`` at a time, and settled where they came."""

    def __init__(self, options: Rabbitmq, tls: ssl.SSLContext | None) -> None:
        super().__init__(options, "receives", tls, confirms=False)

    async def prepare(self, line: Line) -> None:
        """Have the server send what is there over this line, from now on."""
        await super().prepare(line)

        async def take(message: AbstractIncomingMessage) -> None:
            if line.lost is None:
                line.came.append(message)
                line.stirred.set()

        # When somebody deletes the queue, the channel stays as if nothing had happened.
        channel = await line.channel.get_underlay_channel()
        channel.on_consumer_cancel_callbacks.add(lambda _: self._leave(line, "the queue was deleted"))
        await line.channel.set_qos(prefetch_count=self._options.prefetch)
        queue = await line.channel.get_queue(self.topology.queue, ensure=False)
        await queue.consume(take)

    async def next(self) -> tuple[Line, AbstractIncomingMessage]:
        """The next message, and the line over which it is to be settled. Waits for one."""

        async def it(line: Line) -> Line:
            return line

        while True:
            line = await self.ask(it)
            while not line.came:
                if line.lost is not None:
                    raise self.unavailable(line.lost)
                line.stirred.clear()
                await line.stirred.wait()
            return line, line.came.popleft()


def _why(error: BaseException | None) -> str:
    """What went wrong, without the message that it went wrong with."""
    match error:
        case None:
            return "the connection was closed"
        case asyncio.CancelledError():
            return "the connection was lost"
        case aio_pika.exceptions.PublishError():
            return "there is no queue for the message any more"
        case aio_pika.exceptions.DeliveryError():
            return "the message was refused"
        case aio_pika.exceptions.ChannelPreconditionFailed():
            return f"{error}: what is there under this name is of the other queue_type, or somebody else's"
        case aio_pika.exceptions.InvalidFrameError() if "Connection.OpenOk" in str(error):
            # What the server says of it, the driver loses: that it closes the connection in place of opening it.
            return _VHOST_REFUSED
        case TimeoutError():
            return "no answer in time"
    return str(error) or type(error).__name__


def _is_over(opened: asyncio.Task[Line]) -> bool:
    """Whether it came to nothing, or what it came to is lost."""
    return opened.cancelled() or opened.exception() is not None or opened.result().lost is not None


def _heard(task: asyncio.Task[Any]) -> None:
    """Its error is told to those who wait for it; with nobody left, it is nobody's."""
    if not task.cancelled():
        task.exception()
