"""What is set for RabbitMQ, by a URL or by its parts, checked before any connection is made."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from orderway.errors import ConfigError

__all__ = ["CLASSIC", "QUORUM", "Rabbitmq"]

FORM = "amqp://user:password@host:5672/vhost?queue=order"
CLASSIC, QUORUM = "classic", "quorum"
_PORTS = {"amqp": 5672, "amqps": 5671}
_HOST = re.compile(r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]*|[\w.-]+", re.ASCII)
_QUEUE = re.compile(r"(?!amq\.)[\w.:-]{1,128}", re.ASCII)
"""Part of other names too, of which RabbitMQ allows 255 bytes; those with ``amq.`` are its own."""
_NUMBER = re.compile(r"\d{1,4}(\.\d{1,6})?")
_BADLY_ENCODED = re.compile(r"%(?![0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Rabbitmq:
    """Where the queue of the hints is, and how it is used. Its password shows in no repr, log or error.

    Args:
        host: a name or an address.
        port: of AMQP 0-9-1.
        user: who may configure, write and read what is named after the queue.
        password: of that user.
        vhost: the virtual host.
        queue: the queue's name; what belongs to it is named ``<queue>.dead``, ``<queue>.delay.0`` and so on.
        queue_type: ``classic``, on one node, or ``quorum``, for a cluster: on most of its nodes. An existing queue
            stays what it is, and is refused if it is of the other type.
        tls: whether to speak TLS, and verify the server's certificate and name.
        tls_trust_certs: a file of certificates to trust; "" for those that the system trusts.
        prefetch: so many messages the server hands to a receiver before the first of them is settled.
        answer_within_s: a server that takes longer to answer is taken to be down.

    Raises:
        ConfigError: one of them is not of its form.
    """

    host: str = "localhost"
    port: int = 5672
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    vhost: str = "/"
    queue: str = "order"
    queue_type: str = CLASSIC
    tls: bool = False
    tls_trust_certs: str = ""
    prefetch: int = 100
    answer_within_s: float = 5.0

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host) or not 1 <= self.port <= 65_535:
            raise ConfigError(f"the address of RabbitMQ cannot be read; its form is {FORM}, or amqps://")
        if not _QUEUE.fullmatch(self.queue):
            raise ConfigError(
                f"{self.queue[:40]!r} is no name for a queue: up to 128 letters, digits and _ . : - are allowed,"
                " without amq. at the beginning"
            )
        if self.queue_type not in (CLASSIC, QUORUM):
            raise ConfigError(f"queue_type is {self.queue_type[:40]!r}: {CLASSIC} and {QUORUM} are allowed")
        if not 1 <= self.prefetch <= 10_000:
            raise ConfigError(f"prefetch is {self.prefetch}: 1 to 10,000 are allowed")
        if not 0.1 <= self.answer_within_s <= 60:
            raise ConfigError(f"answer_within_s is {self.answer_within_s:g}: 0.1 to 60 are allowed")

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The options in ``amqp://user:password@host:5672/vhost?queue=order``; ``amqps://`` for TLS.

        Only the host is needed. Without a path, or with ``/``, the virtual host is ``/``. The other parameters are
        ``queue_type=quorum``, ``prefetch=100``, ``answer_within_s=5`` and ``tls_trust_certs=/path``.

        Raises:
            ConfigError: the URL cannot be read; the text quotes no secret.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:  # its text quotes a part of the URL
            raise _unreadable() from None
        if parts.scheme not in _PORTS or not parts.hostname or parts.fragment or "@" in parts.path + parts.query:
            raise _unreadable()
        if _BADLY_ENCODED.search(url) or "/" in parts.path[1:]:
            raise _unreadable()
        return cls(
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            user=unquote(parts.username or "guest"),
            password="guest" if parts.password is None else unquote(parts.password),
            vhost=unquote(parts.path[1:]) or "/",
            tls=parts.scheme == "amqps",
            **_parameters(parameters),
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """How to speak TLS; None without.

        Raises:
            ConfigError: the certificates to trust cannot be read.
        """
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.tls_trust_certs or None)
        except OSError as error:
            raise ConfigError(
                f"tls_trust_certs is {self.tls_trust_certs!r}: {error}; a file of PEM is needed"
            ) from error

    @property
    def address(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def where(self) -> str:
        """The queue, for people."""
        vhost = "" if self.vhost == "/" else f"/{self.vhost}"
        return f"{'amqps' if self.tls else 'amqp'}://{self.address}{vhost}?queue={self.queue}"


def _parameters(given: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        match name:
            case "queue" | "queue_type" | "tls_trust_certs":
                found[name] = value
            case "prefetch" if _NUMBER.fullmatch(value) and value.isdecimal():
                found[name] = int(value)
            case "answer_within_s" if _NUMBER.fullmatch(value):
                found[name] = float(value)
            case "prefetch" | "answer_within_s":
                raise ConfigError(f"{name}={value[:40]!r} in the URL of RabbitMQ: a number is allowed")
            case _:
                raise ConfigError(
                    f"{name[:40]!r} is no parameter in the URL of RabbitMQ: queue, queue_type, prefetch,"
                    " answer_within_s and tls_trust_certs are allowed"
                )
    return found


def _unreadable() -> ConfigError:
    return ConfigError(
        f"the URL of RabbitMQ cannot be read; its form is {FORM}, or amqps://, and what is special in a password or"
        " virtual host is percent-encoded"
    )
