"""The input: real purchases at a music shop, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from orderway.core.ids import id_from_own_number
from orderway.core.money import Money

__all__ = ["CURRENCY", "Purchase", "by_customer", "read_purchases"]

CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of the input.

    Args:
        line: its number, from 1 on. Some lines are identical: only the number tells them apart.
        uid: the customer.
        bought_on: YYYYMMDD.
        cds: how many.
        amount: what they cost; 0.00 occurs, and is an order with nothing to pay.
    """

    line: int
    uid: str
    bought_on: str
    cds: int
    amount: Money

    @property
    def own_number(self) -> str:
        """The shop's own number of the order."""
        return str(self.line)

    def order_id(self, order_type: int) -> str:
        """The order id that stands for this line, whoever creates it and however often."""
        return id_from_own_number(order_type, self.uid, self.own_number)


def read_purchases(limit: int | None = None) -> list[Purchase]:
    """The purchases of the file that comes with the package; only the first ``limit`` if it is given."""
    text = files("orderway.demo").joinpath("data", "cdnow_sample.txt").read_text("ascii")
    return [_purchase(number, line) for number, line in enumerate(text.splitlines()[:limit], start=1)]


def by_customer(purchases: list[Purchase]) -> Iterator[tuple[str, list[Purchase]]]:
    """Customers in the order of the input, each with the purchases that he made."""
    for uid, lines in groupby(purchases, key=lambda purchase: purchase.uid):
        yield uid, list(lines)


def _purchase(number: int, line: str) -> Purchase:
    customer, _, bought_on, cds, dollars = line.split()
    return Purchase(number, customer, bought_on, int(cds), Money.of(dollars, CURRENCY))
