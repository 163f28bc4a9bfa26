"""The scripted channel over HTTP: a real server process, its client, its notifications, and what a kill leaves."""

from __future__ import annotations

import asyncio
import http.server
import json
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from orderway.channels.scripted import (
    NeverPays,
    PaysAtOnce,
    PaysLater,
    RefundTimesOutBefore,
    RefundUnreachable,
    ScriptedChannel,
    TimesOutAfter,
    Unreachable,
)
from orderway.channels.scripted_http import ScriptedHttpChannel, ScriptedServer, scripted_app
from orderway.core.money import Money
from orderway.errors import BadNotification, ConfigError, InvalidValue, KeyReused, OutcomeUnknown, Unavailable
from orderway.ports.channel import (
    Captured,
    Channel,
    Charge,
    ClosedThere,
    DisputeNotification,
    HeldThere,
    NotFound,
    Notification,
    Pending,
    RefundNotification,
    RefundOrder,
    Refused,
    Returned,
    Short,
)
from orderway.testing.clock import VirtualClock

PRICE = Money(1999, "USD")
CHARGE = Charge("order-0-1", "order", "ann", PRICE)
PAID = Captured(PRICE, "S1-order-0-1")
REFUND = RefundOrder("order-r1", "order", "ann", Money(500, "USD"), "S1-order-0-1", PRICE)
WITHIN_S = 20


