"""Every channel passes the suite of channels: the wallet over each ledger, the scripted channel in all its ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from orderway.adapters import Ports, memory_ports, open_ports
from orderway.channels.scripted import HasOnly, NeverPays, RefundsLater, ScriptedChannel
from orderway.channels.scripted_http import ScriptedHttpChannel, scripted_app
from orderway.channels.wallet import WalletChannel
from orderway.core.money import define_currency
from orderway.memory import MemoryDatabase
from orderway.ports.channel import Channel, Charge
from orderway.ports.ledger import FUNDING, HELD, SALES, WALLET, Line, Posting
from orderway.testing.clock import VirtualClock
from orderway.testing.conformance import ChannelConformance, Provider

POINTS = define_currency("POINTS").code


class WalletProvider:
    """Wallets over a ledger: payers have what was posted to them."""

    def __init__(self, url: str, shards: int, currency: str) -> None:
        self.currency = currency
        self.clock = VirtualClock()
        self._url, self._shards = url, shards
        self._database = MemoryDatabase(shards)
        self._opened: list[Ports] = []
        self._gifts = 0

    async def connect(self) -> Channel:
        return WalletChannel((await self._open()).ledger, self.clock, name=self.currency.lower())

    async def give(self, uid: str, amount_minor: int) -> None:
        self._gifts += 1
        lines = (Line(WALLET, amount_minor), Line(FUNDING, -amount_minor))
        ledger = (await self._first()).ledger
        assert await ledger.post(Posting(f"gift-{self._gifts}", uid, self.currency, lines), self.clock.now_us())

    async def pay(self, charge: Charge) -> None:
        raise AssertionError(f"a wallet asks no payer: {charge}")

    async def settle(self) -> None:
        raise AssertionError("a wallet gives back at once")

    async def taken_minor(self) -> int:
        return (await self._sums()).get(SALES, 0)

    async def held_minor(self) -> int:
        return (await self._sums()).get(HELD, 0)

    async def close(self) -> None:
        try:
            await self._sums()
        finally:
            for ports in self._opened:
                await ports.close()

    async def _sums(self) -> Mapping[str, int]:
        sums = (await (await self._first()).ledger.trial_balance()).get(self.currency, {})
        assert sum(sums.values()) == 0
        assert all(total >= 0 for account, total in sums.items() if account != FUNDING)
        return sums

    async def _first(self) -> Ports:
        return self._opened[0] if self._opened else await self._open()

    async def _open(self) -> Ports:
        if self._url == "memory://":
            ports = memory_ports(self._database)
            await ports.start()
        else:
            ports = await open_ports(self._url, shards=self._shards)
        self._opened.append(ports)
        return ports


class ScriptedProvider:
    """Scripted payers, who have what they were given each time they are asked; or who pay when the test says so.

    Without a path, all instances are the same one. With ``over_http``, each has a client of its own.
    """

    currency = "USD"

    def __init__(
        self, path: Path | None, *, is_card: bool, refunds_later: bool = False, over_http: bool = False
    ) -> None:
        self.clock = VirtualClock()
        self._settings: dict[str, Any] = {"path": path, "asks_payer": not is_card, "holds": is_card}
        if refunds_later:
            self._settings["refund_default"] = RefundsLater(timedelta(minutes=1))
        self._shares_file = path is not None
        self._over_http = over_http
        self._purses: dict[str, int] = {}
        self._made: list[ScriptedChannel] = []
        self._clients: list[ScriptedHttpChannel] = []
        self._first = self._make()

    async def connect(self) -> Channel:
        if not self._over_http:
            return self._make() if self._shares_file else self._first
        client = ScriptedHttpChannel(
            "http://scripted",
            asks_payer=self._first.asks_payer,
            holds=self._first.holds,
            transport=httpx.ASGITransport(scripted_app(self._first)),
        )
        self._clients.append(client)
        return client

    async def give(self, uid: str, amount_minor: int) -> None:
        self._purses[uid] = self._purses.get(uid, 0) + amount_minor

    async def pay(self, charge: Charge) -> None:
        self._first.pay(charge.key)

    async def settle(self) -> None:
        await self.clock.advance(timedelta(minutes=1) // timedelta(microseconds=1))

    async def taken_minor(self) -> int:
        taken = sum(each.amount.amount_minor for each in self._first.taken())
        return taken - sum(each.amount.amount_minor for each in self._first.returned())

    async def held_minor(self) -> int:
        return sum(each.amount.amount_minor for each in self._first.held())

    async def close(self) -> None:
        for client in self._clients:
            await client.disconnect()
        for channel in self._made:
            channel.disconnect()

    def _make(self) -> ScriptedChannel:
        self._made.append(ScriptedChannel(self.clock, self._behaviour, **self._settings))
        return self._made[-1]

    def _behaviour(self, charge: Charge) -> HasOnly | NeverPays:
        return NeverPays() if self._settings["asks_payer"] else HasOnly(self._purses.get(charge.uid, 0))


class TestWallet(ChannelConformance):
    @pytest.fixture(params=["memory://-1-USD", "memory://-1-POINTS", "sqlite-1-USD", "sqlite-3-POINTS"])
    async def provider(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
        url, shards, currency = request.param.split("-")
        if url == "sqlite":
            url = f"sqlite:///{tmp_path / 'orders.db'}"
        provider = WalletProvider(url, int(shards), currency)
        yield provider
        await provider.close()


class TestScripted(ChannelConformance):
    @pytest.fixture(params=["card", "card-file", "card-http", "asks", "asks-file", "card-late", "asks-file-late"])
    async def provider(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
        traits = request.param.split("-")
        provider = ScriptedProvider(
            tmp_path / "channel.db" if "file" in traits else None,
            is_card="card" in traits,
            refunds_later="late" in traits,
            over_http="http" in traits,
        )
        yield provider
        await provider.close()
