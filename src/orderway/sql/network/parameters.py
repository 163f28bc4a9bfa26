"""Named parameters (``:name``) in statements of the user's own, for drivers that know no such thing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orderway.sql.steps import Refused

__all__ = ["Named", "parse"]


@dataclass(frozen=True, slots=True)
class Named:
    """A statement taken apart at its parameters.

    Args:
        texts: what stands between them: one more than there are names.
        names: the parameters in the order of their places; a name may come several times.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The parameters' values, one a place.

        Raises:
            Refused: one is missing.
        """
        missing = [name for name in self.names if name not in parameters]
        if missing:
            raise Refused(f"no value was given for the parameter :{missing[0]}")
        return [parameters[name] for name in self.names]


def parse(sql: str, verbatim: str) -> Named:
    """Find the parameters of a statement.

    Args:
        sql: the statement.
        verbatim: a regular expression, without groups that capture, for what may hold a colon and is no parameter:
            quoted texts and names, comments.
    """
    # A second colon makes a cast (::), a word or number before it something else, as in array[1:n].
    token = re.compile(rf"{verbatim}|(?<![\w:]):(?P<name>[A-Za-z_]\w*)", re.DOTALL)
    texts, names, start = [], [], 0
    for match in token.finditer(sql):
        if match["name"] is not None:
            texts.append(sql[start : match.start()])
            names.append(match["name"])
            start = match.end()
    return Named((*texts, sql[start:]), tuple(names))
