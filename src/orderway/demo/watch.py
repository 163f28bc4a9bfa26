"""Watching the shops at work: live counts, read from the databases beside them."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field

from orderway.core.order import FINAL_STAGES, Stage
from orderway.demo.settings import Folder
from orderway.demo.tally import What, read_tallies

__all__ = ["Death", "Now", "Watch"]


@dataclass(slots=True)
class Death:
    """A shop that was killed.

    Args:
        shop: its number.
        at_s: when, on the monotonic count.
        incarnations: the workers' numbers that it held orders under.
        orphans: how many unfinished orders it held.
        taken_over_s: after how long none of them was left with it; None while some are.
    """

    shop: int
    at_s: float
    incarnations: tuple[int, ...]
    orphans: int
    taken_over_s: float | None = None


@dataclass(slots=True)
class Now:
    """How things stand.

    Args:
        stages: orders by stage.
        unsettled: orders of them that somebody has still to look at.
        kills: so far.
        orphans: orders that killed shops held and nobody has taken over yet.
        taken_over: orders that killed shops held and others have taken over.
        tallies: what the shops count themselves.
        elapsed_s: since the first shop was started.
    """

    stages: Counter[Stage] = field(default_factory=Counter)
    unsettled: int = 0
    kills: int = 0
    orphans: int = 0
    taken_over: int = 0
    tallies: Counter[What] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    @property
    def created(self) -> int:
        """Orders that exist."""
        return self.stages.total()

    @property
    def ended(self) -> int:
        """Orders that have come to an end; money of some of them may still be on its way back."""
        return sum(self.stages[stage] for stage in FINAL_STAGES)


class Watch:
    """Reads the databases of a demo; changes nothing.

    Args:
        folder: whose files; the database exists.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.deaths: list[Death] = []
        self._began_s = time.monotonic()
        self._orders = sqlite3.connect(f"{folder.orders.as_uri()}?mode=ro", uri=True, timeout=30)

    def close(self) -> None:
        """Close the files."""
        self._orders.close()

    def now(self) -> Now:
        """How things stand now."""
        rows = self._orders.execute(
            "SELECT stage, count(*), count(due_at_us) FROM ow_orders_0 GROUP BY stage"
        ).fetchall()
        self._watch_orphans()
        return Now(
            stages=Counter({Stage(stage): count for stage, count, _ in rows}),
            unsettled=sum(due for _, _, due in rows),
            kills=len(self.deaths),
            orphans=sum(death.orphans for death in self.deaths if death.taken_over_s is None),
            taken_over=sum(death.orphans for death in self.deaths if death.taken_over_s is not None),
            tallies=read_tallies(self.folder.path),
            elapsed_s=time.monotonic() - self._began_s,
        )

    def shop_died(self, shop: int, pid: int) -> None:
        """Note down the death of a shop that was just killed, with the orders that it held."""
        named = self._orders.execute("SELECT incarnation FROM ow_workers WHERE name LIKE ?", (f"%:{pid}",)).fetchall()
        death = Death(shop, time.monotonic(), tuple(incarnation for (incarnation,) in named), 0)
        death.orphans = self._held_by(death)
        self.deaths.append(death)

    def operated(self) -> int:
        """How many orders operators have acted on."""
        acted = 'body LIKE \'%"actor":"operator"%\''
        facts = "fact IN ('RefundRequested', 'Revoked')"
        sql = f"SELECT count(DISTINCT order_id) FROM ow_journal_0 WHERE {facts} AND {acted}"
        return int(self._orders.execute(sql).fetchone()[0])

    def notices_to_come(self) -> int:
        """How many notifications the channel has still to send."""
        channel = sqlite3.connect(f"{self.folder.channel.as_uri()}?mode=ro", uri=True, timeout=30)
        try:
            ((count,),) = channel.execute("SELECT count(*) FROM notices").fetchall()
            return int(count)
        finally:
            channel.close()

    def _watch_orphans(self) -> None:
        for death in self.deaths:
            if death.taken_over_s is None and not self._held_by(death):
                death.taken_over_s = time.monotonic() - death.at_s

    def _held_by(self, death: Death) -> int:
        marks = ", ".join("?" * len(death.incarnations))
        sql = f"SELECT count(*) FROM ow_orders_0 WHERE status = 1 AND holder IN ({marks})"
        return int(self._orders.execute(sql, death.incarnations).fetchone()[0])
