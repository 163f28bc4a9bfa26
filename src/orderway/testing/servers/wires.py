"""What a proxy must know of a database's protocol: where a request ends, whether it commits, when it is answered."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Protocol

__all__ = ["MysqlWire", "PostgresqlWire", "Request", "Wire"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends before it waits for an answer.

    Args:
        data: the bytes.
        commits: whether a transaction ends well with it: it says COMMIT, or writes outside of any.
    """

    data: bytes
    commits: bool


class Wire(Protocol):
    """One connection's protocol, without encryption. One request at a time, as the drivers do."""

    async def read_request(self, client: asyncio.StreamReader) -> Request:
        """The client's next request, whole.

        Raises:
            asyncio.IncompleteReadError: the client has gone.
        """

    def is_answered(self, data: bytes) -> bool:
        """Whether the last request is answered completely, now that the server has sent this too."""


class PostgresqlWire:
    """PostgreSQL's protocol, version 3."""

    _ASKS = b"QSHFXpdcf"
    """After which a client waits: Query, Sync, Flush, FunctionCall, Terminate; what belongs to the log-in, and COPY."""
    _WRITE = (b"INSERT ", b"UPDATE ", b"DELETE ")
    _SSL, _GSS = 80877103, 80877104
    _READY = b"Z\0\0\0\5"

    def __init__(self) -> None:
        self._has_begun = False
        self._last = b""
        self._status = b""
        self._writing: dict[bytes, bool] = {}  # by name: prepared statements do not repeat their text

    async def read_request(self, client: asyncio.StreamReader) -> Request:
        """See ``Wire``."""
        if not self._has_begun:
            head = await client.readexactly(8)
            length, code = struct.unpack("!ii", head)
            self._has_begun = code not in (self._SSL, self._GSS)  # which ask to encrypt, and begin after a no
            return Request(head + await client.readexactly(length - 8), commits=False)
        messages = b""
        writes = False
        while True:
            head = await client.readexactly(5)
            kind, length = head[:1], struct.unpack("!i", head[1:])[0]
            body = await client.readexactly(length - 4)
            messages += head + body
            if kind == b"P":
                name, text, _ = body.split(b"\0", 2)
                self._writing[name] = any(word in text for word in self._WRITE)
            elif kind == b"B":
                writes = writes or self._writing[body.split(b"\0", 2)[1]]
            elif kind in self._ASKS:
                says_so = kind == b"Q" and b"COMMIT" in body
                return Request(messages, says_so or (writes and self._status == b"I"))

    def is_answered(self, data: bytes) -> bool:
        """See ``Wire``: the last message of an answer says in which state the transaction is."""
        self._last = (self._last + data)[-6:]
        if not self._last.startswith(self._READY):
            return False
        self._status = self._last[-1:]
        return True


class MysqlWire:
    """The protocol of MySQL and MariaDB: packets, whose results may be followed by more."""

    _QUERY = 3
    _OK, _END, _ERROR = 0, 0xFE, 0xFF
    _MORE_RESULTS = 8

    def __init__(self) -> None:
        self._unread = b""
        self._part = ""  # of a result that is not at its end: its columns, or its rows

    async def read_request(self, client: asyncio.StreamReader) -> Request:
        """See ``Wire``."""
        head = await client.readexactly(4)
        packet = await client.readexactly(int.from_bytes(head[:3], "little"))
        is_query = head[3] == 0 and packet[:1] == bytes([self._QUERY])
        if is_query:
            self._unread, self._part = b"", ""
        return Request(head + packet, is_query and packet.endswith(b"COMMIT"))

    def is_answered(self, data: bytes) -> bool:
        """See ``Wire``: the last result says that no more follow."""
        self._unread += data
        is_last = False
        while len(self._unread) >= 4:
            end = 4 + int.from_bytes(self._unread[:3], "little")
            if len(self._unread) < end:
                break
            is_last = self._ends(self._unread[4:end])
            self._unread = self._unread[end:]
        return is_last

    def _ends(self, packet: bytes) -> bool:
        if packet[0] == self._ERROR:
            self._part = ""
            return True
        if not self._part:
            if packet[0] != self._OK:
                self._part = "columns"
                return False
            at = _after_number(packet, _after_number(packet, 1))
        elif packet[0] == self._END and len(packet) < 9:
            self._part = "rows" if self._part == "columns" else ""
            at = 3
        else:
            return False
        return not self._part and not packet[at] & self._MORE_RESULTS


def _after_number(packet: bytes, at: int) -> int:
    """Where a number of the protocol, whose first byte may tell its length, ends."""
    return at + {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(packet[at], 1)
