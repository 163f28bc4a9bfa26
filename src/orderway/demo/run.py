"""The parent process: it starts shops, kills them by schedule, and starts them again, until every order is settled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from orderway.demo.fates import Kill, deal, kill_schedule
from orderway.demo.goods import prepare
from orderway.demo.purchases import Purchase, read_purchases
from orderway.demo.settings import Folder, Settings
from orderway.demo.watch import Death, Now, Watch

__all__ = ["DemoFailed", "Show", "Story", "run"]

Show = Callable[[Now], None]
"""Shows how things stand."""

LOOK_EVERY_S = 0.1
AT_REST_AFTER_S = 1.0
STALLED_AFTER_S = 60.0


class DemoFailed(Exception):
    """The demo could not be brought to its end; the message says why."""


@dataclass(slots=True)
class Story:
    """What happened in a run.

    Args:
        elapsed_s: from the start of the first shop until nothing moved any more.
        shops_started: how many processes.
        deaths: of killed shops.
    """

    elapsed_s: float = 0.0
    shops_started: int = 0
    deaths: list[Death] = field(default_factory=list)


def run(folder: Folder, settings: Settings, show: Show) -> Story:
    """Run the shops until every order has ended, all money is back that goes back, and every callback was sent.

    Args:
        folder: an empty one.
        settings: noted down in the folder, for the shops.
        show: called again and again with how things stand.

    Raises:
        DemoFailed: a shop ended by itself, or nothing moves any more.
    """
    purchases = read_purchases(settings.lines)
    folder.write(settings)
    asyncio.run(prepare(folder, sorted({purchase.uid for purchase in purchases})))
    watch = Watch(folder)
    street = _Street(folder, watch, settings.shops)
    try:
        street.open()
        return _carry(street, watch, purchases, settings, show)
    finally:
        street.close()
        watch.close()


def _carry(street: _Street, watch: Watch, purchases: list[Purchase], settings: Settings, show: Show) -> Story:
    kills = kill_schedule(settings.seed, settings.kills, len(purchases), settings.shops)
    to_operate = sum(deal(each, settings.seed).needs_operator for each in purchases)
    story = Story(deaths=watch.deaths)
    moved_at_s, moved = time.monotonic(), None
    while True:
        now = watch.now()
        show(now)
        while kills and kills[0].at_ended <= now.ended and street.kill(kills[0]):
            kills.pop(0)
        if (progress := (now.stages, now.unsettled, now.kills, now.tallies)) != moved:
            moved_at_s, moved = time.monotonic(), progress
            story.elapsed_s = now.elapsed_s
        still_s = time.monotonic() - moved_at_s
        is_over = now.ended == len(purchases) and not now.unsettled and not kills
        if still_s > AT_REST_AFTER_S and is_over and not watch.notices_to_come() and watch.operated() == to_operate:
            break
        if still_s > STALLED_AFTER_S:
            raise DemoFailed(f"nothing has moved for {STALLED_AFTER_S:.0f} s: {dict(now.stages)}; see the shops' logs")
        street.check()
        time.sleep(LOOK_EVERY_S)
    street.close()
    show(watch.now())
    story.shops_started = street.started
    return story


class _Street:
    """The shop processes, one a lane at any time."""

    def __init__(self, folder: Folder, watch: Watch, lanes: int) -> None:
        self._folder = folder
        self._watch = watch
        self._numbers = count(1)
        self._lanes = range(lanes)
        self._open: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
        self.started = 0

    def open(self) -> None:
        """Start a shop in each lane."""
        for lane in self._lanes:
            self._start(lane)

    def kill(self, kill: Kill) -> bool:
        """Kill the shop of a lane with SIGKILL and start its successor; False if it has not begun to work yet."""
        number, process = self._open[kill.lane]
        if process.poll() is not None or not self._folder.tally(number).exists():
            return False
        process.kill()
        process.wait()
        self._watch.shop_died(number, process.pid)
        self._start(kill.lane)
        return True

    def check(self) -> None:
        """See that every shop is still there.

        Raises:
            DemoFailed: one has ended by itself; says how, and its last words.
        """
        for number, process in self._open.values():
            if process.poll() is not None:
                said = self._folder.log(number).read_text(errors="replace").strip()[-2_000:]
                raise DemoFailed(f"shop {number} ended by itself with exit code {process.returncode}:\n{said}")

    def close(self) -> None:
        """Let the shops finish what they have in hand, and wait for their end."""
        for _, process in self._open.values():
            process.terminate()
        for _, process in self._open.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._open.clear()

    def _start(self, lane: int) -> None:
        number = next(self._numbers)
        command = [sys.executable, "-m", "orderway.demo.shop", str(self._folder.path), str(number), str(lane)]
        with self._folder.log(number).open("wb") as log:
            # A session of its own: Ctrl-C is for the demo, which then closes its shops itself.
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=os.environ)
        self._open[lane] = (number, process)
        self.started += 1
