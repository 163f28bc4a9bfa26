"""The command ``orderway``: the group of all commands, and the edge where errors become exit codes."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from orderway.cli.correcting import accept, amend, skip
from orderway.cli.demo import demo
from orderway.cli.doctor import doctor
from orderway.cli.exits import BROKEN_PIPE, BUG, EXITS, INTERRUPTED, USAGE, exit_code_of, tell
from orderway.cli.exporting import export
from orderway.cli.hints import hint, hints
from orderway.cli.logs import log_notes
from orderway.cli.looking import explain, list_orders, show
from orderway.cli.metrics import metrics
from orderway.cli.moving import forward, sweep
from orderway.cli.opening import Settings
from orderway.cli.operating import cancel, hold, refund, resume
from orderway.cli.options import Command, global_options
from orderway.cli.output import console, print_json
from orderway.cli.paying import change_payment, confirm_payment, match, parked, record_refund
from orderway.cli.schema import migrate, schema
from orderway.cli.stuck import retry_now, stuck
from orderway.cli.verifying import verify
from orderway.cli.wallets import balance, statement
from orderway.cli.worker import worker
from orderway.errors import OrderwayError

__all__ = ["Orderway", "orderway"]


class Orderway(click.Group):
    """The group. Its ``main`` ends the process with one of the exit codes of ``EXITS``, whatever happens."""

    command_class = Command

    def main(self, args: Sequence[str] | None = None, *arguments: Any, **options: Any) -> NoReturn:
        """Run a command line; never returns."""
        given = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        as_json = "--json" in given
        try:
            result = super().main(given, *arguments, **options)
            sys.stdout.flush()
            code = result if isinstance(result, int) else 0
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except click.ClickException as error:
            tell(error, as_json=as_json)
            code = USAGE
        except OrderwayError as error:
            tell(error, as_json=as_json)
            code = exit_code_of(error)
        except (BrokenPipeError, SystemExit):  # click turns a broken pipe into SystemExit; no command exits by itself
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
            code = BROKEN_PIPE
        except Exception as error:  # noqa: BLE001 - the edge: a bug is told with its traceback and a code of its own
            traceback.print_exc()
            if as_json:
                tell(error, as_json=True)
            code = BUG
        sys.exit(code)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXITS.items()])


@click.group(cls=Orderway, params=global_options(), context_settings={"help_option_names": ["-h", "--help"]})
def orderway() -> None:
    """Look at orders, move them, and check that the books are right.

    The database is the one that --url names, or that of your App (--app). Commands that only look never make a file.
    """
    log_notes()


@click.command(cls=Command)
@click.pass_obj
def version(settings: Settings) -> None:
    """Show the versions of Orderway and Python."""
    found = {"orderway": importlib.metadata.version("orderway"), "python": platform.python_version()}
    if settings.json:
        print_json(found)
    else:
        console().print(f"orderway {found['orderway']} (Python {found['python']})")


for _command in (
    *(show, list_orders, explain, stuck, parked, balance, statement, version),
    *(forward, hint, hints, sweep, retry_now, cancel, refund, resume, hold, amend, skip, accept),
    *(confirm_payment, change_payment, record_refund, match),
    *(verify, export, demo),
    *(schema, migrate, doctor, worker, metrics),
):
    orderway.add_command(_command)
