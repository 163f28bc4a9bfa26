"""What a statement of the user's own may be, in every database: anything but what ends the transaction it runs in."""

from __future__ import annotations

import re

from orderway.errors import DeliveryFailed

__all__ = ["check_statement"]

# What databases pass over before a statement's first word: white space, a byte order mark, empty statements, comments.
_FIRST_WORD = re.compile(r"(?:[\s\ufeff;]|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))*(\w*)", re.DOTALL)
_REFUSED = {
    *("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"),
    *("ATTACH", "DETACH", "PRAGMA"),
}


def check_statement(sql: str) -> None:
    """Refuse a statement that would end the transaction that it runs in, or change the connection for those after it.

    Raises:
        DeliveryFailed: names the word.
    """
    match = _FIRST_WORD.match(sql)
    word = match.group(1).upper() if match else ""
    if word in _REFUSED:
        raise DeliveryFailed(
            f"{word} is not allowed in a delivery, whose transaction ends with its fact: leave it out of: {sql}"
        )
