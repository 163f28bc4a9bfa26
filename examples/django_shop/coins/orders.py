"""The orders of the shop: their goods are in Django's database, with a receipt for each delivery."""

from __future__ import annotations

import functools
from typing import Any

from django.db import close_old_connections, connection, transaction
from django.db.models import F

from coins.models import Account
from orderway import Business, Money, Order, blocking

PACKS = {"small": (100, Money.of("9.90", "CNY")), "large": (1_000, Money.of("89.00", "CNY"))}


class Coins(Business[dict[str, Any]]):
    """Sells coins."""

    order_type = 1

    def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The coins and the receipt are entered in one transaction of Django's. A second try finds the receipt."""
        close_old_connections()  # Django does so around requests; this thread serves none
        with transaction.atomic():
            if delivery.receipt(connection):
                Account.objects.get_or_create(uid=order.uid)
                Account.objects.filter(uid=order.uid).update(coins=F("coins") + order.data["coins"])


def make_app() -> blocking.App:
    """The shop's App, not started."""
    app = blocking.App("sqlite:///orders.db")
    app.register(Coins())
    return app


@functools.cache
def orders() -> blocking.App:
    """This process's App, started; closed when the process exits."""
    app = make_app()
    app.start()
    return app
