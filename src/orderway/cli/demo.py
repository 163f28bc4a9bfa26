"""``orderway demo``: thousands of real purchases, while the processes that carry them are killed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from orderway.cli.exits import FINDINGS
from orderway.cli.opening import Settings as Options
from orderway.cli.options import global_options
from orderway.cli.output import print_json, print_note, print_problem
from orderway.demo.audit import audit
from orderway.demo.purchases import read_purchases
from orderway.demo.run import DemoFailed, run
from orderway.demo.screen import screen_for, show_title
from orderway.demo.settings import Folder, Settings
from orderway.demo.summary import as_json, show_summary

__all__ = ["demo"]

_JSON = [option for option in global_options() if option.name == "json"]


@click.command(params=_JSON)
@click.option("--calm", is_flag=True, help="Kill nobody.")
@click.option(
    "--kills", type=click.IntRange(0, 1_000), default=12, show_default=True, help="How often a shop is killed."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Deals the fates and the kills: the same again.")
@click.option("--lines", type=click.IntRange(1), help="Only the first so many purchases.")
@click.option("--shops", type=click.IntRange(1, 16), default=2, show_default=True, help="Shop processes at a time.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the databases and logs in this folder."
)
@click.pass_obj
def demo(options: Options, calm: bool, kills: int, seed: int, lines: int | None, shops: int, keep: Path | None) -> int:
    """Run real purchases while their shops are killed with SIGKILL, then show that everything adds up.

    6,919 purchases at a music shop: a third prepaid from a wallet, a third paid later through a channel that loses,
    doubles, delays and forges its callbacks, a third mixed of points, wallet and channel. Some are paid twice, wrongly
    or too late; operators give money back, and take goods back. Exit code 1 if one cent or one delivery is lost or
    doubled.
    """
    settings = Settings(seed=seed, kills=0 if calm else kills, lines=lines, shops=shops)
    path = Path(tempfile.mkdtemp(prefix="orderway-demo-")) if keep is None else _empty(keep)
    clean = False
    try:
        clean = _run(Folder(path), settings, as_document=options.json)
    except DemoFailed as error:
        print_problem(str(error))
    finally:
        if keep is None and clean:
            shutil.rmtree(path)
        else:
            print_note(f"databases and logs: {path}")
    return 0 if clean else FINDINGS


def _run(folder: Folder, settings: Settings, *, as_document: bool) -> bool:
    purchases = read_purchases(settings.lines)
    # Wide enough for the summary where there is no terminal to ask.
    width = None if sys.stdout.isatty() else 100
    out = Console(highlight=False, emoji=False, width=width, quiet=as_document)
    if as_document:
        story = run(folder, settings, lambda now: None)
    else:
        show_title(out, purchases, settings)
        with screen_for(out, len(purchases), settings) as screen:
            story = run(folder, settings, screen.show)
    with out.status("adding everything up") as status:
        result = audit(folder, purchases, lambda done, total: status.update(f"verify: {done:,} of {total:,} orders"))
    if as_document:
        print_json(as_json(result, story, settings))
    else:
        show_summary(out, result, story, settings)
    return result.clean


def _empty(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        raise click.BadParameter(f"{folder} is not empty: give a new folder, or an empty one", param_hint="--keep")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()
