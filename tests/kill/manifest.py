"""What the shop sells in a test of kill -9, and what must have become of it: plain data for shop, test and auditor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["MANIFEST", "REFUSED_MINOR", "UNTOLD_MINOR", "orders_url"]

REFUSED_MINOR = 666
"""The price at which the bank refuses."""
UNTOLD_MINOR = 1777
"""The price at which the bank takes the money and its notification is lost."""

CURRENCY = "CNY"
POINTS = "POINTS"
TOP_UPS = {
    "t1": ("ann", 5000, CURRENCY),
    "t2": ("bob", 700, CURRENCY),
    "t3": ("bob", 900, CURRENCY),
    "t4": ("kim", 3000, CURRENCY),
    "t5": ("kim", 300, POINTS),
}

Part = dict[str, Any]


def _part(channel: str, amount: int, back: int = 0) -> Part:
    """So much through a channel, of which so much goes back; what is paid in points counts for twice as much."""
    in_points = channel == "points"
    return {
        "channel": channel,
        "amount_minor": amount,
        "currency": POINTS if in_points else CURRENCY,
        "worth_minor": 2 * amount if in_points else amount,
        "back_minor": back,
    }


def _order(own_number: str, kind: str, uid: str, *parts: Part, ends: str = "finished", **then: Any) -> dict[str, Any]:
    price = sum(part["worth_minor"] for part in parts)
    order = {"own_number": own_number, "kind": kind, "uid": uid, "parts": parts, "price_minor": price, "ends": ends}
    return {**order, "refund_minor": then.get("refund", 0), "cancel": then.get("cancel", False)}


MANIFEST: dict[str, Any] = {
    "currency": CURRENCY,
    "points": POINTS,
    "top_ups": [
        {"key": key, "uid": uid, "amount_minor": amount, "currency": code}
        for key, (uid, amount, code) in TOP_UPS.items()
    ],
    "orders": [
        _order("coins-1", "execute", "ann", _part("wallet", 990)),
        _order("coins-2", "execute", "bob", _part("wallet", 400)),
        _order("gift-1", "transaction", "ann"),
        _order("gift-2", "transaction", "bob"),
        _order("card-1", "receipt", "ann", _part("bank", 1999)),
        _order("card-2", "receipt", "eve", _part("bank", 2500)),
        _order("card-3", "receipt", "bob", _part("bank", UNTOLD_MINOR)),
        _order("kit-1", "steps", "ann", _part("wallet", 300)),
        _order("kit-2", "steps", "bob", _part("wallet", 1200)),
        _order("own-1", "transaction", "eve", _part("gateway", 750)),
        _order("poor-1", "execute", "eve", _part("wallet", 100), ends="rejected"),
        _order("refused-1", "execute", "eve", _part("bank", REFUSED_MINOR), ends="cancelled"),
        # Mixed: held first, then the bank; taken when the bank is paid, released when it refuses.
        _order("mix-1", "execute", "kim", _part("points", 45), _part("wallet", 400), _part("bank", 500)),
        _order("mix-2", "execute", "kim", _part("wallet", 350), _part("bank", REFUSED_MINOR), ends="cancelled"),
        # A part goes back, the goods stay: first what was paid last.
        _order("part-1", "receipt", "kim", _part("wallet", 250, 50), _part("bank", 800, 800), refund=850),
        # Cancelled after delivery: the goods come back, then all of the money, through every channel.
        _order(
            "back-1",
            "execute",
            "kim",
            _part("points", 30, 30),
            _part("wallet", 200, 200),
            _part("bank", 610, 610),
            ends="refunded",
            cancel=True,
        ),
        _order("back-2", "execute", "kim", _part("wallet", 120, 120), ends="refunded", cancel=True),
    ],
}


def orders_url(folder: Path) -> str:
    """Where the orders of a folder are: in the database that its manifest names, or in a file beside it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return str(manifest.get("orders_url", f"sqlite:///{folder / 'orders.db'}"))
