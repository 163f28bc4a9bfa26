"""A shop that sells coins, in Flask: the goods are in SQLAlchemy's database, with a receipt for each delivery."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
from typing import Any

import flask
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select, update

from orderway import Business, Money, Order, blocking, receipts
from orderway.errors import InvalidValue, KeyReused, OrderExists, OrderNotFound, OrderwayError, Unavailable

SECRET = os.environ.get("GATEWAY_SECRET", "only for trying out").encode()
PACKS = {"small": (100, Money.of("9.90", "CNY")), "large": (1_000, Money.of("89.00", "CNY"))}

goods = create_engine("sqlite:///goods.db")
metadata = MetaData()
coins = Table("coins", metadata, Column("uid", String(128), primary_key=True), Column("coins", Integer, nullable=False))


class Coins(Business[dict[str, Any]]):
    """Sells coins."""

    order_type = 1

    def deliver(self, order: Order[dict[str, Any]], delivery: Any) -> None:
        """The coins and the receipt are entered in one transaction of SQLAlchemy. A second try finds the receipt."""
        with goods.begin() as connection:
            if delivery.receipt(connection.connection):  # the driver's connection, in the same transaction
                more = coins.c.coins + order.data["coins"]
                if connection.execute(update(coins).where(coins.c.uid == order.uid).values(coins=more)).rowcount == 0:
                    connection.execute(insert(coins).values(uid=order.uid, coins=order.data["coins"]))


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


def make_tables() -> None:
    """Make the tables of the goods, and the one of their receipts. Once, not in each server process."""
    metadata.create_all(goods)
    with goods.begin() as connection:
        receipts.create_table(connection.connection)


def create_web() -> flask.Flask:
    """The web application. Each server process calls this: after the fork, unless it is told to load it before."""
    orders()
    web = flask.Flask(__name__)
    web.add_url_rule("/orders", view_func=buy, methods=["POST"])
    web.add_url_rule("/orders/<order_id>", view_func=look)
    web.add_url_rule("/payments", view_func=paid, methods=["POST"])
    web.add_url_rule("/users/<user>/coins", view_func=coins_of)
    web.register_error_handler(OrderwayError, explain)
    return web


def buy() -> Any:
    """Create the order and answer at once. The same number again gives the same order, so buyers may try again."""
    wanted = flask.request.get_json()  # who the user is would be known from the login
    if wanted["pack"] not in PACKS:
        return {"detail": f"the packs are {sorted(PACKS)}"}, 422
    number_of_coins, price = PACKS[wanted["pack"]]  # ours, never the buyer's
    order = orders().create(
        *(1, wanted["user"]), amount=price, pay="gateway", data={"coins": number_of_coins}, own_number=wanted["number"]
    )
    return {"order": order.id, "stage": order.stage.value}, 201


def look(order_id: str) -> Any:
    """What the order page shows; it may be asked again and again."""
    order = orders().get(order_id)
    return {"order": order.id, "stage": order.stage.value}


def paid() -> Any:
    """The payment provider's callback: verify, record, and carry the order on."""
    body = flask.request.get_data()  # as it was signed: parsing it and writing it again may change it
    signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), flask.request.headers.get("X-Signature", "").encode()):
        return {"detail": "the signature is wrong"}, 403
    told = json.loads(body)
    amount = Money.of(told["amount"], told["currency"])
    order = orders().record_payment(told["order"], amount, reference=told["reference"])
    if order is not None:  # None: no order has this id; the payment is kept, see `orderway parked`
        orders().hint(order.id)  # it goes on beside this request, which is answered now
    return {"result": "ok"}


def coins_of(user: str) -> Any:
    """What the user has: the shop's own table."""
    with goods.connect() as connection:
        return {"coins": connection.scalar(select(coins.c.coins).where(coins.c.uid == user)) or 0}


STATUS = {OrderNotFound: 404, OrderExists: 409, KeyReused: 409, InvalidValue: 422, Unavailable: 503}


def explain(error: OrderwayError) -> Any:
    """The caller's own mistakes in words, everything else without; 503 says: the same again, a little later."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    text = str(error) if status < 500 else "try again later"
    return {"error": error.code, "detail": text}, status, {"Retry-After": "1"} if status == 503 else {}


if __name__ == "__main__":
    make_tables()
