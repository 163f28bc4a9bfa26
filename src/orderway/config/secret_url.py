"""URLs that hold a password: how they are checked, and how they are shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import Secret

__all__ = [
    "DATABASE_FORMS",
    "QUEUE_FORMS",
    "REDIS_FORMS",
    "SecretUrl",
    "check_database_url",
    "check_redis_url",
    "mask",
    "shown_name",
    "shown_text",
]

HIDDEN = "***"

DATABASE_FORMS = {
    "sqlite": "sqlite:///orders.db",
    "postgresql": "postgresql://user:password@host:5432/name",
    "postgres": "postgresql://user:password@host:5432/name",
    "mysql": "mysql://user:password@host:3306/name",
    "mariadb": "mariadb://user:password@host:3306/name",
    "memory": "memory://",
}
"""The form of each database's URL, by its scheme."""

REDIS_FORMS = {"redis": "redis://user:password@host:6379/0", "rediss": "rediss://user:password@host:6379/0"}

QUEUE_FORMS = {
    "pulsar": "pulsar://host:6650/tenant/namespace/topic?subscription=order",
    "rabbitmq": "amqp://user:password@host:5672/vhost?queue=order",
}
"""The form of each queue's URL, by its kind."""

_SCHEMES = {*DATABASE_FORMS, *REDIS_FORMS, "pulsar", "pulsar+ssl", "amqp", "amqps", "http", "https"}
_PLACE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]*)(:\d+)?(,[\w.-]+(:\d+)?)*(/[^?#:]*)?")
_USER = re.compile(r"[\w.%+~!-]*")
_LOGIN = re.compile(r":.*@", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"pass|pwd|secret|token|key|auth", re.IGNORECASE)
_SECRET_PAIR = re.compile(rf"({_SECRET_PARAMETER.pattern})\w*\s*[=:]", re.IGNORECASE)
_NAME = re.compile(r"[\w. -]{1,80}")
_ENCODE = "what is special in a user or a password (@ : / ? # %) must be percent-encoded, `@` as `%40`"


class SecretUrl(Secret[str]):
    """A URL whose password shows nowhere; ``get_secret_value`` gives it whole."""

    def _display(self) -> str:
        return mask(self.get_secret_value())


def mask(url: str) -> str:
    """A URL fit to be shown: the password, and whatever might be a part of one, is replaced by ``***``.

    The text may be no URL at all, or one whose password was not encoded: what lies before the last ``@`` is never shown
    but for a plain user's name.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        return HIDDEN
    if scheme in {"sqlite", "memory"}:  # a file has no password, but the scheme may be mistaken
        return f"{scheme}://{HIDDEN}" if _LOGIN.search(rest) else url
    userinfo, at, place = rest.rpartition("@")
    address, question, query = place.partition("?")
    if not _PLACE.fullmatch(address):
        return f"{scheme}://{HIDDEN}"
    user, colon, _ = userinfo.partition(":")
    shown = (user if _USER.fullmatch(user) else HIDDEN) + (f":{HIDDEN}" if colon else "")
    return f"{scheme}://{shown}{at}{address}{question}{_mask_query(query)}"


def shown_text(text: str) -> str:
    """A text that is to hold no secret, fit to be shown: a URL or a login at the wrong place is masked."""
    return mask(text) if "://" in text or "@" in text or _SECRET_PAIR.search(text) else text


def shown_name(name: str) -> str:
    """The name of a key, fit to be shown: what no key looks like may be a secret at the wrong place."""
    return name if _NAME.fullmatch(name) else mask(name)


def check_database_url(url: str) -> None:
    """Find what is wrong with a database's URL, without connecting.

    Raises:
        ValueError: says what, without the password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in DATABASE_FORMS:
        forms = ", ".join(dict.fromkeys(DATABASE_FORMS.values()))
        raise ValueError(f"{mask(url)} is no URL of a database; allowed are {forms}")
    if scheme == "memory":
        if rest:
            raise ValueError("memory:// is allowed only as it stands, without a name")
        return
    if scheme == "sqlite":
        if not rest.startswith("/") or rest in {"/", "/:memory:"}:
            raise ValueError(f"{mask(url)} names no file; allowed are sqlite:///relative.db and sqlite:////absolute.db")
        return
    path = _path_of(url, DATABASE_FORMS[scheme])
    if len(path) < 2:
        raise ValueError(f"{mask(url)} names no database; its form is {DATABASE_FORMS[scheme]}")


def check_redis_url(url: str) -> None:
    """Find what is wrong with the URL of a Redis, without connecting.

    Raises:
        ValueError: says what, without the password.
    """
    scheme = url.partition("://")[0]
    if scheme not in REDIS_FORMS:
        raise ValueError(f"{mask(url)} is no URL of a Redis; its form is {REDIS_FORMS['redis']}")
    path = _path_of(url, REDIS_FORMS[scheme])
    if not re.fullmatch(r"(/\d*)?", path):
        raise ValueError(f"{mask(url)}: a Redis has numbers for databases; its form is {REDIS_FORMS[scheme]}")


def _path_of(url: str, form: str) -> str:
    """The path of a URL whose parts can be told from each other."""
    problem = ""
    try:
        parts = urlsplit(url)
        places = [urlsplit(f"//{place}") for place in parts.netloc.rpartition("@")[2].split(",")]
        hosts = [(place.hostname, place.port) for place in places]
    except ValueError:  # its text quotes a part of the URL
        problem = _ENCODE
    else:
        if "@" in parts.path or parts.fragment or parts.netloc.count("@") > 1 or re.search(r"%(?![0-9a-fA-F]{2})", url):
            problem = _ENCODE
        elif not all(host for host, _ in hosts) and "host=" not in parts.query:
            problem = "it names no host"
    if problem:  # raised outside of the handler, so that no traceback chains the quoting error
        raise ValueError(f"{mask(url)} cannot be read: {problem}; its form is {form}")
    return parts.path


def _mask_query(query: str) -> str:
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(
        f"{name}{equals}{HIDDEN if equals and _SECRET_PARAMETER.search(name) else value}"
        for name, equals, value in pairs
    )
