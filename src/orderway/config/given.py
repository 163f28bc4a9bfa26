"""What a source gives, before anybody has judged it: values, each with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from orderway.errors import ConfigError

__all__ = ["Given", "Problem", "nearest", "raise_problems"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value as a source gives it.

    Attributes:
        value: a text or another scalar, None, a list of ``Given``, or a dictionary of names and ``Given``. It may be
            secret, so no repr shows it.
        where: the place, for people: ``orders.yaml line 3``, ``argument shards``.
    """

    value: Any = field(repr=False)
    where: str

    def plain(self) -> Any:
        """The bare value, without places."""
        if isinstance(self.value, dict):
            return {name: each.plain() for name, each in self.value.items()}
        if isinstance(self.value, list):
            return [each.plain() for each in self.value]
        return self.value

    def is_empty(self) -> bool:
        """Whether nothing was given: then the default holds, or an earlier source."""
        return self.value is None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value: its key stands in the text or ends the place. Never holds a secret."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


def nearest(name: str, known: Iterable[str]) -> str:
    """A question that offers the known key which is most like this one; empty if none is."""
    # A key at the wrong level is as likely as a mistyped one: `sweep` for `worker.sweep`.
    by_form = {form.lower(): key for key in known for form in (key.rpartition(".")[2], key)}
    wanted = name.lower()
    found = get_close_matches(wanted, by_form, 1) or get_close_matches(wanted.rpartition(".")[2], by_form, 1)
    return f"; did you mean {by_form[found[0]]}?" if found else ""


def raise_problems(problems: Iterable[Problem]) -> None:
    """Report all problems at once, if there are any.

    Raises:
        ConfigError: lists them.
    """
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    if len(lines) == 1:
        raise ConfigError(f"the configuration is wrong: {lines[0]}")
    if lines:
        raise ConfigError(f"the configuration has {len(lines)} problems:\n" + "\n".join(f"- {line}" for line in lines))
