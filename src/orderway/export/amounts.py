"""Amounts and instants as exact text."""

from __future__ import annotations

from orderway.core.money import currency
from orderway.core.order import instant
from orderway.errors import InvalidValue

__all__ = ["decimal_text", "exponent_of", "iso"]


def exponent_of(code: str) -> int | None:
    """How many decimals a currency has; None for one that only the user's own program defines."""
    try:
        return currency(code).exponent
    except InvalidValue:
        return None


def decimal_text(amount_minor: int, exponent: int | None) -> str | None:
    """An amount in major units, without grouping; None where the decimals are not known."""
    if exponent is None:
        return None
    major, minor = divmod(abs(amount_minor), 10**exponent)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{major}.{minor:0{exponent}d}" if exponent else f"{sign}{major}"


def iso(at_us: int | None) -> str | None:
    """An instant as ISO 8601 in UTC, with microseconds; None stays None."""
    return None if at_us is None else instant(at_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
