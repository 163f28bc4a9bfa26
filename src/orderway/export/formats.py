"""The two formats of tables: CSV for spreadsheets, JSON lines for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from orderway.core.journal import compact_json

__all__ = ["Format", "encode"]

_JSON_COLUMNS = frozenset({"legs", "refunds", "data", "steps", "fields", "private"})
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a text for a formula; after white space too, hence the last three."""


class Format(StrEnum):
    """How records are written."""

    JSONL = "jsonl"
    """One JSON object a line, in ASCII: exact."""
    CSV = "csv"
    """RFC 4180 with a header, in UTF-8."""


def encode(
    form: Format, columns: Sequence[str], documents: Sequence[dict[str, Any]], *, header: bool, guard: bool = True
) -> str:
    """Documents as lines.

    Args:
        form: the format.
        columns: the keys that every document has, in their order.
        documents: what is written.
        header: begin with the names of the columns; JSON lines have none.
        guard: in CSV, put an apostrophe before texts that a spreadsheet would run as a formula. That is not undone
            by reading: JSON lines are the exact format.
    """
    if form is Format.JSONL:
        return "".join(json.dumps(document, separators=(",", ":")) + "\n" for document in documents)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if header:
        writer.writerow(columns)
    for document in documents:
        writer.writerow([_cell(name, document[name], guard) for name in columns])
    return text.getvalue()


def _cell(name: str, value: Any, guard: bool) -> str:
    if value is None:
        return ""
    if name in _JSON_COLUMNS:
        value = compact_json(value)
    elif isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if guard and value.startswith(_FORMULAS) else value
    return str(value)
