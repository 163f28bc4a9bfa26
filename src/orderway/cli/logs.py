"""Where the commands write the log: as notes for people, or, in processes that run for long, as JSON lines."""

from __future__ import annotations

import logging
import sys

from orderway.cli.output import print_note
from orderway.observe.json_lines import JsonLines

__all__ = ["log_json_lines", "log_notes"]


class _Notes(logging.Handler):
    """What the engine logs, on stderr, harmless whatever an order's hook has raised."""

    def emit(self, record: logging.LogRecord) -> None:
        print_note(record.getMessage())


def log_notes() -> None:
    """Write what the engine logs as notes, unless somebody has set up its log otherwise."""
    logger = logging.getLogger("orderway")
    if not logger.handlers:
        logger.addHandler(_Notes())


def log_json_lines() -> bool:
    """Write the whole log as JSON lines to stderr, unless that is a terminal, or your App has set up logs of its own.

    Returns:
        Whether it is done.
    """
    root, logger = logging.getLogger(), logging.getLogger("orderway")
    if sys.stderr.isatty() or root.handlers:
        return False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    for notes in [each for each in logger.handlers if isinstance(each, _Notes)]:
        logger.removeHandler(notes)
    return True
