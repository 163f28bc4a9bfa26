"""Moves: what one step of the journey has led to."""

from __future__ import annotations

from dataclasses import dataclass

from orderway.core.facts import Fact
from orderway.ports.store import Statement
from orderway.recorder import Decide

__all__ = ["Move", "record", "sooner"]


@dataclass(slots=True)
class Move:
    """What a step has led to.

    Args:
        decide: the facts that follow, for the order as it stands when they are written; None: only wait.
        wait_us: let go of the order and look at it again after so long; None: go on at once.
        error: why it waits, for people.
        failed: True if this counts as a failed attempt.
        is_payment: True if the facts tell of money that came: they are kept even if the order was taken over meanwhile.
        statements: the user's own statements, written together with the facts.
    """

    decide: Decide | None = None
    wait_us: int | None = None
    error: str = ""
    failed: bool = False
    is_payment: bool = False
    statements: tuple[Statement, ...] = ()


def record(*facts: Fact, wait_us: int | None = None) -> Move:
    """The move that records these facts."""
    return Move(lambda _: facts, wait_us=wait_us)


def sooner(one: Move, other: Move) -> Move:
    """Of two moves, of which the first only waits: the one that records; else to wait for whichever comes first."""
    if other.decide is not None:
        return other
    waits = [move.wait_us for move in (one, other) if move.wait_us is not None]
    error = "; ".join(move.error for move in (one, other) if move.error)
    return Move(wait_us=min(waits, default=0), error=error, failed=one.failed or other.failed)
