"""Every port in memory: real adapters, which pass the same conformance suites as the databases.

All adapters on one :class:`MemoryDatabase` see the same data, as connections to one database do.
"""

from orderway.memory.database import MemoryDatabase
from orderway.memory.ledger import MemoryLedger
from orderway.memory.mailbox import MemoryMailbox
from orderway.memory.parking import MemoryParking
from orderway.memory.store import MemoryStore
from orderway.memory.workers import MemorySequence, MemoryWorkers

__all__ = [
    "MemoryDatabase",
    "MemoryLedger",
    "MemoryMailbox",
    "MemoryParking",
    "MemorySequence",
    "MemoryStore",
    "MemoryWorkers",
]
