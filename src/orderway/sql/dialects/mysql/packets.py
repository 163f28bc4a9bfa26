"""What one ``send`` puts on the wire: a transaction, or a part of it, as statements that travel in one packet.

The server runs them one after the other, and stops at the first error. So that even COMMIT can travel along, a write
that must touch a number of rows is followed by a guard: a sum that overflows, which is an error, if the write touched
another number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from orderway.sql.dialects.mysql.literals import literal
from orderway.sql.dialects.mysql.own import own_text
from orderway.sql.steps import Own, Refused, Step, Write

__all__ = ["Part", "Role", "idle_limit", "packets_of", "parts_of"]

_OVERFLOW_IF = "18446744073709551615 + ({})"
"""The largest BIGINT UNSIGNED and, where the condition holds, one more: error 1690 in every ``sql_mode``."""


class Role(Enum):
    """What a statement is there for."""

    BEGIN = auto()
    FENCE = auto()
    STEP = auto()
    GUARD = auto()
    COMMIT = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """One statement of a packet."""

    role: Role
    sql: bytes


_BEGIN = Part(Role.BEGIN, b"BEGIN")
_COMMIT = Part(Role.COMMIT, b"COMMIT")


def parts_of(
    steps: Sequence[Step], *, epoch: int | None, begin: bool, commit: bool, most_bytes: int
) -> tuple[list[Part], Refused | None]:
    """The statements for these steps, up to the first step that cannot be sent; and what is wrong with that one."""
    parts = []
    if begin:
        parts.append(_BEGIN)
        if epoch is not None:
            parts.append(_fence(epoch))
    for step in steps:
        try:
            parts.append(Part(Role.STEP, _encoded(step, most_bytes)))
        except Refused as problem:
            return parts, problem
        if isinstance(step, Write) and step.expect is not None:
            condition = _OVERFLOW_IF.format(f"ROW_COUNT() <> {step.expect}")
            parts.append(Part(Role.GUARD, f"SET @ow = {condition}".encode()))
    if commit:
        parts.append(_COMMIT)
    return parts, None


def idle_limit(timeout_s: int) -> Part:
    """From here on the session ends when it stands idle for so long: for servers without a limit for transactions."""
    return Part(Role.BEGIN, f"SET SESSION wait_timeout = {timeout_s}".encode())


def packets_of(parts: Sequence[Part], most_bytes: int) -> Iterator[Sequence[Part]]:
    """The statements in groups that fit into a packet; nearly always one."""
    start = length = 0
    for at, part in enumerate(parts):
        length += len(part.sql) + 1
        if at > start and length > most_bytes:
            yield parts[start:at]
            start, length = at, len(part.sql) + 1
    if start < len(parts):
        yield parts[start:]


def _fence(epoch: int) -> Part:
    """A shared lock on the shard map's row, held to the end; an error where the epoch is another one, or none."""
    condition = _OVERFLOW_IF.format(f"NOT MAX(epoch) <=> {epoch}")
    return Part(Role.FENCE, f"SELECT {condition} INTO @ow FROM ow_meta WHERE id = 1 LOCK IN SHARE MODE".encode())


def _encoded(step: Step, most_bytes: int) -> bytes:
    if isinstance(step, Own):
        text = own_text(step)
    elif step.values:
        text = step.sql % tuple(map(literal, step.values))
    else:
        text = step.sql
    try:
        sql = text.encode()
    except UnicodeEncodeError as error:
        raise Refused(str(error)) from None
    if len(sql) > most_bytes:
        raise Refused(f"{len(sql):,} bytes in one statement are more than max_allowed_packet allows ({most_bytes:,})")
    return sql
