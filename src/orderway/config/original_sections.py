"""Reading a section of the original's configuration: names without regard to case, places, and what is unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from orderway.config.given import Given, Problem, nearest
from orderway.config.original_keys import Key
from orderway.config.secret_url import shown_name

__all__ = ["Translation", "find_entry", "name_of", "no_entry", "number_of", "part_of", "read_section", "word_of"]

DEFAULT_NAME = "order"


@dataclass(slots=True)
class Translation:
    """What the original's keys come to.

    Attributes:
        keys: ours, dotted.
        defaults: the original's, for keys of ours that it does not name.
        missing: for a key of ours, why these sections do not give it; a problem only if no other source does.
        unused: keys that change nothing here, each with the reason.
        problems: what is wrong.
    """

    keys: dict[str, Given] = field(default_factory=dict)
    defaults: dict[str, Given] = field(default_factory=dict)
    missing: dict[str, Problem] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_section(done: Translation, path: str, given: Given | None, keys: Mapping[str, Key]) -> dict[str, Given]:
    """The values of a section by their canonical names; what is unknown is reported, what is unused is checked."""
    found: dict[str, Given] = {}
    for name, value in _entries(done, path, given).items():
        known = next((key for key in keys if key.lower() == name.lower()), None)
        if known is None:
            text = f"{path}.{shown_name(name)} is no key of the original{nearest(name, keys)}"
            done.problems.append(Problem(value.where, text))
        elif known in found:
            done.problems.append(Problem(value.where, f"{path}.{known} is given twice"))
        elif isinstance(value.value, (dict, list)):
            done.problems.append(Problem(value.where, f"{path}.{known} is no single value"))
        elif not value.is_empty():
            found[known] = Given(value.value, f"{value.where}, {path}.{known}")
            _note_unused(done, path, known, found[known], keys[known])
    return found


def _note_unused(done: Translation, path: str, name: str, given: Given, key: Key) -> None:
    if key.unused:
        done.unused.append(f"{path}.{name}: {key.unused}")
        if key.kind == "int":
            number_of(done, given, key.least)


def number_of(done: Translation, given: Given, least: int) -> int | None:
    """The number that is given; None if it is none, or too small, which is reported."""
    text = str(given.value)
    if not re.fullmatch(r"-?[0-9]{1,9}", text) or int(text) < least:
        # Not quoted: it may be a password at the wrong key.
        done.problems.append(Problem(given.where, f"must be a whole number, at least {least}"))
        return None
    return int(text)


def word_of(text: str) -> str:
    """A value that should be one of a few words; hidden where it is none: it may have got there by mistake."""
    return repr(text) if re.fullmatch(r"\w{0,20}", text) else "no such word"


def name_of(order: Mapping[str, Given], key: str) -> tuple[str, str]:
    """The name of a connection, and where it was given; empty if it is the default."""
    given = order.get(key)
    return (DEFAULT_NAME, "") if given is None else (str(given.value), given.where)


def part_of(done: Translation, path: str, section: Given | None, name: str) -> Given | None:
    """The part of a section that holds connections of one kind."""
    entries = _entries(done, path, section)
    return next((value for key, value in entries.items() if key.lower() == name), None)


def _entries(done: Translation, path: str, given: Given | None) -> dict[str, Given]:
    if given is None or given.is_empty():
        return {}
    if not isinstance(given.value, dict):
        problem = Problem(given.where, f"{path} is no section; its keys stand below it")
        if problem not in done.problems:
            done.problems.append(problem)
        return {}
    return given.value


def find_entry(part: Given | None, name: str) -> Given | None:
    """The connection of this name; None if there is none, or nothing below its name."""
    if part is None or not isinstance(part.value, dict):
        return None
    found = next((value for key, value in part.value.items() if key.lower() == name.lower()), None)
    return None if found is None or found.is_empty() else found


def no_entry(path: str, named: str, part: Given | None) -> Problem:
    """Why a connection that somebody named is not there."""
    first, second, name = path.split(".", 2)
    section, shown = f"{first}.{second}", shown_name(path)
    others = list(part.value) if part is not None and isinstance(part.value, dict) else []
    if any(each.lower() == name.lower() for each in others):
        return Problem(named, f"{shown} is needed, and is empty")
    has = f"{section} configures only {', '.join(map(shown_name, others))}" if others else f"there is no {section}"
    return Problem(named, f"{shown} is needed, and {has}")
