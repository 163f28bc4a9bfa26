"""The URL of a PostgreSQL database, checked before the driver sees it. Needs no driver, connects to nothing.

The driver takes an option that it does not know for a setting of the session: a mistyped ``sslmode`` would be told by
the server alone.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote

from orderway.errors import ConfigError
from orderway.sql.network.url import database_of, options_of, parts_of, shown, unreadable

__all__ = ["PostgresqlUrl", "read_url"]

_FORM = "postgresql://user:password@host:port/name"
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_WORDS = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "read-write", "standby", "prefer-standby", "read-only"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "gsslib": ("gssapi", "sspi"),
}
"""The options that have one of a few values."""
_INSISTING = ("require", "verify-ca", "verify-full")
_FILES = ("sslrootcert", "sslcrl", "sslcert", "sslkey")
_FREE = ("host", "port", "user", "password", "passfile", "service", "sslpassword", "krbsrvname")
_SETTINGS = ("application_name", "options", "role", "search_path", "statement_timeout")
"""Of the session. ``options`` sets any other one."""
_ALLOWED = (*_WORDS, *_FILES, *_FREE, *_SETTINGS)
_FURTHER = "; any other setting of a session as options=-c%20name%3Dvalue"
_HOST = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]*)(?::(\d*))?", re.ASCII)
_SOCKET = ".s.PGSQL."


@dataclass(frozen=True, slots=True)
class PostgresqlUrl:
    """What a URL says.

    Args:
        url: as it was given, for the driver.
        where: for messages, without the password: which hosts and ports the driver goes to, and the database. A socket
            is its file.
        options: what stands behind the question mark and is not empty; a password may be among it.
        files: those of the options that name a file for TLS which the driver reads.
    """

    url: str = field(repr=False)
    where: str
    options: Mapping[str, str] = field(repr=False)
    files: Sequence[str]

    @property
    def own_name(self) -> dict[str, str]:
        """The setting that gives the sessions another name than ours, if there is one."""
        return {name: value for name, value in self.options.items() if name == "application_name"}

    def check_files(self) -> None:
        """See that the files which the driver reads, as the options say, can be read.

        Raises:
            ConfigError: one cannot.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for name in self.files:
            path = self.options[name]
            try:
                self._try(context, name, path)
            except OSError as error:
                raise ConfigError(
                    f"{self.where}: {name}={path} cannot be read, a file of PEM is expected (a key unencrypted, or"
                    f" with its sslpassword): {error}"
                ) from None

    def _try(self, context: ssl.SSLContext, name: str, path: str) -> None:
        if name in ("sslrootcert", "sslcrl"):
            context.load_verify_locations(cafile=path)
        elif name == "sslkey" and "sslcert" in self.options:
            # Without a password here, the terminal would be asked for that of an encrypted key.
            password = self.options.get("sslpassword", "")
            context.load_cert_chain(self.options["sslcert"], path, password=password)
        else:  # the other half may be a file that the driver finds by itself
            with open(path, "rb"):
                pass


def read_url(url: str) -> PostgresqlUrl:
    """Read a URL; see ``PostgresqlServer``.

    Raises:
        ConfigError: it is not of its form, an option is wrong, or a file that one names cannot be read.
    """
    parts = parts_of(url, _FORM, logins=("user",))
    hosts = _hosts_of(parts, dict(parse_qsl(parts.query)))
    place = f"postgresql://{','.join(hosts)}"
    where = f"{place}/{database_of(parts, place, _FORM)}"
    given = options_of(parts, where, _ALLOWED, _FURTHER)
    if given.get("sslmode") == "":  # the driver leaves it out, as any other: nobody should be without TLS by mistake
        raise ConfigError(f"{where}: sslmode has no value: give it one, or leave it out")
    options = {name: value for name, value in given.items() if value}
    _check_values(options, where)
    found = PostgresqlUrl(url, where, options, _files_of(options, hosts))
    found.check_files()
    return found


