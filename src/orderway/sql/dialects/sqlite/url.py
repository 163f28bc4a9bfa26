"""The URL of an SQLite file."""

from __future__ import annotations

import re

from orderway.errors import ConfigError

__all__ = ["read_url"]

_LOGIN = re.compile(r":[^/@]*@")
"""Of a server's URL, whose scheme was mistaken: no relative path looks so, and it ends with a password. An absolute one
may: no login begins with a slash."""


def read_url(url: str) -> str:
    """The path of the file that a URL names.

    Raises:
        ConfigError: it names none; nothing of it is quoted.
    """
    _, _, rest = url.partition("://")
    path = rest.removeprefix("/")
    if not rest.startswith("/") or not path or path == ":memory:" or (path[0] != "/" and _LOGIN.search(path)):
        raise ConfigError(
            "a sqlite:// URL names no file: sqlite:///relative.db or sqlite:////absolute.db are allowed, and memory://"
            " where nothing needs to be kept"
        )
    return path
