"""The demo's last page: the input beside the databases, what was prevented, and the verdict."""

from __future__ import annotations

from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from orderway.core.money import Money
from orderway.demo.audit import Audit, Check
from orderway.demo.run import Story
from orderway.demo.settings import Settings

__all__ = ["as_json", "show_summary"]


def show_summary(console: Console, audit: Audit, story: Story, settings: Settings) -> None:
    """Print the summary."""
    table = Table(box=None, padding=(0, 2), show_edge=False)
    for title, justify in (("", "left"), ("input", "right"), ("databases", "right"), ("", "left")):
        table.add_column(title, justify=justify, header_style="dim", no_wrap=True)  # type: ignore[arg-type]
    section = ("", "")
    for check in audit.checks:
        if (check.section, check.currency) != section:
            section = (check.section, check.currency)
            table.add_row(f"[bold]{check.section}[/]" + (f" [dim]in {check.currency}[/]" if check.currency else ""))
        mark = "[green]✓[/]" if check.holds else "[bold red]✗[/]"
        table.add_row(f"  {check.name}", _figure(check, check.expected), _figure(check, check.found), mark)
    table.add_row("[bold]happened, and did no harm[/]")
    for name, figure in {**_deaths(story), **audit.prevented}.items():
        table.add_row(f"  {name}", "", figure if isinstance(figure, str) else f"{figure:,}")
    console.print(table)
    console.print()
    _show_verdict(console, audit, story, settings)


def _show_verdict(console: Console, audit: Audit, story: Story, settings: Settings) -> None:
    orders, seen = audit.verified.orders, audit.verified
    console.print(
        f"  verify: {seen.orders:,} orders replayed from {seen.entries:,} journal entries, {seen.postings:,} postings"
        f" compared, {seen.found:,} findings",
        highlight=False,
    )
    rate = orders / story.elapsed_s if story.elapsed_s else 0.0
    console.print(
        f"  {orders:,} orders in {story.elapsed_s:.1f} s: {rate:,.0f} orders/s, {len(story.deaths)} kills,"
        f" {story.shops_started} shop processes, seed {settings.seed}",
        highlight=False,
    )
    console.print()
    if audit.clean:
        console.print("  [bold green]Everything adds up.[/] Not one cent and not one delivery lost or doubled.")
        return
    console.print(f"  [bold red]{len(audit.problems)} things do not add up:[/]")
    for problem in audit.problems[:20]:
        console.print(f"  - {problem}", highlight=False, markup=False)


def as_json(audit: Audit, story: Story, settings: Settings) -> dict[str, Any]:
    """The same figures, for programs. Money is in minor units."""
    return {
        "clean": audit.clean,
        "seed": settings.seed,
        "orders": audit.verified.orders,
        "elapsed_s": round(story.elapsed_s, 3),
        "orders_per_s": round(audit.verified.orders / story.elapsed_s, 1) if story.elapsed_s else None,
        "kills": len(story.deaths),
        "shops_started": story.shops_started,
        "deaths": [
            {"shop": death.shop, "orphans": death.orphans, "taken_over_s": _rounded(death.taken_over_s)}
            for death in story.deaths
        ],
        "checks": [
            {
                "section": check.section,
                "name": check.name.strip(),
                "expected": check.expected,
                "found": check.found,
                "currency": check.currency,
                "holds": check.holds,
            }
            for check in audit.checks
        ],
        "prevented": audit.prevented,
        "verify": {
            "orders": audit.verified.orders,
            "entries": audit.verified.entries,
            "postings": audit.verified.postings,
            "findings": audit.verified.found,
        },
        "problems": audit.problems,
    }


def _deaths(story: Story) -> dict[str, int | str]:
    taken_over = [death.taken_over_s for death in story.deaths if death.orphans and death.taken_over_s is not None]
    figures: dict[str, int | str] = {
        "shops killed with SIGKILL": len(story.deaths),
        "orders in their hands, taken over by others": sum(death.orphans for death in story.deaths),
    }
    if taken_over:
        figures["  after, median and longest"] = f"{median(taken_over):.1f} s, {max(taken_over):.1f} s"
    return figures


def _figure(check: Check, number: int) -> str:
    if not check.currency:
        return f"{number:,}"
    return str(Money(number, check.currency)).removesuffix(f" {check.currency}")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