def _check_values(options: Mapping[str, str], where: str) -> None:
    for name, value in options.items():
        if name in _WORDS and value not in _WORDS[name]:
            raise ConfigError(f"{where}: {name}={shown(value)}: {', '.join(_WORDS[name])} are allowed")
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", options.get("port", "5432"), re.ASCII):
        raise ConfigError(f"{where}: port={shown(options['port'])}: a number is allowed, or one for each host (1,2)")
    if options.get("sslnegotiation") == "direct" and options.get("sslmode") not in _INSISTING:
        raise ConfigError(f"{where}: sslnegotiation=direct needs sslmode={', '.join(_INSISTING)}")


def _files_of(options: Mapping[str, str], hosts: Sequence[str]) -> list[str]:
    """Those of the options that name a file for TLS which the driver reads."""
    if "service" in options and "sslmode" not in options:  # the file of services may say it
        return []
    is_network = not all(host.startswith("/") for host in hosts)
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE") or ("prefer" if is_network else "disable")
    if mode == "disable":
        return []
    # Where TLS is not insisted on, nobody is verified.
    read = _FILES if mode in _INSISTING else ("sslcert", "sslkey")
    return [name for name in read if name in options and (name != "sslkey" or _has_certificate(options))]


def _has_certificate(options: Mapping[str, str]) -> bool:
    """Whether there is a certificate of our own; the driver reads its key with it only."""
    if "sslcert" in options or os.environ.get("PGSSLCERT"):
        return True
    try:
        return (Path.home() / ".postgresql" / "postgresql.crt").exists()
    except RuntimeError:  # there is no home
        return False


def _hosts_of(parts: SplitResult, options: Mapping[str, str]) -> list[str]:
    """Where the driver goes: the hosts with their ports, and the files of sockets.

    It takes the hosts before the name, and looks at no option then; else those of the options, of a service, or of the
    environment, whose own ports the option ``port`` replaces.

    Raises:
        ConfigError: hosts or ports cannot be read, or are not of the same number.
    """
    authority = parts.netloc.rpartition("@")[2]
    port = "" if authority else options.get("port", "")
    named = authority or options.get("host", "")
    if not named and "service" in options:
        return [f"service={options['service']}{port and f':{port}'}"]
    # Without any, the driver tries the sockets of this machine, and then its network.
    hosts = (named or os.environ.get("PGHOST") or "localhost").split(",")
    try:
        each = (port or os.environ.get("PGPORT") or "5432").split(",")
        ports = each * len(hosts) if len(each) == 1 else each
        found = [_host_and_port(host) for host in hosts]
        decoded = unquote if authority else str
        return [
            _address(decoded(host), default if port else own or default)
            for (host, own), default in zip(found, ports, strict=True)
        ]
    except ValueError:  # its text may quote a part of the password
        if authority and not os.environ.get("PGPORT"):
            raise unreadable(_FORM) from None
    raise ConfigError(
        "a postgresql:// URL has hosts or ports that cannot be read: host=one,two is allowed with one port for all, or"
        " with one for each (port=1,2); PGHOST and PGPORT stand in for what it does not say"
    )


def _host_and_port(text: str) -> tuple[str, str]:
    """A host, and the port that stands behind it, or "".

    Raises:
        ValueError: it is none.
    """
    if text.startswith("/"):
        return text, ""
    found = _HOST.fullmatch(text)
    if not text or found is None:
        raise ValueError
    return found[1], found[2] or ""


def _address(host: str, port: str) -> str:
    """Host and port as they stand in a URL, or the file of the socket.

    Raises:
        ValueError: there is no such port, or this is no host.
    """
    number = int(port)
    if not 0 < number < 65_536:
        raise ValueError
    if host.startswith("/"):
        return os.path.abspath(host if _SOCKET in host else f"{host}/{_SOCKET}{number}")
    if not host.startswith("[") and re.search("[@:]", host):  # a login that was encoded as a whole
        raise ValueError
    return f"{host.lower() or 'localhost'}:{number}"
