"""What is printed, and how: calm on a terminal, plain in a pipe, JSON for programs, and always harmless."""

from __future__ import annotations

import json
import sys
import unicodedata
from datetime import datetime
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from orderway.core.money import Money
from orderway.core.order import Stage, instant
from orderway.errors import InvalidValue

__all__ = ["console", "iso", "money", "print_json", "print_note", "print_problem", "safe", "stage_text"]

_PLAIN_WIDTH = 100_000
"""In a pipe nothing is wrapped or cut off."""

# Characters that turn the writing direction, and make one text look like another.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_COLOURS = {
    **dict.fromkeys((Stage.CREATED, Stage.PAID, Stage.DELIVERED), "cyan"),
    Stage.FINISHED: "green",
    **dict.fromkeys((Stage.FAILING, Stage.STUCK), "bold red"),
}


def console(stderr: bool = False) -> Console:
    """The console; made anew each time, for tests and pipes change the streams."""
    stream: IO[str] = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def safe(text: object) -> str:
    """A text with everything in it made visible that could move the cursor, colour, or turn the direction."""
    return "".join(
        character.encode("unicode_escape").decode() if _is_hostile(character) else character for character in str(text)
    )


def _is_hostile(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDI


def iso(at: int | datetime | None, *, precise: bool = False) -> str | None:
    """An instant as ISO 8601 in UTC, to the second or the microsecond; None stays None."""
    if at is None:
        return None
    moment = instant(at) if isinstance(at, int) else at
    return moment.isoformat(timespec="microseconds" if precise else "seconds").replace("+00:00", "Z")


def money(amount_minor: int, currency: str) -> str:
    """An amount for people. A currency that only the user's own program defines is shown in minor units."""
    try:
        return str(Money(amount_minor, currency))
    except InvalidValue:
        return f"{amount_minor:,} {safe(currency)} (minor)"


def stage_text(stage: Stage) -> Text:
    """A stage in its colour."""
    return Text(str(stage), _COLOURS.get(stage, "yellow"))


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document on one line, in ASCII: nothing in it can act on a terminal."""
    sys.stdout.write(json.dumps(document) + "\n")


def print_note(sentence: str) -> None:
    """Print what a person may want to know besides, on stderr."""
    console(stderr=True).print(Text(safe(sentence), "dim"), soft_wrap=True)


def print_problem(sentence: str) -> None:
    """Print what went wrong, on stderr; several lines if it has them.

    All but the first are set in, so that no value within a message can pass for a line of its own.
    """
    lines = "\n  ".join(map(safe, sentence.split("\n")))
    console(stderr=True).print(Text.assemble(("error: ", "bold red"), lines), soft_wrap=True)
