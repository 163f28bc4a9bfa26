"""Opening what a command works on: the ports for looking, an App for moving orders."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from orderway import blocking
from orderway.adapters import Ports, ports_for
from orderway.app import App
from orderway.errors import ConfigError, UsageError
from orderway.ports.business import Business
from orderway.ports.queue import Queue

__all__ = ["Settings", "chosen", "reading", "run", "running"]

T = TypeVar("T")
DEFAULT_URL = "sqlite:///orders.db"
_GIVE_APP = "give --app module:attribute, or set ORDERWAY_APP"


@dataclass(slots=True)
class Settings:
    """What the global options say.

    Args:
        url: of the databases, () for none given.
        app: ``module:attribute`` of an App, or None.
        json: print JSON.
    """

    url: tuple[str, ...] = ()
    app: str | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """An open database, and what is known of the App it was opened through; nothing where it was opened by its URL."""

    ports: Ports
    businesses: dict[int, Business[Any]] | None
    queue: str | Queue | None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Reading]:
    """The ports, for looking only: no file is made, no worker joins, no sweeper runs.

    Raises:
        ConfigError: there is no database, or it is not one of ours.
    """
    urls, app = chosen(settings)
    opened = (
        Reading(_ports(urls), None, None)
        if app is None
        else Reading(_ports(urls) if app.urls else app.ports, app.businesses, app.queue)
    )
    await opened.ports.start()
    try:
        yield opened
    finally:
        await opened.ports.close()


@asynccontextmanager
async def running(settings: Settings, *, needs: str = "") -> AsyncIterator[App]:
    """An App, started as a worker but without its sweeper: it moves only what it is told to.

    Args:
        settings: the global options.
        needs: what the command does with the user's App, for instance "runs hooks"; "" if rows are all it needs.

    Raises:
        ConfigError: there is no App, or no database; or what is done turns out to need the App.
    """
    urls, given = chosen(settings)
    if given is None and needs:
        raise ConfigError(f"this command {needs}, so it needs your App: {_GIVE_APP}")
    app = given or App(_ports(urls), sweep=False)
    await app.start(sweep=False)
    try:
        yield app
    except ConfigError as error:
        if given is not None:
            raise
        raise ConfigError(f"{error}. Only the database was given, not your App: {_GIVE_APP}") from error
    finally:
        await app.close()


def chosen(settings: Settings) -> tuple[tuple[str, ...], App | None]:
    """The URLs and the App that are meant: options come before the environment."""
    environment = os.environ if not settings.url and settings.app is None else {}
    name = settings.app or environment.get("ORDERWAY_APP")
    urls = settings.url or tuple(environment.get("ORDERWAY_URL", "").split()) or (DEFAULT_URL,)
    if settings.url and settings.app is not None:
        raise UsageError("--url and --app exclude each other: an App knows its own database")
    app = _load(name) if name else None
    return (app.urls if app is not None else urls), app


def _ports(urls: Sequence[str]) -> Ports:
    if urls[0].startswith("memory:"):
        raise ConfigError("memory://: orders in memory are gone with their process; give the URL of a database")
    return ports_for(urls, create=False)


def _load(name: str) -> App:
    """The App that ``module:attribute`` names: an App, a blocking App, or a function without arguments that makes one.

    Raises:
        ConfigError: there is none of that name.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute or not re.fullmatch(r"[\w.:]+", name):
        shown = repr(name) if re.fullmatch(r"[\w.:]*", name) else "what was given"  # it may be a URL, with its password
        raise ConfigError(f"--app {shown}: module:attribute is expected, for instance shop:app")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise ConfigError(f"--app {name}: there is no module {error.name} in {os.getcwd()} or on the path") from error
    except AttributeError as error:
        raise ConfigError(f"--app {name}: {module_name} has no {attribute}: {error}") from error
    if callable(found) and not isinstance(found, App | blocking.App):
        found = found()
    if isinstance(found, blocking.App):
        found = found.inner
    if not isinstance(found, App):
        raise ConfigError(
            f"--app {name} is a {type(found).__name__}: an App, or a function that makes one, is expected"
        )
    return found
