"""The App: one complete deployment in one process. It puts store, journey, sweeper and heartbeat together."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from orderway.actions import Actions
from orderway.adapters import Ports, ports_for, queue_for
from orderway.anchored_clock import AnchoredClock
from orderway.channels.wallet import WalletChannel
from orderway.core import ids
from orderway.core.hints import Hint
from orderway.core.order import Order, Stage, check_transitions
from orderway.core.payment import GATEWAY
from orderway.creating import Creating
from orderway.delivery import forbid_nesting
from orderway.entropy import Entropy
from orderway.errors import ConfigError, Unavailable, UsageError, WrongThread
from orderway.hinting import Hinting
from orderway.holds import Holds
from orderway.journey import Journey
from orderway.looking import Looking
from orderway.membership import Membership
from orderway.numbering import Numbering
from orderway.order_lock import OrderLock
from orderway.orders import check_business
from orderway.parked import Parked
from orderway.payments import Payments
from orderway.plans import check_channel
from orderway.ports.business import Business
from orderway.ports.channel import Channel
from orderway.ports.clock import Clock
from orderway.ports.observer import Observer
from orderway.ports.queue import Queue
from orderway.ports.store import Query
from orderway.recorder import Recorder
from orderway.sweeper import Sweeper
from orderway.system_clock import SystemClock
from orderway.wallet import Wallet

if TYPE_CHECKING:
    from orderway.config import Settings
    from orderway.redis import Redis, RedisParts

__all__ = ["App"]

logger = logging.getLogger("orderway")


class App(Creating, Actions, Looking):
    """Orders of one or more businesses over one store.

    >>> app = App("sqlite:///orders.db")  # doctest: +SKIP
    >>> app.register(TopUp())  # doctest: +SKIP
    >>> async with app:  # doctest: +SKIP
    ...     order = await app.create(1, "user-7", amount=Money.of("9.90", "CNY"), pay="wallet")
    ...     order = await app.forward(order)

    Args:
        url: where the orders are: ``sqlite:///orders.db``, ``postgresql://...``, ``mysql://...``, ``memory://``; a list
            of URLs, always in the same order, where they are spread over several databases; or ready ``Ports``.
        channels: payment channels beside the wallets.
        wallets: the channels over the users' own balances; a second one, for instance ``points``, lets an order be
            paid in an internal currency and in money.
        shards: into how many tables orders are spread, over all databases; fixed when they are made. None for as many
            as there are, and one in each new database.
        redis: an option: the URL of a Redis, or ``orderway.redis.Redis``, for a lock and the sequence. No order rests
            on it.
        queue: an option: the URL of a queue (``pulsar://...``, ``amqp://...``, or ``store`` for one in the orders' own
            database), or a ``Queue``. It brings hints, which have orders looked at sooner. No order rests on it.
        queue_delay_s: how long after an order's creation or payment its hint comes.
        queue_message_lifetime_s: a hint that is older is not tried again when acting on it fails.
        ids: how ``create`` makes the id of an order that brings none: by ``time``, or by ``sequence``, as the original
            does; while the sequence does not answer, by time.
        sweep: run the sweeper in this process; without it, orders that are due wait for another process.
        clock: for tests; None for the database's time, counted on by this machine.
        entropy: gives so many random bytes, each time others; for tests.
        most_at_once: how many due orders the sweeper carries at once.
        beat_every_s: between two heartbeats of this worker.
        dead_after_s: after so long without a heartbeat a worker is dead, and its orders are taken over.
        close_within_s: how long ``close`` waits for orders in hand.
    """

    def __init__(
        self,
        url: str | Sequence[str] | Ports = "memory://",
        *,
        channels: Iterable[Channel] = (),
        wallets: Iterable[str] = ("wallet",),
        shards: int | None = None,
        redis: str | Redis | None = None,
        queue: str | Queue | None = None,
        queue_delay_s: float = 60.0,
        queue_message_lifetime_s: float = 3600.0,
        ids: Literal["time", "sequence"] = "time",
        sweep: bool = True,
        clock: Clock | None = None,
        entropy: Callable[[int], bytes] | None = None,
        most_at_once: int = 256,
        beat_every_s: float = 0.5,
        dead_after_s: float = 3.0,
        close_within_s: float = 30.0,
    ) -> None:
        check_transitions()
        self.clock = clock or AnchoredClock(SystemClock())
        # As they were given, for the command line alone: a subclass may have such attributes of its own.
        self._settings: Settings | None = None
        self._shards, self._queue = shards, queue
        self.urls = () if isinstance(url, Ports) else (url,) if isinstance(url, str) else tuple(url)
        self.ports = url if isinstance(url, Ports) else ports_for(self.urls, shards=shards)
        self.businesses: dict[int, Business[Any]] = {}
        own = [WalletChannel(self.ports.ledger, self.clock, name=name) for name in wallets]
        self.channels = _by_name(own, channels)
        self.entropy = entropy = entropy or Entropy()
        self.lease_us = int(dead_after_s * 1_000_000)
        self.recorder = Recorder(self.ports.store, self.businesses, self.clock, entropy, self.lease_us)
        self.redis = None if redis is None else _redis_parts(redis)
        lock, sequence = (self.redis.lock, self.redis.sequence) if self.redis else (None, None)
        self.order_lock = OrderLock(lock, self.clock, entropy(16).hex()) if lock else None
        self.numbering = Numbering(sequence or self.ports.sequence, self.clock, entropy, ids)
        jitter = random.Random(entropy(8))
        self.payments = Payments(self.channels)
        self.journey = Journey(self.recorder, self.businesses, self.payments, jitter.random)
        self.membership = Membership(
            self.ports.workers,
            self.clock,
            partial(_incarnation, entropy),
            f"{socket.gethostname()}:{os.getpid()}",
            beat_every_s,
            dead_after_s,
        )
        self.holds = Holds(
            *(self.ports.store, self.journey, self.membership, self.businesses, self.clock, self.lease_us),
            self.order_lock,
        )
        self.parked = Parked(self.ports.parking, self.clock, self._record_parked)
        self.sweeper = Sweeper(
            *(self.holds.claim, lambda: sorted(self.businesses), self.holds.carry, self.clock, most_at_once),
            beside=self.parked.look,
        )
        self.hinting = None if queue is None else self._hinting(queue, queue_delay_s, queue_message_lifetime_s)
        self.wallet = Wallet(self.ports.ledger, self.clock, self._hint_waiting)
        self.observers: list[Observer] = []
        """Who watches; ``orderway.observe`` attaches them."""
        self._sweeps = sweep
        self._close_within_s = close_within_s
        self._stop: asyncio.Event
        self._tasks: list[asyncio.Task[None]] = []
        self._made_in = os.getpid()
        self._pid: int | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, channels: Iterable[Channel] = ()) -> Self:
        """An App as it is configured: ``App.from_settings(load_settings("orders.yaml"))``.

        Args:
            settings: from ``orderway.config.load_settings``.
            channels: payment channels beside the wallets.
        """
        arguments = settings.app_arguments()
        url, shards = arguments.pop("url"), arguments.pop("shards")
        app = cls(ports_for(url, shards=shards, **settings.database_options()), channels=channels, **arguments)
        app._settings, app._shards, app.urls = settings, shards, settings.urls
        return app

    # ---- life -----------------------------------------------------------------------------------------------------

    def register(self, business: Business[Any]) -> None:
        """Serve an order type.

        Raises:
            ConfigError: a setting is missing or out of bounds, or the type is served already.
        """
        check_business(business)
        if business.order_type in self.businesses:
            other = type(self.businesses[business.order_type]).__name__
            raise ConfigError(
                f"order type {business.order_type} of {type(business).__name__} is served by {other} already"
            )
        self.businesses[business.order_type] = business

    async def start(self, *, sweep: bool | None = None) -> None:
        """Open the store, join the workers, start heartbeat and sweeper. Idempotent.

        Args:
            sweep: run the sweeper this time, or not, however the App was made.

        Raises:
            ConfigError: the store is not as this App expects it.
            WrongThread: the App was made before a fork. The children's Apps would draw the same random bytes, and so
                be one and the same worker.
        """
        if self._pid is not None:
            return
        if self._made_in != os.getpid():
            raise WrongThread("this App was made before a fork: make and start a new App in the child process")
        self._pid = os.getpid()
        try:
            await self.ports.start()
            await self.membership.join()
            if isinstance(self.clock, AnchoredClock):
                await self.clock.measure(self.ports.workers.now_us)
            if self.redis is not None:
                self.redis.start()
            if self.hinting is not None:
                await self.hinting.start()
        except BaseException:
            await self.ports.close()
            self._pid = None
            raise
        self._stop = asyncio.Event()
        if self.order_lock is not None:
            self.order_lock.start()
        self.holds.swept = self._sweeps if sweep is None else sweep
        self._tasks = [asyncio.create_task(self.membership.run(self._stop, self.sweeper.wake))]
        self._tasks += [asyncio.create_task(observer.run(self._stop)) for observer in self.observers]
        if isinstance(self.clock, AnchoredClock):
            self._tasks.append(asyncio.create_task(self.clock.run(self._stop, self.ports.workers.now_us)))
        if self.holds.swept:
            self._tasks.append(asyncio.create_task(self.sweeper.run(self._stop)))
            if self.hinting is not None:
                self._tasks.append(asyncio.create_task(self.hinting.run(self._stop)))

    @property
    def _is_running(self) -> bool:
        """False before ``start`` and after ``close``, and if a part that has to go on all the time has ended."""
        return self._pid is not None and not any(task.done() for task in self._tasks)

    def _drop(self) -> None:
        """Have a ``close`` that is under way wait no longer for orders in hand: they are handed back as they are."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Finish what is in hand, hand back the rest, and close the store. Idempotent.

        Orders that are still in hand after ``close_within_s`` are dropped where they are; their rows say when to look
        at them again, and any worker may do so at once.
        """
        if self._pid is None:
            return
        self._stop.set()
        self.sweeper.wake()
        _, late = await asyncio.wait(self._tasks, timeout=self._close_within_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.holds.settle()
        if self.hinting is not None:
            await self.hinting.close()
        if self.order_lock is not None:
            await self.order_lock.close()
        try:
            with suppress(Unavailable):  # a database that is gone keeps nobody from closing: others notice the death
                await self.membership.leave()
        finally:
            if self.redis is not None:
                await self.redis.close()
            await self.ports.close()
            self._pid = None

    async def __aenter__(self) -> App:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- moving orders --------------------------------------------------------------------------------------------

    async def forward(self, order: Order[Any] | str) -> Order[Any]:
        """Carry an order as far as it goes now. Anyone may call it, any number of times, after any crash.

        An order that somebody alive is carrying right now is returned as it is, without an error.

        Args:
            order: the order, or its id.

        Raises:
            OrderNotFound: there is none.
            ConfigError: its type is not registered here.
            Unavailable: the store did not answer; the order stays due.
        """
        self._ready()
        if isinstance(order, str):
            ids.check_order_id(order)
        return self._adopt(await self.holds.forward(order))

    async def hint(self, order_id: str) -> bool:
        """Have an order looked at soon, by whoever serves its type; False if nothing is due for it."""
        self._ready()
        ids.check_order_id(order_id)
        hinted = await self.ports.store.hint(order_id, self.clock.now_us())
        self.sweeper.wake()
        if hinted and self.hinting is not None:
            self.hinting.send_soon(Hint(order_id), delay_s=0)
        return hinted

    async def send_hint(self, order_id: str, uid: str = "", *, delay_s: float | None = None) -> None:
        """Send a hint over the queue: the original's compensation signal. ``create`` and payments send their own.

        It is with the queue when this returns. Who receives it forwards the order if something is due for it then.

        Args:
            order_id: which order; not looked up.
            uid: its user; a hint that names another one is buried.
            delay_s: after how many seconds it comes; None for ``queue_delay_s``.

        Raises:
            ConfigError: this App has no queue.
            Unavailable: the queue does not answer; the order is due all the same.
        """
        self._ready()
        ids.check_order_id(order_id)
        if self.hinting is None:
            raise ConfigError("this App has no queue to send a hint over: give it one, App(..., queue=...)")
        await self.hinting.send(Hint(order_id, uid), delay_s)

    async def sweep(self) -> int:
        """Carry everything that is due here and now; returns how many orders were looked at."""
        self._ready()
        return await self.sweeper.sweep()

    # ---- inside ---------------------------------------------------------------------------------------------------

    def _hinting(self, queue: str | Queue, delay_s: float, lifetime_s: float) -> Hinting:
        wanted = (queue_for(queue, self.ports), self.ports.store, self.holds.forward, self.businesses, self.clock)
        return Hinting(*wanted, delay_s=delay_s, lifetime_s=lifetime_s)

    def _hint_soon(self, order: Order[Any]) -> None:
        """After something came from outside: a process that does not carry orders itself has others told at once."""
        if self.hinting is not None and order.due_at_us is not None:
            self.hinting.send_soon(Hint(order.id, order.uid), None if self.holds.swept else 0)

    def _ready(self) -> None:
        if self._pid is None:
            raise UsageError("this App is not started: use `async with app:` or `await app.start()` first")
        if self._pid != os.getpid():
            raise WrongThread("this App was started before a fork: make and start a new App in the child process")
        forbid_nesting()

    async def _hint_waiting(self, uid: str) -> None:
        if not any(business.when_short == "wait" for business in self.businesses.values()):
            return  # a type served elsewhere is looked at again by its own query_every
        try:
            page = await self.ports.store.list(Query(uid=uid, stages=(Stage.CREATED,), limit=100))
            for order in page.orders:
                await self.ports.store.hint(order.id, self.clock.now_us())
        except Unavailable as error:  # the money is posted: whoever topped up must not be told otherwise
            logger.warning("orders that waited for a top-up are looked at on their schedule only: %s", error)
        self.sweeper.wake()


def _by_name(wallets: Iterable[Channel], channels: Iterable[Channel]) -> dict[str, Channel]:
    by_name = {wallet.name: wallet for wallet in wallets}
    for channel in channels:
        check_channel(channel)
        if channel.name in by_name or channel.name == GATEWAY:
            raise ConfigError(f"two channels are called {channel.name!r}; each needs a name of its own")
        by_name[channel.name] = channel
    return by_name


def _incarnation(entropy: Callable[[int], bytes]) -> int:
    """A random number that fits every database's integers; never 0."""
    return int.from_bytes(entropy(8), "big") >> 1 or 1


def _redis_parts(redis: str | Redis) -> RedisParts:
    from orderway.redis import RedisParts

    return RedisParts(redis)
