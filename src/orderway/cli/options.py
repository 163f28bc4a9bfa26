"""What all commands share: the global options, and the types of options."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import click

from orderway.cli.opening import DEFAULT_URL, Settings
from orderway.core.money import Money, currency
from orderway.core.order import Stage, Status
from orderway.errors import InvalidValue, OrderwayError
from orderway.ports.store import Query

__all__ = [
    "INSTANT",
    "STATUS",
    "Command",
    "acted",
    "ago_us",
    "amount_of",
    "filtered",
    "global_options",
    "json_of",
    "paged",
    "query_of",
    "signed",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def global_options() -> list[click.Parameter]:
    """--url, --app, --config and --json: allowed before the command's name and after it."""
    return [
        click.Option(
            ["--url"],
            metavar="URL",
            multiple=True,
            expose_value=False,
            callback=_set,
            help="The database; several times, in order, where there are several."
            f" [env: ORDERWAY_URL; default: {DEFAULT_URL}]",
        ),
        click.Option(
            ["--app"],
            metavar="MODULE:ATTRIBUTE",
            expose_value=False,
            callback=_set,
            help="Your App, or a function that makes it. [env: ORDERWAY_APP]",
        ),
        click.Option(
            ["--config"],
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            expose_value=False,
            callback=_set,
            help="The configuration's YAML file. [env: ORDERWAY_CONFIG, and ORDERWAY_ with the name of each key]",
        ),
        click.Option(["--json"], is_flag=True, expose_value=False, callback=_set, help="Print one JSON document."),
    ]


def _set(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    settings = context.ensure_object(Settings)
    if value:
        setattr(settings, str(parameter.name), value)


class Command(click.Command):
    """A command that takes the global options too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.extend(global_options())

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. An error that names a command to run names it with the options by which it means the same."""
        try:
            return super().invoke(ctx)
        except OrderwayError as error:
            settings = ctx.find_object(Settings)
            if settings is not None and settings.chosen is not None:
                error.args = (settings.chosen.completed(str(error)), *error.args[1:])
            raise


class _Status(click.ParamType[Status]):
    """A status by name or by number."""

    name = "status"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Status:
        text = str(value).strip().lower().replace("-", "_")
        found = next((status for status in Status if text in {status.name.lower(), str(status.value)}), None)
        if found is None:
            allowed = ", ".join(f"{status.value} {status.name.lower()}" for status in Status)
            self.fail(f"{value!r} is no status; there are {allowed}", param, ctx)
        return found


class _Instant(click.ParamType["int | timedelta"]):
    """An instant, in microseconds since 1970: ISO 8601 (UTC where it names no offset); or how long ago (``2h``)."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | timedelta:
        try:
            if duration := re.fullmatch(r"(\d{1,9})([smhdw])", str(value)):
                return timedelta(**{_UNITS[duration[2]]: int(duration[1])})
            moment = datetime.fromisoformat(str(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r}: 2026-11-22T08:00:00Z, 2026-11-22, or how long ago (30s, 5m, 2h, 7d)", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)


STATUS = _Status()
INSTANT = _Instant()


_STAGE = click.Choice([stage.value for stage in Stage])
_FILTERS = (
    click.option("--uid", help="Of this user."),
    click.option("--status", "statuses", type=STATUS, multiple=True, help="By name or number; may be given again."),
    click.option("--stage", "stages", type=_STAGE, metavar="STAGE", multiple=True, help="By name; may be given again."),
    click.option("--type", "order_type", type=click.IntRange(0, 65_535), help="Of this order type."),
    click.option(
        "--since",
        "created_from_us",
        type=INSTANT,
        help="Created at or after: ISO 8601 (UTC), or how long ago (30s, 5m, 2h, 7d).",
    ),
    click.option("--until", "created_to_us", type=INSTANT, help="Created before."),
    click.option("--reference", help="With a payment of this number at its channel."),
    click.option(
        "--needs-person/--no-needs-person", default=None, help="Where a person must decide something; or not."
    ),
    click.option("--own-number", help="Made from this number of your own."),
)


def filtered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose orders; their names are those of the conditions of ``Query``."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


def query_of(
    now_us: int, *, statuses: tuple[Status, ...] = (), stages: tuple[str, ...] = (), limit: int = 50, **conditions: Any
) -> Query:
    """The query that the options of ``filtered`` make; what is said as how long ago counts back from now."""
    chosen = [Stage(stage) for stage in stages]
    conditions = {
        name: ago_us(now_us, value) if isinstance(value, timedelta) else value for name, value in conditions.items()
    }
    return Query(statuses=statuses or None, stages=chosen or None, limit=limit, **conditions)


def ago_us(now_us: int, ago: timedelta) -> int:
    """The instant that was so long before now, in microseconds since 1970, which is the earliest."""
    return max(now_us - ago // timedelta(microseconds=1), 0)


def paged(cursor: Any, most: int = 1000, metavar: str = "CURSOR") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a command that prints a page: --limit and --after."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        after = click.option("--after", type=cursor, metavar=metavar, help="The cursor that the page before printed.")
        limit = click.option(
            "--limit", type=click.IntRange(1, most), default=50, show_default=True, help="At most this many."
        )
        return limit(after(function))

    return decorate


def acted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Who does it."""
    return click.option("--actor", required=True, help="Who you are; it is journaled.")(function)


def signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Who does it, and why."""
    return acted(click.option("--reason", required=True, help="Why; it is journaled.")(function))


def amount_of(text: str) -> Money:
    """An amount with its currency, ``12.50CNY`` or ``12.50 CNY``.

    Asked for inside ``running``: an App defines currencies of its own.

    Raises:
        InvalidValue: it is not of this form, or of an unknown currency.
    """
    found = re.fullmatch(r"([0-9]{1,19}(?:\.[0-9]{1,19})?) ?([A-Za-z][A-Za-z0-9_]*)", text)
    if found is None:
        raise InvalidValue(f"{text!r}: an amount and its currency are expected, for instance 12.50CNY or '12.50 CNY'")
    number, code = found.groups()
    try:
        currency(code)
    except InvalidValue as error:
        raise InvalidValue(f"{error}; where your App defines it, give --app") from None
    return Money.of(number, code)


def json_of(option: str, text: str) -> Any:
    """What JSON text says, or, after ``@``, a file of it.

    Raises:
        InvalidValue: there is no such file, or it holds no JSON.
    """
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text, parse_constant=_no_number)
    except (OSError, ValueError) as error:  # a file that is not UTF-8 is a ValueError too
        raise InvalidValue(f"{option} {text[:60]!r}: JSON, or @FILE, is expected: {error}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")
