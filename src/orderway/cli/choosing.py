"""Which databases and which App a command means: by its options, else by the environment. Only this decides it."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orderway import blocking
from orderway.adapters import where_of
from orderway.app import App
from orderway.cli.output import print_note
from orderway.errors import ConfigError, UsageError
from orderway.ports.queue import Queue

if TYPE_CHECKING:
    from orderway.config import Settings as Configuration

__all__ = ["DEFAULT_URL", "Chosen", "Settings", "chosen", "kept", "located", "shards_of"]

DEFAULT_URL = "sqlite:///orders.db"

_CONFIGURATION = ("ORDERWAY_CONFIG", "ORDERWAY_DATABASES")
"""Either of them names databases; all other variables of ``load_settings`` only say more of them."""
_COMMAND = re.compile(r"`orderway (?P<name>migrate|hints)(?P<shards> --shards (?:\d+|N))?")
_APP_NAME = re.compile(r"[\w.:-]+")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command works on.

    Args:
        urls: of the databases, whole; () where the App was given ready ports.
        app: the user's App; None where only databases were named.
        configuration: what was loaded, or what the App was made from; None where there is none.
        options: by which another command means the same; () where it does so by itself, in the same shell.
        given_shards: as --shards says; None without it.

    Of an App it reads what that keeps for the command line, privately: a public name may be taken by a subclass.
    """

    urls: tuple[str, ...] = field(repr=False)
    app: App | None = None
    configuration: Configuration | None = None
    options: tuple[str, ...] = ()
    given_shards: int | None = None

    @property
    def shards(self) -> int | None:
        """Into how many tables the orders are to be spread; None where nobody says so."""
        if self.app is not None:
            return self.app._shards
        return None if self.configuration is None else self.configuration.shards

    @property
    def queue(self) -> str | Queue | None:
        """As an App takes it; None if there is none, or nobody says so."""
        if self.app is not None:
            return self.app._queue
        return None if self.configuration is None else self.configuration.queue.as_option()

    @property
    def database_options(self) -> dict[str, Any]:
        """As ``ports_for`` takes them."""
        return {} if self.configuration is None else self.configuration.database_options()

    def source_of(self, key: str) -> str:
        """Who says what is known of a key of the configuration, for messages."""
        source = None if self.configuration is None else self.configuration.sources.get(key)
        return source or ("your App" if self.app is not None else "the configuration")

    def completed(self, text: str) -> str:
        """A message whose commands mean what this command was told to work on: as it stands, one would mean another."""
        given = "" if self.given_shards is None else f" --shards {self.given_shards}"

        def complete(found: re.Match[str]) -> str:
            shards = found["shards"] or given  # what is told to be right, rather than what was given
            if self.shards is not None and not shards.endswith("N"):
                shards = ""  # the App or the configuration says it
            return f"`{shlex.join(('orderway', found['name'], *self.options))}{shards}"

        return _COMMAND.sub(complete, text)


@dataclass(slots=True)
class Settings:
    """What the global options say.

    Args:
        url: of the databases, () for none given.
        app: ``module:attribute`` of an App, or None.
        config: the file of a configuration, or None.
        json: print JSON.
        chosen: what they come to, once that was asked; see ``chosen``.
    """

    url: tuple[str, ...] = ()
    app: str | None = None
    config: Path | None = None
    json: bool = False
    chosen: Chosen | None = None


def chosen(settings: Settings) -> Chosen:
    """What is meant: an option comes before the environment, where an App comes before anything else.

    Raises:
        ConfigError: the App or the configuration cannot be had, or variables name different databases.
        UsageError: options exclude each other.
    """
    if settings.chosen is None:
        settings.chosen = _by_options(settings) or _by_environment()
    return settings.chosen


def located(found: Chosen) -> tuple[str, ...]:
    """The URLs.

    Raises:
        ConfigError: they are not known.
    """
    if not found.urls:
        raise ConfigError(
            "this App was given ready ports, not the URL of its database: give --url, or make the App with its URLs, or"
            " by App.from_settings"
        )
    return found.urls


def kept(found: Chosen) -> tuple[str, ...]:
    """The URLs of databases that outlive a process.

    Raises:
        ConfigError: they are in memory, or not known.
    """
    urls = located(found)
    if urls[0].startswith("memory:"):
        raise ConfigError("memory://: orders in memory are gone with their process; give the URL of a database")
    return urls


def shards_of(settings: Settings, given: int | None) -> int | None:
    """How many shards new tables shall have: as --shards says, else as the configuration or the App does.

    Args:
        settings: the global options.
        given: by --shards.

    Raises:
        UsageError: --shards contradicts what an App of that configuration expects.
    """
    found = chosen(settings)
    if found.app is None and found.configuration is None:
        found = _beside(found, is_needed=given is None) or found
    known = found.shards
    if given is not None and known is not None and given != known:
        raise UsageError(
            f"--shards {given} contradicts shards={known} of {found.source_of('shards')}: an App would refuse such"
            " tables. Leave out --shards, or change it there"
        )
    return known if given is None else given


