"""Log records as JSON lines, for our own processes and for whoever likes them.

The standard library's formatter suffices: records are made by ``logging`` in the package anyway, so a library for
structured logs would only be asked to write one dictionary a line.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["JsonLines"]

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest is what was given as ``extra``."""


class JsonLines(logging.Formatter):
    """Writes each record as one line of JSON: ``at``, ``level``, ``logger``, ``message``, and the fields of ``extra``.

    >>> handler = logging.StreamHandler()
    >>> handler.setFormatter(JsonLines())

    A traceback is one string in ``error``. Orderway's own records have these fields where they apply: ``order_id``,
    ``order_type``, ``reason``, ``channel``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
