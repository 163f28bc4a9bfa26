"""The command line: ``orderway``. Needs the extra ``orderway[cli]``."""

from __future__ import annotations

import sys
from io import TextIOWrapper

__all__ = ["main"]


def main() -> None:
    """The entry point of the command ``orderway``."""
    try:
        import click
        import rich
    except ModuleNotFoundError as error:
        sys.stderr.write(f"The command line needs {error.name}, which is not here: pip install 'orderway[cli]'\n")
        sys.exit(4)
    del click, rich
    from orderway.cli.commands import orderway

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a terminal that cannot show a character is no reason to fail
    orderway.main(prog_name="orderway")
