"""The conformance suites: what every adapter of a port must do, as test classes to inherit from.

A test file of an adapter gives a fixture ``backend`` and one empty class per port::

    from orderway.testing.conformance import Backend, LedgerConformance, StoreConformance

    @pytest.fixture
    async def backend(tmp_path) -> AsyncIterator[Backend]: ...

    class TestStore(StoreConformance): ...
    class TestLedger(LedgerConformance): ...

The backend must be empty at the start of each test. A payment channel of your own needs a fixture ``provider`` instead,
which says how its payers get money and pay::

    from orderway.testing.conformance import ChannelConformance, Provider

    @pytest.fixture
    async def provider() -> AsyncIterator[Provider]: ...

    class TestChannel(ChannelConformance): ...

Needs pytest and pytest-asyncio.
"""

import pytest

_SUITES = (
    "charging",
    "creating",
    "due",
    "giving_back",
    "holding",
    "ledger",
    "listing",
    "lock",
    "mailbox",
    "parking",
    "provider",
    "queue",
    "races",
    "racing",
    "recording",
    "refunds",
    "sequence",
    "transactions",
    "unreadable",
    "workers",
)
pytest.register_assert_rewrite(*(f"{__name__}.{suite}" for suite in _SUITES))  # before they are imported

from orderway.testing.conformance.backend import PROCESSES, ROWS, Backend, Connection  # noqa: E402
from orderway.testing.conformance.channel import ChannelConformance  # noqa: E402
from orderway.testing.conformance.ledger import LedgerConformance  # noqa: E402
from orderway.testing.conformance.lock import LockBackend, LockConformance  # noqa: E402
from orderway.testing.conformance.mailbox import MailboxConformance  # noqa: E402
from orderway.testing.conformance.parking import ParkingConformance  # noqa: E402
from orderway.testing.conformance.provider import Provider  # noqa: E402
from orderway.testing.conformance.queue import QueueBackend, QueueConformance  # noqa: E402
from orderway.testing.conformance.sequence import SequenceConformance  # noqa: E402
from orderway.testing.conformance.store import StoreConformance  # noqa: E402
from orderway.testing.conformance.workers import WorkersConformance  # noqa: E402

__all__ = [
    "PROCESSES",
    "ROWS",
    "Backend",
    "ChannelConformance",
    "Connection",
    "LedgerConformance",
    "LockBackend",
    "LockConformance",
    "MailboxConformance",
    "ParkingConformance",
    "Provider",
    "QueueBackend",
    "QueueConformance",
    "SequenceConformance",
    "StoreConformance",
    "WorkersConformance",
]
