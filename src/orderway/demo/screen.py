"""What the demo shows while it runs: a bar and counts that move, or plain lines where the output is no terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from orderway.core.money import Money
from orderway.core.order import Stage
from orderway.demo.fates import AFTERWARDS, ANSWERS, FATES, Way, deal
from orderway.demo.purchases import CURRENCY, Purchase
from orderway.demo.settings import Settings
from orderway.demo.tally import What
from orderway.demo.watch import Now

__all__ = ["LiveScreen", "PlainScreen", "screen_for", "show_title"]

LINE_EVERY_S = 2.0
COLUMNS = 2
UNPAID = (Stage.CANCELLING, Stage.CANCELLED, Stage.REJECTING, Stage.REJECTED, Stage.CLOSING, Stage.CLOSED)


class LiveScreen:
    """A bar and counts in place, for terminals."""

    def __init__(self, console: Console, orders: int, settings: Settings) -> None:
        self._kills = settings.kills
        self._bar = Progress(
            TextColumn("  "), BarColumn(bar_width=48), MofNCompleteColumn(), TextColumn("{task.fields[clock]}")
        )
        self._task = self._bar.add_task("orders", total=orders, clock="")
        self._live = Live(self._group(Now()), console=console, refresh_per_second=10, transient=True)

    def __enter__(self) -> LiveScreen:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, now: Now) -> None:
        """Show how things stand."""
        self._bar.update(self._task, completed=now.ended, clock=f"{now.elapsed_s:4.0f} s")
        self._live.update(self._group(now))

    def _group(self, now: Now) -> Group:
        counts = Table.grid(padding=(0, 3))
        counts.add_column(style="dim")
        counts.add_column(justify="right", min_width=7)
        counts.add_column(style="dim")
        counts.add_column(justify="right", min_width=7)
        left, right = _orders(now), _troubles(now, self._kills)
        for number in range(max(len(left), len(right))):
            cells = [*(left[number : number + 1] or [("", "")]), *(right[number : number + 1] or [("", "")])]
            counts.add_row(*(text for cell in cells for text in cell))
        return Group(Text(""), self._bar, Text(""), _indented(counts), Text(""))


class PlainScreen:
    """A line every two seconds, for files and pipes."""

    def __init__(self, console: Console, orders: int, settings: Settings) -> None:
        self._console = console
        self._orders = orders
        self._kills = settings.kills
        self._next_s = 0.0

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, now: Now) -> None:
        """Write a line, if the last one was a while ago."""
        if now.elapsed_s < self._next_s:
            return
        self._next_s = now.elapsed_s + LINE_EVERY_S
        self._console.print(
            f"{now.elapsed_s:5.1f} s  {now.ended:,} of {self._orders:,} ended, {now.created:,} created,"
            f" {now.kills} of {self._kills} kills, {now.taken_over:,} orders taken over",
            highlight=False,
            soft_wrap=True,
        )


def show_title(console: Console, purchases: Sequence[Purchase], settings: Settings) -> None:
    """Say what is going to happen, and how often."""
    total = Money(sum(purchase.amount.amount_minor for purchase in purchases), CURRENCY)
    kills = f"killed with SIGKILL {settings.kills} times" if settings.kills else "and nobody is killed"
    ways = Counter(deal(purchase, settings.seed).way for purchase in purchases)
    console.print()
    console.print(
        f"  [bold]{len(purchases):,} real purchases[/] at a music shop, {total}; {settings.shops} shops, {kills}"
    )
    paid = ", ".join(f"{ways[way]:,} {way}" for way in Way if ways[way])
    console.print(Padding(Text(paid, style="dim"), (0, 2)))
    _show_rates(console, "of the payments that the channel takes part in, one in", FATES)
    _show_rates(console, "of the orders paid and delivered in time, one in", AFTERWARDS)
    _show_rates(console, "of the channel's refunds, one in", ANSWERS)
    console.print()


def _show_rates(console: Console, title: str, rates: Mapping[Any, int]) -> None:
    console.print(f"\n  [dim]{title}[/]")
    grid = Table.grid(padding=(0, 1))
    for _ in range(COLUMNS):
        grid.add_column(justify="right", style="dim", min_width=5)
        grid.add_column(min_width=38, style="dim")
    cells = [(str(one_in), str(what)) for what, one_in in rates.items()]
    for at in range(0, len(cells), COLUMNS):
        grid.add_row(*(text for cell in cells[at : at + COLUMNS] for text in cell))
    console.print(Padding(grid, (0, 2)))


def screen_for(console: Console, orders: int, settings: Settings) -> LiveScreen | PlainScreen:
    """The screen that suits this console."""
    return (LiveScreen if console.is_terminal else PlainScreen)(console, orders, settings)


def _orders(now: Now) -> list[tuple[str, str]]:
    stages = now.stages
    undone = stages[Stage.RETURNING] + stages[Stage.REFUNDING] + stages[Stage.REFUNDED]
    unpaid = sum(stages[stage] for stage in UNPAID)
    return [
        ("waiting for money", f"{stages[Stage.CREATED]:,}"),
        ("being delivered", f"{stages[Stage.PAID] + stages[Stage.DELIVERED]:,}"),
        ("finished", f"{stages[Stage.FINISHED]:,}"),
        ("refunded", f"{undone:,}"),
        ("cancelled, or closed unpaid", f"{unpaid:,}"),
        ("stuck, before a person", f"{stages[Stage.FAILING] + stages[Stage.STUCK]:,}"),
    ]


def _troubles(now: Now, kills: int) -> list[tuple[str, str]]:
    tallies = now.tallies
    moved_again = tallies[What.WALLET_MOVED_AGAIN] + tallies[What.CHANNEL_CHARGED_AGAIN]
    return [
        ("shops killed", f"{now.kills} / {kills}"),
        ("their orders, waiting / taken over", f"{now.orphans} / {now.taken_over}"),
        ("callbacks / forged", f"{tallies[What.NOTICES]:,} / {tallies[What.NOTICES_REFUSED]:,}"),
        ("orders created again", f"{tallies[What.CREATED_AGAIN]:,}"),
        ("money asked for again", f"{moved_again:,}"),
        ("refunds asked for again", f"{tallies[What.CHANNEL_REFUNDED_AGAIN] + tallies[What.OPERATED_AGAIN]:,}"),
    ]


def _indented(table: Table) -> Table:
    grid = Table.grid()
    grid.add_row("   ", table)
    return grid
