"""The URL of a PostgreSQL database, checked before the driver sees it. Needs no driver, connects to nothing.

The driver takes an option that it does not know for a setting of the session: a mistyped ``sslmode`` would be told by
the server alone.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

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
_FILES = ("sslrootcert", "sslcrl", "sslcert", "sslkey")
_FREE = ("host", "port", "user", "password", "service", "sslpassword", "krbsrvname")
_SETTINGS = ("application_name", "options", "role", "search_path", "statement_timeout")
"""Of the session. ``options`` sets any other one."""
_ALLOWED = (*_WORDS, *_FILES, *_FREE, *_SETTINGS)
_FURTHER = "; any other setting of a session as options=-c%20name%3Dvalue"


@dataclass(frozen=True, slots=True)
class PostgresqlUrl:
    """What a URL says.

    Args:
        url: as it was given, for the driver.
        where: the same for messages, without the password.
        options: what stands behind the question mark; a password may be among it.
    """

    url: str = field(repr=False)
    where: str
    options: Mapping[str, str] = field(repr=False)

    @property
    def own_name(self) -> dict[str, str]:
        """The setting that gives the sessions another name than ours, if there is one."""
        return {name: value for name, value in self.options.items() if name == "application_name"}

    def check_files(self) -> None:
        """See that the files which the options name can be read.

        Raises:
            ConfigError: one cannot.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for name in _FILES:
            if path := self.options.get(name):
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
    parts = parts_of(url, _FORM)
    try:
        hosts = ",".join(map(_host_of, parts.netloc.rpartition("@")[2].split(",")))
    except ValueError:  # its text may quote a part of the password
        raise unreadable(_FORM) from None
    place = f"postgresql://{hosts}"
    where = f"{place}/{database_of(parts, place, _FORM)}"
    found = PostgresqlUrl(url, where, options_of(parts, where, _ALLOWED, _FURTHER))
    _check_values(found.options, where)
    found.check_files()
    return found


def _check_values(options: Mapping[str, str], where: str) -> None:
    for name, value in options.items():
        if not value:  # which the driver leaves out, or cannot read
            raise ConfigError(f"{where}: {name} has no value: give it one, or leave it out")
        if name in _WORDS and value not in _WORDS[name]:
            raise ConfigError(f"{where}: {name}={shown(value)}: {', '.join(_WORDS[name])} are allowed")
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", options.get("port", "5432"), re.ASCII):
        raise ConfigError(f"{where}: port={shown(options['port'])}: a number is allowed, or one for each host (1,2)")
    if options.get("sslnegotiation") == "direct" and options.get("sslmode") not in _WORDS["sslmode"][3:]:
        raise ConfigError(f"{where}: sslnegotiation=direct needs sslmode={', '.join(_WORDS['sslmode'][3:])}")


def _host_of(place: str) -> str:
    """Host and port, as they stand in a URL.

    Raises:
        ValueError: this is no host, or no port.
    """
    parts = urlsplit(f"//{place}")
    host = parts.hostname or "localhost"
    return f"[{host}]:{parts.port or 5432}" if ":" in host else f"{host}:{parts.port or 5432}"
