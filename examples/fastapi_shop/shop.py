"""A shop that sells coins, in FastAPI: the App lives as long as the server; the goods are in its database."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from orderway import App, Business, Money, Order
from orderway.errors import InvalidValue, KeyReused, OrderExists, OrderNotFound, OrderwayError, Unavailable

SECRET = os.environ.get("GATEWAY_SECRET", "only for trying out").encode()
PACKS = {"small": (100, Money.of("9.90", "CNY")), "large": (1_000, Money.of("89.00", "CNY"))}


@dataclass
class CoinOrder:
    """What is ordered."""

    coins: int


class Coins(Business[CoinOrder]):
    """Sells coins."""

    order_type = 1

    async def deliver(self, order: Order[CoinOrder], delivery: Any) -> None:
        """The coins are entered in the transaction in which the order is delivered."""
        delivery.execute(
            "INSERT INTO coins VALUES (:uid, :coins) ON CONFLICT (uid) DO UPDATE SET coins = coins.coins + :coins",
            {"uid": order.uid, "coins": order.data.coins},
            expect=1,
        )


def make_app() -> App:
    """The shop's App, not started."""
    app = App("sqlite:///orders.db")
    app.register(Coins())
    return app


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncIterator[None]:
    """Every server process runs this once, after any fork; so each makes an App of its own."""
    with closing(sqlite3.connect("orders.db")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS coins (uid TEXT PRIMARY KEY, coins INTEGER NOT NULL)")
    async with make_app() as app:
        web.state.orders = app
        yield


web = FastAPI(lifespan=lifespan)


def _orders(request: Request) -> App:
    app: App = request.app.state.orders
    return app


Orders = Annotated[App, Depends(_orders)]


class Purchase(BaseModel):
    """What a buyer sends. Who the user is would be known from the login."""

    user: str
    pack: str
    number: str


@web.post("/orders", status_code=201)
async def buy(purchase: Purchase, orders: Orders) -> dict[str, str]:
    """Create the order and answer at once. The same number again gives the same order, so buyers may try again."""
    if purchase.pack not in PACKS:
        raise HTTPException(422, f"the packs are {sorted(PACKS)}")
    coins, price = PACKS[purchase.pack]  # ours, never the buyer's
    order = await orders.create(
        1, purchase.user, amount=price, pay="gateway", data={"coins": coins}, own_number=purchase.number
    )
    return {"order": order.id, "stage": order.stage.value}


@web.get("/orders/{order_id}")
async def look(order_id: str, orders: Orders) -> dict[str, str]:
    """What the order page shows; it may be asked again and again."""
    order = await orders.get(order_id)
    return {"order": order.id, "stage": order.stage.value}


@web.post("/payments")
async def paid(request: Request, orders: Orders, background: BackgroundTasks) -> dict[str, str]:
    """The payment provider's callback: verify, record, answer, and carry the order on after that."""
    body = await request.body()  # as it was signed: parsing it and writing it again may change it
    signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), request.headers.get("x-signature", "").encode()):
        raise HTTPException(403, "the signature is wrong")
    told = json.loads(body)
    amount = Money.of(told["amount"], told["currency"])
    order = await orders.record_payment(told["order"], amount, reference=told["reference"])
    if order is not None:  # None: no order has this id; the payment is kept, see `orderway parked`
        background.add_task(orders.forward, order.id)
    return {"result": "ok"}


@web.get("/users/{user}/coins")
def coins_of(user: str) -> dict[str, int]:
    """What the user has: the shop's own table."""
    with closing(sqlite3.connect("orders.db")) as database:
        found = database.execute("SELECT coins FROM coins WHERE uid = ?", (user,)).fetchone()
    return {"coins": found[0] if found else 0}


STATUS = {OrderNotFound: 404, OrderExists: 409, KeyReused: 409, InvalidValue: 422, Unavailable: 503}


@web.exception_handler(OrderwayError)
async def explain(request: Request, error: OrderwayError) -> JSONResponse:
    """The caller's own mistakes in words, everything else without; 503 says: the same again, a little later."""
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    text = str(error) if status < 500 else "try again later"
    return JSONResponse({"error": error.code, "detail": text}, status, {"Retry-After": "1"} if status == 503 else None)
