"""Statements of the user's own, made fit to travel together with ours in one packet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from orderway.sql.dialects.mysql.literals import literal
from orderway.sql.network.parameters import Named, parse
from orderway.sql.steps import Own, Refused

__all__ = ["own_text"]

_QUOTED = r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`"""
# What stands in /*! ... */ is no comment: the server runs it.
_COMMENT = r"/\*(?!M?!).*?\*/|\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*"
_VERBATIM = f"{_QUOTED}|{_COMMENT}"
_SKIPPED = re.compile(_VERBATIM, re.DOTALL)
_UNENDED = re.compile(r"""['"`]|/\*(?!M?!)""")
_FIRST_WORD = re.compile(r"\s*(\w+)")
_ENDS_TRANSACTION = frozenset(
    {
        *("ALTER", "ANALYZE", "CACHE", "CHECK", "CREATE", "DROP", "FLUSH", "GRANT", "INSTALL", "LOCK", "OPTIMIZE"),
        *("RENAME", "REPAIR", "RESET", "REVOKE", "SET", "TRUNCATE", "UNINSTALL", "UNLOCK", "USE", "XA"),
    }
)
"""First words of statements that commit what came before them, or change the session for what comes after."""


def own_text(step: Own) -> str:
    """The statement with its parameters' values in place: by ``:name``, or in the driver's own style, ``%s``.

    Raises:
        Refused: it is not one statement that leaves the transaction open, or a parameter does not fit.
    """
    sql = step.sql.rstrip(" \t\r\n;")
    _check(sql)
    if isinstance(step.parameters, Mapping):
        named = _parsed(sql)
        values = [literal(value) for value in named.values(step.parameters)]
        text = "".join([part for pair in zip(named.texts, [*values, ""], strict=True) for part in pair])
    elif step.parameters:
        try:
            text = sql % tuple(map(literal, step.parameters))
        except (TypeError, ValueError) as error:
            raise Refused(f"its parameters do not fit its places: {error}") from None
    else:
        text = sql
    return text + "\n"  # which ends a comment that ends the statement


@lru_cache(maxsize=256)
def _parsed(sql: str) -> Named:
    return parse(sql, _VERBATIM)


@lru_cache(maxsize=256)
def _check(sql: str) -> None:
    """Refuse what would be more than one statement in the packet, or would commit by itself."""
    bare = _SKIPPED.sub(" ", sql)
    if _UNENDED.search(bare):
        raise Refused("a quote or a comment in it does not end")
    if ";" in bare:
        raise Refused("one statement at a time is allowed, and a semicolon stands in it")
    word = _FIRST_WORD.match(bare)
    if word and word[1].upper() in _ENDS_TRANSACTION:
        raise Refused(f"{word[1].upper()} would commit, or change the session: it is not allowed in a delivery")
