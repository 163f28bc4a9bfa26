"""What every store must do: all parts of its contract in one class."""

from __future__ import annotations

from orderway.testing.conformance.creating import CreateConformance
from orderway.testing.conformance.due import DueConformance
from orderway.testing.conformance.listing import ListConformance
from orderway.testing.conformance.races import RaceConformance
from orderway.testing.conformance.recording import RecordConformance
from orderway.testing.conformance.refunds import RefundConformance
from orderway.testing.conformance.transactions import TransactionConformance
from orderway.testing.conformance.unreadable import UnreadableConformance

__all__ = ["StoreConformance"]


class StoreConformance(
    CreateConformance,
    RecordConformance,
    ListConformance,
    DueConformance,
    TransactionConformance,
    RaceConformance,
    RefundConformance,
    UnreadableConformance,
):
    """The contract of :class:`orderway.ports.store.Store`."""
