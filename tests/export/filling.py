"""Orders and postings to export, hostile texts among them, and what takes the chunks of an export."""

from __future__ import annotations

from dataclasses import dataclass, field

from orderway.adapters import Ports
from orderway.core.facts import Cancelled
from orderway.core.money import define_currency
from orderway.export import Chunk
from orderway.ports.ledger import FUNDING, SALES, WALLET, Line, Posting
from orderway.testing.conformance.builders import NOW_US, finish, make_change, make_order, paid

__all__ = ["HOSTILE", "Taken", "fill_ledger", "fill_orders"]

HOSTILE = (
    *("ann", "", " lead", "trail ", "two  spaces", "tab\there", "new\nline", "cr\r\nlf", "null\x00byte", "a;b", "; c"),
    *('say "hi"', "(virtual)", "[bracket]", "a:b:c", ":", "%", "%20", "100%", "* done", "! wait", "(code) x", "a | b"),
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "date:2020-01-01", "x, date:2020-01-01", "张三", "😀", "b\u0301"),
    *("\u202ex", "line\u2028sep", "nbsp\u00a0end", "comment", "include other.journal", "~ daily"),
    "2026-01-01 x\n    a  1 USD\n    b",
)
"""Texts that could forge a line, a column, a formula or an account."""


@dataclass
class Taken:
    """Takes the chunks of an export."""

    chunks: list[Chunk] = field(default_factory=list)

    async def write(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


async def fill_orders(ports: Ports, count: int = 40) -> list[str]:
    """Orders of many stages; returns their ids, in order."""
    ids = []
    for number in range(count):
        text = HOSTILE[number % len(HOSTILE)]
        order, entry = make_order(
            text, at_us=NOW_US + number, order_type=number % 3, remark=text, data=f'{{"n":{number}}}', own_number=text
        )
        order = await ports.store.create(order, entry)
        ids.append(order.id)
        if number % 4 == 1:
            await ports.store.record(make_change(order, Cancelled(why="sold out")))
        elif number % 4 >= 2:
            change = make_change(order, paid(order))
            await ports.store.record(change)
            if number % 4 == 3:
                await ports.store.record(finish(change.order))
    return sorted(ids)


async def fill_ledger(ports: Ports, users: tuple[str, ...] = HOSTILE) -> None:
    """Top-ups, payments, debits and tombstones in currencies with 0, 2 and 3 decimals, and of the shop's own."""
    define_currency("GOLD_COIN", 2)
    for at, text in enumerate(users):
        for code, amount_minor in (("USD", 1999), ("JPY", 1500), ("KWD", 1500), ("GOLD_COIN", 7), ("UNKNOWN", 12345)):
            moves = (
                ("top-up", amount_minor + at, FUNDING),
                ("paid", -amount_minor // 3, SALES),
                ("debit", -1, FUNDING),
                ("closed", 0, "house:closed payments; x"),
            )
            for name, minor, house in moves:
                lines = (Line(WALLET, minor), Line(house, -minor))
                if not minor:
                    lines = (Line(house, 0), Line(SALES, 0))
                posting = Posting(f"{name} {code} {text}", text, code, lines, text)
                await ports.ledger.post(posting, NOW_US + at)
    big = (Line(WALLET, 2**63 - 1), Line(FUNDING, 1 - 2**63))
    await ports.ledger.post(Posting("big", "rich", "BHD", big, "all there is"), -1)
