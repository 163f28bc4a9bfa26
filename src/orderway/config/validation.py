"""Judging the values: pydantic finds what is wrong, and this says it without quoting a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from orderway.config.given import Given, Problem
from orderway.config.secret_url import mask, shown_text
from orderway.config.settings import SECTIONS, Settings

__all__ = ["validate"]

_SECRET = {"databases", "redis.url", "queue.url"}
_LONGEST_SHOWN = 80

_MISSING = {"queue_url_missing": "queue.url"}
"""The keys that are needed only sometimes, by the error that says so."""

_ALLOWED = {
    "int_parsing": "a whole number is allowed",
    "int_type": "a whole number is allowed",
    "int_from_float": "a whole number is allowed",
    "int_parsing_size": "a smaller number is allowed",
    "float_parsing": "a number is allowed",
    "float_type": "a number is allowed",
    "finite_number": "a number is allowed",
    "bool_parsing": "true and false are allowed",
    "bool_type": "true and false are allowed",
    "string_type": "a text is allowed",
    "string_too_short": "a text that is not empty is allowed",
    "tuple_type": "a list is allowed",
    "too_short": "at least one is needed",
    "greater_than": "more than {gt} is allowed",
    "greater_than_equal": "at least {ge} is allowed",
    "less_than": "less than {lt} is allowed",
    "less_than_equal": "at most {le} is allowed",
    "literal_error": "{expected} is allowed",
}


def validate(keys: Mapping[str, Given], missing: Mapping[str, Problem]) -> tuple[Settings | None, list[Problem]]:
    """The settings; or None, and what is wrong with the values that were given. What is missing is the caller's to say.

    Args:
        keys: what was given, by dotted key.
        missing: why a key was not given that is needed only sometimes, where a source knows.
    """
    given: dict[str, Any] = {}
    for key, value in keys.items():
        section, _, name = key.rpartition(".")
        (given.setdefault(section, {}) if section else given)[name] = value.plain()
    try:
        return Settings.model_validate(given), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    return None, [
        missing.get(_MISSING.get(detail["type"], "")) or _problem(detail, keys)
        for detail in details
        if detail["type"] != "missing"
    ]


def _problem(detail: Mapping[str, Any], keys: Mapping[str, Given]) -> Problem:
    location = detail["loc"]
    depth = 2 if location and location[0] in SECTIONS else 1
    key = ".".join(str(part) for part in location[:depth])
    indices = location[depth:]
    text = _text(key, indices, detail)
    # What several keys come to stands where the first of them was given that the text names.
    named = re.findall(r"[a-z_]+(?:\.[a-z_]+)?", text) if key in SECTIONS or not key else [key]
    given = next((keys[name] for name in named if name in keys), None)
    for index in indices:
        if given is not None and isinstance(given.value, list) and isinstance(index, int) and index < len(given.value):
            given = given.value[index]
    return Problem(given.where if given else "", text)


def _text(key: str, indices: tuple[Any, ...], detail: Mapping[str, Any]) -> str:
    name = key + "".join(f"[{index}]" for index in indices)
    context = detail.get("ctx", {})
    if detail["type"] == "value_error" or detail["type"] in _MISSING:
        text = str(context["error"] if "error" in context else context["text"])
        # The checks over several keys name them; so do those of Redis and of queues.
        return text if text.startswith(key) or key in SECTIONS or not key else f"{name}: {text}"
    allowed = _ALLOWED.get(detail["type"])
    said = allowed.format(**context) if allowed else str(detail["msg"])
    return f"{name} is {_shown(key, detail['input'])}: {said}"


def _shown(key: str, value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return "a section" if isinstance(value, dict) else "a list"
    if key in _SECRET:
        return mask(str(value))
    if isinstance(value, str) and shown_text(value) != value:  # it may be at the wrong key
        return shown_text(value)
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
