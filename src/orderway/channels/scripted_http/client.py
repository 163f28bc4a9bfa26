"""A channel over HTTP: the client of a scripted channel's server, which fits the channel port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from orderway.channels.scripted.notifications import Seal
from orderway.channels.scripted_http.wire import (
    Said,
    as_outcome,
    as_refund_outcome,
    said_of_charge,
    said_of_refund,
)
from orderway.errors import ConfigError, InvalidValue, KeyReused, OutcomeUnknown, Unavailable
from orderway.ports.channel import Charge, Notice, Outcome, RefundOrder, RefundOutcome

__all__ = ["ScriptedHttpChannel"]

Answer = TypeVar("Answer", Outcome, RefundOutcome)

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class ScriptedHttpChannel:
    """The client of a scripted channel that runs as a server of its own.

    Every method is one request. Raises ``Unavailable`` where nothing was sent or the server says that nothing was
    done, ``OutcomeUnknown`` where something was sent and no answer came, ``KeyReused`` for a key that stands for
    something else, ``InvalidValue`` for what the server cannot read, ``ConfigError`` where another server answers.

    Args:
        base_url: of the server, for instance ``http://127.0.0.1:8080``.
        secret: as the server's; verifies notifications.
        name: what legs call it.
        asks_payer: whether the payer pays on the channel's side.
        holds: whether the server holds money.
        timeout_s: how long an answer is waited for.
        transport: how requests are sent, for instance ``httpx.ASGITransport(app)`` to reach a server in this process.
    """

    def __init__(
        self,
        base_url: str,
        *,
        secret: bytes = b"scripted",
        name: str = "scripted",
        asks_payer: bool = True,
        holds: bool = False,
        timeout_s: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.asks_payer = asks_payer
        self.query_after: tuple[timedelta, ...] = ()
        self.holds = holds
        self._seal = Seal(secret, name)
        # Nothing from the environment: a proxy that is set there is not meant for a server on this machine.
        self._client = httpx.AsyncClient(base_url=base_url, timeout=timeout_s, transport=transport, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def disconnect(self) -> None:
        """Close the connections. Idempotent."""
        await self._client.aclose()

    async def charge(self, charge: Charge) -> Outcome:
        """As ``Channel.charge``."""
        return await self._pay("/charge", charge)

    async def hold(self, charge: Charge) -> Outcome:
        """As ``Channel.hold``."""
        return await self._pay("/hold", charge)

    async def capture(self, charge: Charge) -> Outcome:
        """As ``Channel.capture``."""
        return await self._pay("/capture", charge)

    async def query(self, charge: Charge) -> Outcome:
        """As ``Channel.query``."""
        return await self._pay("/query", charge)

    async def close(self, charge: Charge) -> Outcome:
        """As ``Channel.close``."""
        return await self._pay("/close", charge)

    async def refund(self, refund: RefundOrder) -> RefundOutcome:
        """As ``Channel.refund``."""
        return await self._give_back("/refund", refund)

    async def query_refund(self, refund: RefundOrder) -> RefundOutcome:
        """As ``Channel.query_refund``."""
        return await self._give_back("/query-refund", refund)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """As ``Channel.verify``."""
        return self._seal.verify(body, headers)

    async def _pay(self, path: str, charge: Charge) -> Outcome:
        return await self._ask(path, said_of_charge(charge), charge.order_id, as_outcome)

    async def _give_back(self, path: str, refund: RefundOrder) -> RefundOutcome:
        return await self._ask(path, said_of_refund(refund), refund.order_id, as_refund_outcome)

    async def _ask(self, path: str, said: Said, order_id: str, read: Callable[[Said], Answer]) -> Answer:
        try:
            response = await self._client.post(path, json=said)
        except _NOTHING_SENT as error:
            raise Unavailable(f"{self.name} cannot be reached: {error!r}", order_id=order_id) from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"{self.name} did not answer {path}: {error!r}", order_id=order_id) from error
        answered = _object(response)
        if response.status_code == httpx.codes.OK and answered is not None:
            try:
                return read(answered)
            except InvalidValue as error:
                raise OutcomeUnknown(f"{self.name} answered {path} with what is no outcome: {error}") from error
        message = str((answered or {}).get("message", "")) or f"{self.name} answered {path} with {response.status_code}"
        match response.status_code:
            case 400:
                raise InvalidValue(message, order_id=order_id)
            case 409:
                raise KeyReused(message, order_id=order_id)
            case 503:
                raise Unavailable(message, order_id=order_id)
            case 404 | 405:
                raise ConfigError(f"{response.url} is no scripted channel: check its base_url", order_id=order_id)
        raise OutcomeUnknown(message, order_id=order_id)


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        answered = response.json()
    except ValueError:
        return None
    return answered if isinstance(answered, dict) else None