class Receiver:
    """A shop's address for notifications: a real HTTP server, in a thread."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[bytes, dict[str, str]]] = queue.Queue()
        self.answers: list[int] = []
        receiver = self

        class Endpoint(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.end_headers()
                receiver.received.put((body, dict(self.headers)))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Endpoint)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/notify"

    async def next(self) -> tuple[bytes, dict[str, str]]:
        return await asyncio.to_thread(self.received.get, timeout=WITHIN_S)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[ScriptedServer]:
    with ScriptedServer(path=tmp_path / "channel.db", notify_url=receiver.url, holds=True) as server:
        yield server


@pytest.fixture
async def channel(server: ScriptedServer) -> AsyncIterator[ScriptedHttpChannel]:
    async with ScriptedHttpChannel(server.url, holds=True, timeout_s=WITHIN_S) as channel:
        yield channel


async def control(server: ScriptedServer, path: str, said: object = None) -> Any:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answered = await (client.get(path) if said is None else client.post(path, json=said))
    assert answered.status_code == 200, answered.text
    return answered.json()


# ---- a server process


async def test_a_purchase_from_charge_to_refund(channel: ScriptedHttpChannel, server: ScriptedServer) -> None:
    port: Channel = channel
    assert await port.query(CHARGE) == NotFound()
    assert await port.charge(CHARGE) == await port.charge(CHARGE) == await port.query(CHARGE) == PAID
    assert await port.close(CHARGE) == PAID
    assert await port.query_refund(REFUND) == NotFound()
    assert await port.refund(REFUND) == await port.query_refund(REFUND) == Returned("R-order-r1")
    (taken,) = await control(server, "/control/taken")
    assert (taken["key"], taken["amount_minor"], taken["currency"]) == ("order-0-1", 1999, "USD")
    (returned,) = await control(server, "/control/returned")
    assert (returned["key"], returned["amount_minor"], returned["reference"]) == ("order-r1", 500, "R-order-r1")


async def test_money_is_held_and_then_captured_or_released(
    channel: ScriptedHttpChannel, server: ScriptedServer
) -> None:
    other = Charge("other-0-1", "other", "ann", PRICE)
    assert await channel.capture(CHARGE) == NotFound()
    assert await channel.hold(CHARGE) == HeldThere(PRICE, "S1-order-0-1")
    assert await channel.hold(other) == HeldThere(PRICE, "S1-other-0-1")
    assert [held["key"] for held in await control(server, "/control/held")] == ["order-0-1", "other-0-1"]
    assert await channel.capture(CHARGE) == PAID
    assert await channel.close(other) == await channel.capture(other) == ClosedThere()
    assert await control(server, "/control/held") == []


async def test_the_control_surface_scripts_pays_and_disputes(
    channel: ScriptedHttpChannel, server: ScriptedServer, receiver: Receiver
) -> None:
    later = {"does": "refund_refused_later", "why": "no", "after_s": 0}
    await control(server, "/control/script", {"amount_minor": 1999, "payer": "never_pays"})
    await control(server, "/control/script", {"order_id": "order", "refund": [later, "refunds_at_once"]})
    assert isinstance(await channel.charge(CHARGE), Pending)
    paid = await control(server, "/control/pay", {"key": "order-0-1", "uid": "bob"})
    assert channel.verify(*await receiver.next()) == Notification("order", "order-0-1", PRICE, "S1-order-0-1", "bob")
    assert await channel.query(CHARGE) == PAID

    await channel.refund(REFUND)
    assert channel.verify(*await receiver.next()) == RefundNotification("order", "order-r1", Refused("no"))

    dispute = await control(server, "/control/dispute", {"payment_reference": paid["reference"], "amount_minor": 1000})
    opened = channel.verify(*await receiver.next())
    assert opened == DisputeNotification("order", "S1-order-0-1", dispute["reference"], Money(1000, "USD"), "opened")
    await control(server, "/control/decide", {"reference": dispute["reference"], "decision": "lost"})
    lost = channel.verify(*await receiver.next())
    assert isinstance(lost, DisputeNotification)
    assert lost.state == "lost"
    assert [gone["amount_minor"] for gone in await control(server, "/control/returned")] == [1000]


async def test_a_notification_that_could_not_be_taken_comes_again(
    channel: ScriptedHttpChannel, server: ScriptedServer, receiver: Receiver
) -> None:
    receiver.answers = [500, 400]
    await control(server, "/control/script", {"amount_minor": 1999, "payer": {"does": "pays_later", "after_s": 0}})
    await channel.charge(CHARGE)
    assert await receiver.next() == await receiver.next()
    await channel.charge(Charge("next-0-1", "next", "ann", PRICE))
    body, _ = await receiver.next()
    assert json.loads(body)["key"] == "next-0-1"  # the one that was refused for good did not come a third time


@pytest.mark.slow
async def test_a_notification_is_signed_with_the_servers_secret(receiver: Receiver) -> None:
    with ScriptedServer(notify_url=receiver.url, secret="other") as server:
        async with (
            ScriptedHttpChannel(server.url) as channel,
            ScriptedHttpChannel(server.url, secret=b"other") as knows,
        ):
            await channel.charge(CHARGE)
            await control(server, "/control/pay", {"key": "order-0-1"})
            body, headers = await receiver.next()
            with pytest.raises(BadNotification):
                channel.verify(body, headers)
            assert isinstance(knows.verify(body, headers), Notification)


@pytest.mark.slow
async def test_a_server_killed_in_the_middle_of_a_charge_leaves_an_unknown_outcome_and_the_truth(
    channel: ScriptedHttpChannel, server: ScriptedServer, receiver: Receiver
) -> None:
    await control(
        server, "/control/script", {"order_id": "order", "payer": {"does": "times_out_after", "notices": "once"}}
    )
    charging = asyncio.create_task(channel.charge(CHARGE))
    await receiver.next()  # the money is taken, and the answer has not come
    assert not charging.done()
    server.kill()
    with pytest.raises(OutcomeUnknown) as caught:
        await charging
    assert caught.value.order_id == "order"
    with pytest.raises(Unavailable):
        await channel.query(CHARGE)
    server.start()
    async with ScriptedHttpChannel(server.url) as again:
        assert await again.query(CHARGE) == await again.charge(CHARGE) == PAID
    assert len(await control(server, "/control/taken")) == 1


@pytest.mark.slow
async def test_a_client_that_gives_up_waiting_does_not_know_the_outcome(server: ScriptedServer) -> None:
    await control(server, "/control/script", {"order_id": "order", "payer": ["times_out_before", "pays_at_once"]})
    async with ScriptedHttpChannel(server.url, timeout_s=0.2) as channel:
        with pytest.raises(OutcomeUnknown):
            await channel.charge(CHARGE)
    async with ScriptedHttpChannel(server.url, timeout_s=WITHIN_S) as channel:
        assert await channel.query(CHARGE) == NotFound()
        assert await channel.charge(CHARGE) == PAID


@pytest.mark.slow
async def test_sigterm_stops_the_server_at_once_though_somebody_waits(
    channel: ScriptedHttpChannel, server: ScriptedServer, receiver: Receiver
) -> None:
    await control(
        server, "/control/script", {"order_id": "order", "payer": {"does": "times_out_after", "notices": "once"}}
    )
    charging = asyncio.create_task(channel.charge(CHARGE))
    await receiver.next()
    assert await asyncio.to_thread(server.stop) == 0
    with pytest.raises(OutcomeUnknown):
        await charging


@pytest.mark.slow
def test_a_server_that_cannot_start_says_so(server: ScriptedServer, capfd: pytest.CaptureFixture[str]) -> None:
    taken = ScriptedServer(port=httpx.URL(server.url).port or 0)
    with pytest.raises(Unavailable, match="did not start"):
        taken.start()
    assert "Address already in use" in capfd.readouterr().err


# ---- in this process


@pytest.fixture
async def local() -> AsyncIterator[tuple[ScriptedHttpChannel, ScriptedChannel]]:
    channel = ScriptedChannel(VirtualClock(), holds=True)
    transport = httpx.ASGITransport(scripted_app(channel, silence_s=0))
    async with ScriptedHttpChannel("http://channel", holds=True, transport=transport) as client:
        yield client, channel
    channel.disconnect()


Local = tuple[ScriptedHttpChannel, ScriptedChannel]


async def test_every_outcome_and_error_crosses_the_wire(local: Local) -> None:
    from orderway.channels.scripted import HasOnly, Refuses

    client, channel = local
    channel.script = {1: NeverPays(), 2: Refuses("no"), 3: HasOnly(1), 4: TimesOutAfter(), 5: Unreachable()}
    channel.refund_script = {1: RefundTimesOutBefore(), 2: RefundUnreachable()}

    def charge(minor: int) -> Charge:
        return Charge(f"key-{minor}", "order", "ann", Money(minor, "USD"))

    assert await client.charge(charge(1)) == Pending("S1-key-1", {"pay_url": "scripted://key-1"})
    assert await client.charge(charge(2)) == Refused("no")
    assert isinstance(await client.charge(charge(3)), Short)
    assert await client.hold(Charge("open", "order", "ann", Money(3, "USD"), at_most=True)) == HeldThere(
        Money(1, "USD"), "S1-open"
    )
    for minor, error in ((4, OutcomeUnknown), (5, Unavailable)):
        with pytest.raises(error):
            await client.charge(charge(minor))
    with pytest.raises(KeyReused, match="key-4"):
        await client.query(Charge("key-4", "order", "ann", Money(5, "USD")))
    with pytest.raises(InvalidValue, match="positive"):
        await client.charge(charge(0))
    for minor, error in ((1, OutcomeUnknown), (2, Unavailable)):
        with pytest.raises(error):
            await client.refund(
                RefundOrder(f"r-{minor}", "order", "ann", Money(minor, "USD"), "S1-key-4", charge(4).amount)
            )


async def test_another_server_at_the_address_is_a_matter_of_the_set_up() -> None:
    for status, text, error in (
        (404, "not here", ConfigError),
        (500, "broken", OutcomeUnknown),
        (200, "<html>", OutcomeUnknown),
        (200, "[]", OutcomeUnknown),
        (200, '{"outcome": "well"}', OutcomeUnknown),
    ):
        transport = httpx.ASGITransport(PlainTextResponse(text, status))
        async with ScriptedHttpChannel("http://channel", transport=transport) as client:
            with pytest.raises(error):
                await client.charge(CHARGE)


@pytest.mark.parametrize(
    ("path", "said", "needle"),
    [
        ("/charge", [], "object"),
        ("/charge", {"key": "k"}, "order_id"),
        ("/charge", {"key": 1}, "key"),
        ("/refund", {"key": "k", "order_id": "o"}, "payment_amount"),
        ("/control/script", {"payer": "never_pays"}, "amount_minor"),
        ("/control/script", {"order_id": "o"}, "payer"),
        ("/control/script", {"order_id": "o", "payer": "sings"}, "never_pays"),
        ("/control/script", {"order_id": "o", "payer": {"does": "pays_later", "when": 1}}, "after_s"),
        ("/control/script", {"order_id": "o", "payer": {"does": "pays_later", "after_s": "1"}}, "seconds"),
        ("/control/script", {"order_id": "o", "payer": {"does": "pays_later", "uid": 7}}, "uid"),
        ("/control/script", {"order_id": "o", "payer": {"does": "disputes", "decided": "drawn"}}, "won"),
        ("/control/script", {"order_id": "o", "payer": {"does": "pays_wrong_currency"}}, "currency"),
        ("/control/script", {"order_id": "o", "payer": {"does": "disputes", "pays": "never_pays"}}, "pays_later"),
        ("/control/script", {"order_id": "o", "payer": {"does": "pays_later", "notices": "often"}}, "doubled"),
        ("/control/script", {"order_id": "o", "refund": "never_pays"}, "refunds_later"),
        ("/control/pay", {"key": "unknown"}, "unknown"),
        ("/control/dispute", {"payment_reference": "unknown"}, "unknown"),
        ("/control/decide", {"reference": "unknown", "decision": "drawn"}, "drawn"),
        ("/control/decide", {"reference": "unknown", "decision": "won"}, "unknown"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_says_why(local: Local, path: str, said: object, needle: str) -> None:
    _, channel = local
    transport = httpx.ASGITransport(scripted_app(channel))
    async with httpx.AsyncClient(base_url="http://channel", transport=transport) as client:
        answered = await client.post(path, json=said)
    assert answered.status_code == 400
    assert needle in answered.json()["message"]
    assert (channel.script, channel.refund_script, channel.taken()) == ({}, {}, [])


async def test_behaviours_have_all_their_fields_in_json(local: Local) -> None:
    from orderway.channels.scripted import Disputes, Notice, PaysWrongCurrency

    _, channel = local
    says = [
        {"does": "pays_later", "after_s": 1.5, "notices": [{"after_s": 2, "forged": "amount"}, {}], "uid": "bob"},
        {"does": "pays_wrong_currency", "currency": "EUR"},
        {"does": "disputes", "decided": "lost", "amount_minor": 5, "pays": {"does": "pays_later", "notices": "lost"}},
    ]
    async with httpx.AsyncClient(
        base_url="http://channel", transport=httpx.ASGITransport(scripted_app(channel))
    ) as client:
        answered = await client.post("/control/script", json={"order_id": "o", "payer": says})
    assert answered.status_code == 200
    notices = [Notice(timedelta(seconds=2), "amount"), Notice()]
    assert channel.script == {
        "o": [
            PaysLater(timedelta(seconds=1.5), notices, "bob"),
            PaysWrongCurrency("EUR"),
            Disputes(decided="lost", amount_minor=5, pays=PaysLater(notices=())),
        ]
    }


async def test_a_script_that_is_a_function_stays_one(local: Local) -> None:
    _, channel = local
    channel.script = lambda charge: PaysAtOnce()
    async with httpx.AsyncClient(
        base_url="http://channel", transport=httpx.ASGITransport(scripted_app(channel))
    ) as client:
        answered = await client.post("/control/script", json={"order_id": "o", "payer": "never_pays"})
    assert "function" in answered.json()["message"]
