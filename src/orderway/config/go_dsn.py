"""Connection texts of Go's drivers, as the original's configuration holds them, turned into URLs.

A password stands in them as it is, not encoded; no error quotes it.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode

__all__ = ["DRIVERS", "url_of_source"]

MYSQL_FORM = "user:password@tcp(host:3306)/name?charset=utf8mb4"
POSTGRES_FORM = "host=... port=5432 user=... password=... dbname=..."
_NO_SOCKET = "names a Unix socket, which is not supported; name the host and the port"

# What these say, Orderway decides itself: it writes utf8mb4 and UTC, and has time limits of its own.
_MYSQL_UNUSED = {
    *("allowcleartextpasswords", "allowfallbacktoplaintext", "allownativepasswords", "allowoldpasswords"),
    *("checkconnliveness", "clientfoundrows", "collation", "columnswithalias", "connectionattributes"),
    *("interpolateparams", "loc", "maxallowedpacket", "multistatements", "parsetime", "readtimeout"),
    *("rejectreadonly", "timeout", "timetruncate", "writetimeout"),
}
_POSTGRES_UNUSED = {"timezone", "client_encoding", "connect_timeout", "binary_parameters", "fallback_application_name"}
_POSTGRES_KEPT = {"sslmode", "sslrootcert", "sslcert", "sslkey", "application_name"}
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)", re.DOTALL)


def url_of_source(driver: str, source: str) -> str:
    """The URL for a ``Driver`` and its ``Source``.

    Raises:
        ValueError: the source cannot be read, or asks for what is not supported; nothing of it is quoted.
    """
    return _BY_DRIVER[driver](source)


def _mysql(source: str) -> str:
    # As go-sql-driver/mysql reads it: the last `/` ends the address, the last `@` before it the password.
    left, slash, right = source.rpartition("/")
    name, _, query = right.partition("?")
    login, _, address = left.rpartition("@")
    user, _, password = login.partition(":")
    found = re.fullmatch(r"(\w*)(?:\((.*)\))?", address)
    if source.startswith(("mysql://", "mariadb://")):
        raise ValueError(
            f"is a URL, not what Go's driver takes; its form is {MYSQL_FORM}, and URLs belong in `databases`"
        )
    if not slash or found is None or not name:
        raise ValueError(f"cannot be read; its form is {MYSQL_FORM}")
    _check_mysql_parameters(query)
    named = f"mysql://{_login(user, password)}"
    if found[1] == "unix":
        return f"{named}localhost/{quote(unquote(name), safe='')}?unix_socket={quote(found[2] or '/tmp/mysql.sock')}"
    if found[1] not in {"", "tcp"}:
        raise ValueError(f"names a network that is not supported; its form is {MYSQL_FORM}")
    return f"{named}{_address(found[2] or '127.0.0.1', 3306)}/{quote(unquote(name), safe='')}"


def _check_mysql_parameters(query: str) -> None:
    for name, value in parse_qsl(query, keep_blank_values=True):
        lower = name.lower()
        if lower == "charset":
            if not {each.strip().lower() for each in value.split(",")} & {"utf8mb4", "utf8"}:
                raise ValueError("has another charset than utf8mb4, which Orderway writes; leave it out")
        elif lower == "tls":
            if value.lower() != "false":
                raise ValueError(
                    "asks for TLS in Go's way; name the database in `databases`, with ?ssl=true (?ssl_verify=false for"
                    " skip-verify and preferred)"
                )
        elif lower not in _MYSQL_UNUSED:
            raise ValueError(
                f"has the parameter {_name(name)}, which sets a variable of the session; Orderway sets its own"
            )


def _postgres(source: str) -> str:
    if source.startswith(("postgres://", "postgresql://")):
        address, question, query = source.partition("?")
        kept = _kept_parameters(dict(parse_qsl(query, keep_blank_values=True))) if question else ""
        return f"postgresql://{address.partition('://')[2]}{kept}"
    found: dict[str, str] = {}
    end = 0
    for match in _PAIR.finditer(source):
        if match.start() != end:
            break
        end = match.end()
        value = match[2][1:-1] if match[2].startswith("'") else match[2]
        found[match[1].lower()] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
    if source[end:].strip() or "dbname" not in found:
        raise ValueError(f"cannot be read; its forms are {POSTGRES_FORM} and postgres://user:password@host:5432/name")
    host, port = found.pop("host", "localhost"), found.pop("port", "5432")
    user, password, name = found.pop("user", ""), found.pop("password", ""), found.pop("dbname")
    if host.startswith("/"):
        raise ValueError(_NO_SOCKET)
    address = _address(host if ":" not in host else f"[{host}]", int(port) if port.isascii() and port.isdigit() else 0)
    return f"postgresql://{_login(user, password)}{address}/{quote(name, safe='')}{_kept_parameters(found)}"


def _kept_parameters(parameters: dict[str, str]) -> str:
    unknown = [name for name in parameters if name.lower() not in _POSTGRES_KEPT | _POSTGRES_UNUSED]
    if unknown:
        raise ValueError(f"has the parameter {_name(unknown[0])}, which is not supported")
    kept = {name: value for name, value in parameters.items() if name.lower() in _POSTGRES_KEPT}
    return f"?{urlencode(kept)}" if kept else ""


def _sqlite(source: str) -> str:
    path, _, query = source.removeprefix("file:").partition("?")
    for name, value in parse_qsl(query, keep_blank_values=True):
        # Pragmas are Orderway's own: WAL, synchronous=FULL.
        if not name.startswith("_") and (name, value) not in {
            ("cache", "shared"),
            ("cache", "private"),
            ("mode", "rwc"),
        }:
            raise ValueError(f"has the parameter {_name(name)}, which is not supported")
    if not path or path == ":memory:":
        raise ValueError("names no file; orders must outlive the process")
    return f"sqlite:///{path}"


def _login(user: str, password: str) -> str:
    if not user and not password:
        return ""
    return quote(user, safe="") + (f":{quote(password, safe='')}" if password else "") + "@"


def _address(address: str, default_port: int) -> str:
    host, port = address, default_port
    found = re.fullmatch(r"(.*?)(?::(\d+))?", address) if "]" not in address or "]:" in address else None
    if found and found[2]:
        host, port = found[1], int(found[2])
    if not re.fullmatch(r"\[[0-9a-fA-F:.]+\]|[\w.-]+", host) or not 0 < port < 65_536:
        raise ValueError("names no host and port that can be read; a name or an address, and 1 to 65535 are allowed")
    return f"{host}:{port}"


def _name(name: str) -> str:
    """A parameter's name, if it can be nothing else: a password that holds `?` may end up in its place."""
    return name if re.fullmatch(r"[A-Za-z_]{1,40}", name) else "***"


_BY_DRIVER = {
    "mysql": _mysql,
    "postgres": _postgres,
    "postgresql": _postgres,
    "sqlite3": _sqlite,
    "sqllite3": _sqlite,  # as the component's own readme spells it
}
DRIVERS = tuple(_BY_DRIVER)
"""The drivers that are known."""
