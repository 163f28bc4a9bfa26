"""The adapters: which database a URL means. The only place that knows them."""

from __future__ import annotations

from dataclasses import dataclass

from orderway.errors import ConfigError
from orderway.ports.ledger import Ledger
from orderway.ports.sequence import Sequence
from orderway.ports.store import Store
from orderway.ports.workers import Workers

__all__ = ["Ports", "open_ports", "ports_for"]


@dataclass(slots=True)
class Ports:
    """The ports of one database, opened and closed together."""

    store: Store
    workers: Workers
    ledger: Ledger
    sequence: Sequence

    async def start(self) -> None:
        """Open the database."""
        await self.store.start()

    async def close(self) -> None:
        """Release it."""
        await self.store.close()


def ports_for(url: str, *, shards: int = 1) -> Ports:
    """The ports that a URL means, not yet started."""
    if url == "memory://":
        from orderway.memory import MemoryDatabase, MemoryLedger, MemorySequence, MemoryStore, MemoryWorkers

        database = MemoryDatabase(shards=shards)
        return Ports(
            MemoryStore(database), MemoryWorkers(database), MemoryLedger(database), MemorySequence(database)
        )
    raise ConfigError(f"{url!r}: memory:// is allowed")


async def open_ports(url: str, *, shards: int = 1) -> Ports:
    """The ports that a URL means, started."""
    ports = ports_for(url, shards=shards)
    await ports.start()
    return ports
