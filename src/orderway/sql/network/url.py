"""The URL of a database server, read so that no part of a password is taken for a host, a name or an option."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from orderway.errors import ConfigError

__all__ = ["database_of", "options_of", "parts_of", "shown", "unreadable"]

_ENCODE = "what is special in a user, a password or a name (@ : / ? # %) is percent-encoded, `@` as `%40`"


def parts_of(url: str, form: str, *, logins: Container[str] = ()) -> SplitResult:
    """The parts of ``scheme://user:password@host:port/name?options``, where they can be told from each other.

    Args:
        url: may hold a password, so that nothing of it is quoted.
        form: of such a URL, for people.
        logins: the options in whose values an ``@`` may stand as it is.

    Raises:
        ConfigError: they cannot.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may quote a part of the password
        parts = None
    # A password that was not encoded ends in the path or behind it, or leaves a second `@` before it.
    if (
        parts is None
        or parts.fragment
        or parts.netloc.count("@") > 1
        or re.search("[@:]", parts.path)
        or not all(_is_option(pair, parts.path, logins) for pair in parts.query.split("&") if "@" in pair)
    ):
        raise unreadable(form)
    return parts


def _is_option(pair: str, path: str, logins: Container[str]) -> bool:
    """Whether a name and a value with an ``@`` in it are an option, and not the end of a password and what follows it.

    Host and name of the database would follow it, with a slash between them; then none could be before it.
    """
    name, _, value = pair.partition("=")
    return name in logins and not re.search("[/:?]", value) and len(path) > 1


def unreadable(form: str) -> ConfigError:
    """The error of a URL whose parts cannot be told from each other. Raise it ``from None``."""
    scheme = form.partition("://")[0]
    return ConfigError(f"a {scheme}:// URL has a wrong host or port, or cannot be read: {_ENCODE}; its form is {form}")


def database_of(parts: SplitResult, place: str, form: str) -> str:
    """The name of the database.

    Args:
        parts: of the URL.
        place: the server, for messages.
        form: of such a URL, for people.

    Raises:
        ConfigError: there is none, or more than one.
    """
    name = unquote(parts.path[1:])
    if not name or "/" in parts.path[1:]:  # which is not quoted: it may be what was meant to stand before the host
        raise ConfigError(f"{place} names no database: one name is expected behind it, as in {form}")
    return name


def options_of(parts: SplitResult, where: str, allowed: Sequence[str], further: str = "") -> dict[str, str]:
    """What stands behind the question mark; of an option that is given twice, the last value that is not empty.

    Args:
        parts: of the URL.
        where: the database, for messages.
        allowed: the options that there are.
        further: what else may be done instead, for people.

    Raises:
        ConfigError: there is no such option, or the text is no list of options.
    """
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:  # its text quotes what it cannot read
        raise ConfigError(f"{where}: its options cannot be read: ?name=value&name=value is their form") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            listed = f"{', '.join(allowed)} are allowed{further}"
            raise ConfigError(f"{where}: {shown(name)!r} is no option of the URL: {listed}")
        found[name] = value or found.get(name, "")
    return found


def shown(word: str) -> str:
    """The name of an option, or a value that should be one of a few words, for messages: hidden if it is no word."""
    return word if re.fullmatch(r"[\w.-]{0,40}", word) else "***"
