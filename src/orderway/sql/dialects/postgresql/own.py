"""Statements of the user's own, with their parameters in the driver's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from orderway.sql.network.parameters import Named, parse
from orderway.sql.steps import Own

__all__ = ["own_call"]

# Quoted texts and names, texts with backslashes (E'...') and between dollars, comments, casts.
_VERBATIM = r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$|/\*.*?\*/|--[^\n]*|::"""


def own_call(step: Own) -> tuple[str, Sequence[Any]]:
    """The statement with ``$1``, ``$2``, ... in the place of its parameters, and their values.

    A parameter that comes several times is one: the server must find one type for all of its places.

    Raises:
        Refused: a parameter has no value.
    """
    if not isinstance(step.parameters, Mapping):
        return step.sql, tuple(step.parameters)
    named = _parsed(step.sql)
    names = list(dict.fromkeys(named.names))
    places = [f"${names.index(name) + 1}" for name in named.names]
    text = "".join([part for pair in zip(named.texts, [*places, ""], strict=True) for part in pair])
    values = dict(zip(named.names, named.values(step.parameters), strict=True))
    return text, [values[name] for name in names]


@lru_cache(maxsize=256)
def _parsed(sql: str) -> Named:
    return parse(sql, _VERBATIM)
