"""Commands that look at wallets: balance, statement."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.text import Text

from orderway.cli.documents import line_document
from orderway.cli.opening import Settings, reading, run
from orderway.cli.options import Command, paged
from orderway.cli.output import console, iso, money, print_json
from orderway.cli.tables import Table
from orderway.core.money import Currency
from orderway.orders import check_uid
from orderway.ports.ledger import StatementLine

__all__ = ["balance", "statement"]


@click.command(cls=Command)
@click.argument("uid")
@click.argument("currency")
@click.pass_obj
def balance(settings: Settings, uid: str, currency: str) -> None:
    """Show what a user's wallet holds."""

    async def work() -> int:
        _check(uid, currency)
        async with reading(settings) as database:
            return await database.ports.ledger.balance(uid, currency)

    holds = run(work())
    if settings.json:
        print_json({"uid": uid, "currency": currency, "balance_minor": holds})
    else:
        console().print(money(holds, currency))


@click.command(cls=Command)
@click.argument("uid")
@click.argument("currency")
@paged(click.IntRange(0))
@click.pass_obj
def statement(settings: Settings, uid: str, currency: str, limit: int, after: int | None) -> None:
    """Show the movements of a user's wallet, oldest first."""

    async def work() -> tuple[Sequence[StatementLine], int | None]:
        _check(uid, currency)
        async with reading(settings) as database:
            return await database.ports.ledger.statement(uid, currency, after or 0, limit)

    lines, following = run(work())
    if settings.json:
        movements = [line_document(line) for line in lines]
        print_json({"uid": uid, "currency": currency, "movements": movements, "next": following})
        return
    if not lines:
        console().print("no movements")
        return
    columns = ("when", "amount", "balance", "key", "memo")
    table = Table(columns, right=("amount", "balance"), cut="memo", spare=("memo",))
    for line in lines:
        amount, holds = (money(minor, currency) for minor in (line.amount_minor, line.balance_minor))
        table.add(iso(line.at_us) or "", amount, holds, line.key, line.memo)
    table.print()
    if following is not None:
        console().print(Text(f"more: add --after {following}", "dim"))


def _check(uid: str, currency: str) -> None:
    check_uid(uid)
    Currency(currency, 0)  # refuses a malformed code; whether it has decimals does not matter here
