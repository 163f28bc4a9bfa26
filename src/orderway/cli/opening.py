"""Opening what a command works on: the ports for looking, an App for moving orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from orderway.adapters import Ports, ports_for
from orderway.app import App
from orderway.cli.choosing import DEFAULT_URL, Chosen, Settings, chosen, kept
from orderway.errors import ConfigError, MissingRights
from orderway.ports.business import Business
from orderway.ports.queue import Queue

__all__ = ["DEFAULT_URL", "Settings", "chosen", "reading", "run", "running"]

T = TypeVar("T")
_GIVE_APP = "give --app module:attribute, or set ORDERWAY_APP"


@dataclass(frozen=True, slots=True)
class Reading:
    """An open database, and what the App says that it was opened through, or the configuration; None for nothing."""

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
    found = chosen(settings)
    opened = Reading(_ports(found), None if found.app is None else found.app.businesses, found.queue)
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
    found = chosen(settings)
    given = found.app
    if given is None and needs:
        raise ConfigError(f"this command {needs}, so it needs your App: {_GIVE_APP}")
    app = given or _own_app(found)
    await app.start(sweep=False)
    try:
        yield app
    except ConfigError as error:
        if given is not None or isinstance(error, MissingRights):
            raise
        raise ConfigError(f"{error}. Only the database was given, not your App: {_GIVE_APP}") from error
    finally:
        await app.close()


def _ports(found: Chosen, shards: int | None = None) -> Ports:
    """The ports of databases that are there; ready ones as the App was given them."""
    if found.app is not None and not found.urls:
        return found.app.ports
    return ports_for(kept(found), shards=shards, create=False, **found.database_options)


def _own_app(found: Chosen) -> App:
    """An App without businesses, which otherwise works as the configuration says, if there is one."""
    arguments = {} if found.configuration is None else found.configuration.app_arguments()
    return App(**{**arguments, "url": _ports(found, found.shards), "shards": None, "sweep": False})
