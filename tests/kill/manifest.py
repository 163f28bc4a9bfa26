"""What the shop sells in a test of kill -9, and what must have become of it: plain data for shop, test and auditor."""

from __future__ import annotations

from typing import Any

__all__ = ["MANIFEST", "REFUSED_MINOR", "UNTOLD_MINOR"]

REFUSED_MINOR = 666
"""The price at which the bank refuses."""
UNTOLD_MINOR = 1777
"""The price at which the bank takes the money and its notification is lost."""

CURRENCY = "CNY"
TOP_UPS = {"t1": ("ann", 5000), "t2": ("bob", 700), "t3": ("bob", 900)}


def _order(own_number: str, kind: str, uid: str, pay: str | None, price: int, ends: str = "finished") -> dict[str, Any]:
    return {"own_number": own_number, "kind": kind, "uid": uid, "pay": pay, "price_minor": price, "ends": ends}


MANIFEST: dict[str, Any] = {
    "currency": CURRENCY,
    "top_ups": [{"key": key, "uid": uid, "amount_minor": amount} for key, (uid, amount) in TOP_UPS.items()],
    "orders": [
        _order("coins-1", "execute", "ann", "wallet", 990),
        _order("coins-2", "execute", "bob", "wallet", 400),
        _order("gift-1", "transaction", "ann", None, 0),
        _order("gift-2", "transaction", "bob", None, 0),
        _order("card-1", "receipt", "ann", "bank", 1999),
        _order("card-2", "receipt", "eve", "bank", 2500),
        _order("card-3", "receipt", "bob", "bank", UNTOLD_MINOR),
        _order("kit-1", "steps", "ann", "wallet", 300),
        _order("kit-2", "steps", "bob", "wallet", 1200),
        _order("own-1", "transaction", "eve", "gateway", 750),
        _order("poor-1", "execute", "eve", "wallet", 100, ends="rejected"),
        _order("refused-1", "execute", "eve", "bank", REFUSED_MINOR, ends="cancelled"),
    ],
}
