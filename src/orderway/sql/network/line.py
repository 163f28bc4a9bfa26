"""A line to a database: one connection at a time, opened when it is needed, and anew after it has failed."""

from __future__ import annotations

import asyncio

from orderway.errors import ConfigError, Unavailable
from orderway.sql.network.link import Link, Server
from orderway.sql.steps import Failed

__all__ = ["Line"]


class Line:
    """Gives the connection that is open, or opens one.

    Args:
        server: how the database is reached.
        epoch: of the shard map.
        answer_within_s: a database that is silent for longer has failed.
        idle_s: see ``Server.connect``.
    """

    def __init__(self, server: Server, epoch: int, answer_within_s: float, idle_s: int = 0) -> None:
        self._server = server
        self._epoch = epoch
        self._idle_s = idle_s
        self.answer_within_s = answer_within_s
        self._link: Link | None = None

    @property
    def where(self) -> str:
        """Where the database is, for messages."""
        return self._server.where

    async def get(self) -> Link:
        """The connection.

        Raises:
            Failed: none can be opened.
            Unavailable: the database refuses us, or what was configured is gone: a password was changed, a file of TLS
                is being replaced. It let us in once, so we go on when it does again.
        """
        if self._link is None:
            try:
                async with asyncio.timeout(self.answer_within_s):
                    self._link = await self._server.connect(self._epoch, self._idle_s)
            except TimeoutError as error:
                raise Failed(f"no connection within {self.answer_within_s} s") from error
            except ConfigError as error:
                raise Unavailable(f"{error}; nothing was done", is_refusal=True) from error
        return self._link

    async def drop(self) -> None:
        """Close the connection; the next one is opened in its place. Never raises."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def unavailable(self, error: BaseException, order_id: str | None = None) -> Unavailable:
        """The database did not answer, and nothing was done."""
        return Unavailable(f"{self.where} did not answer, nothing was done: {self.words(error)}", order_id=order_id)

    def words(self, error: BaseException) -> str:
        """What went wrong, for messages: a database that was silent has left no words of its own."""
        return str(error) or f"no answer within {self.answer_within_s} s"