# ---- options ----------------------------------------------------------------------------------------------------


def _by_options(settings: Settings) -> Chosen | None:
    given = {"--url": settings.url, "--app": settings.app, "--config": settings.config}
    named = [option for option, value in given.items() if value]
    if len(named) > 1:
        raise UsageError(
            f"{' and '.join(named)} exclude each other: an App knows its own database, and so does a configuration"
        )
    if settings.url:
        return Chosen(settings.url, options=tuple(word for url in settings.url for word in ("--url", _shown(url))))
    if settings.app:
        return _of_app(settings.app)
    return _of_configuration(settings.config) if settings.config else None


def _of_app(name: str) -> Chosen:
    app = _load(name)
    return Chosen(app.urls, app, app._settings, ("--app", name))


def _of_configuration(path: Path | None) -> Chosen:
    """What the file says, or the one of ORDERWAY_CONFIG; and variables, key by key, as in every App."""
    from orderway.config import load_settings  # an extra, which only those need who have a configuration

    file = path or os.environ.get("ORDERWAY_CONFIG")
    if file and re.match(r"[a-z+]+:/", str(file)):  # with its password, which is not to be shown
        where = "ORDERWAY_CONFIG" if path is None else "--config"
        raise ConfigError(f"{where}: a file is expected, and a URL was given; name a database by --url")
    loaded = load_settings(path)
    return Chosen(loaded.urls, None, loaded, ("--config", str(file)) if file else ())


# ---- the environment --------------------------------------------------------------------------------------------


def _by_environment() -> Chosen:
    if name := os.environ.get("ORDERWAY_APP"):
        return _of_app(name)
    urls = tuple(os.environ.get("ORDERWAY_URL", "").split())
    variables = _variables()
    if not variables:
        return Chosen(urls or (DEFAULT_URL,))
    found = _of_configuration(None)
    if urls and _are_same(urls, found.urls):  # perhaps as another user, who may make tables
        return Chosen(urls, None, found.configuration)
    if urls:
        raise ConfigError(
            f"the environment names different databases: by ORDERWAY_URL {_places(urls)}, by {variables}"
            f" {_places(found.urls)}. Unset the one that is not meant, or name the other by --url or --config"
        )
    default = where_of(DEFAULT_URL)
    if Path(default).exists() and default not in map(where_of, found.urls):  # nobody is led elsewhere without knowing
        print_note(
            f"the database is that of {variables}, not {default}, which is here too: --url {DEFAULT_URL} means it"
        )
    return found


def _beside(found: Chosen, *, is_needed: bool) -> Chosen | None:
    """The configuration that the environment has of databases which were named by their URLs alone; None for none.

    Args:
        found: the databases.
        is_needed: nothing else says it: a configuration that cannot be read is an error then.
    """
    variables = _variables()
    if not variables and not os.environ.get("ORDERWAY_SHARDS"):
        return None
    try:
        from orderway.config import load_settings

        if not variables:  # no databases of its own: it can only be about these
            return Chosen(found.urls, None, load_settings(databases=list(found.urls)))
        other = _of_configuration(None)
    except ConfigError as error:
        if not is_needed:
            return None
        raise ConfigError(
            f"{error}\nIt was read to see how many shards there shall be: give --shards, and nobody asks it"
        ) from error
    if _are_same(found.urls, other.urls):
        return other
    if is_needed and other.shards not in {None, len(found.urls)}:
        print_note(
            f"{variables}: shards={other.shards} is for {_places(other.urls)}, not for what --url names;"
            " --shards says how many there shall be here"
        )
    return None


def _variables() -> str:
    """The variables that name a configuration; "" for none. An empty one counts as none, as for ``load_settings``."""
    return " and ".join(name for name in _CONFIGURATION if os.environ.get(name))


def _are_same(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether these are the same databases, be they written with another user, option or name of the scheme."""
    ours, theirs = ([where_of(url).rpartition("://")[2] for url in urls] for urls in (some, others))
    return ours == theirs


def _places(urls: Sequence[str]) -> str:
    return ", ".join(map(where_of, urls))


# ---- words ------------------------------------------------------------------------------------------------------


def _shown(url: str) -> str:
    """A URL as a message may hold it: not where a password may be in it."""
    return "URL" if {"@", "?"} & set(url) else url


# ---- the user's App ---------------------------------------------------------------------------------------------


def _load(name: str) -> App:
    """The App that ``module:attribute`` names: an App, a blocking App, or a function without arguments that makes one.

    Raises:
        ConfigError: there is none of that name.
    """
    module_name, _, attribute = name.partition(":")
    is_word = _APP_NAME.fullmatch(name)
    if not module_name or not attribute or not is_word:
        shown = repr(name) if is_word else "what was given"  # it may be a URL, with its password
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
