"""The effective configuration as it may be shown: each key, its value without secrets, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orderway.config.settings import KEYS, Settings

__all__ = ["Effective", "effective"]


@dataclass(frozen=True, slots=True)
class Effective:
    """One key.

    Attributes:
        key: dotted.
        value: as text; passwords are replaced by ``***``.
        source: where it comes from, for people; ``default`` if nobody gave it.
    """

    key: str
    value: str
    source: str


def effective(settings: Settings) -> tuple[Effective, ...]:
    """Every key, in the order of the documentation, fit to be printed."""
    return tuple(Effective(key, _shown(_value(settings, key)), settings.sources.get(key, "default")) for key in KEYS)


def _value(settings: Settings, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(each) for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else str(value)
