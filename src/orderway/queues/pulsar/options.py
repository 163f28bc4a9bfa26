"""What is set for Pulsar, by a URL or by its parts, checked before any connection is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from orderway.errors import ConfigError

__all__ = ["Pulsar"]

FORM = "pulsar://host:6650/tenant/namespace/topic?subscription=order"
_SCHEMES = ("pulsar", "pulsar+ssl")
_HOSTS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(,(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?)*")
_NAME = re.compile(r"[\w=:.-]{1,128}", re.ASCII)
"""What Pulsar allows in the name of a tenant, a namespace or a subscription."""
_BADLY_ENCODED = re.compile(r"%(?![0-9a-fA-F]{2})")
_YES_NO = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Pulsar:
    """Where the topic of the hints is, and how it is used. Its token shows in no repr, log or error.

    Args:
        service_url: ``pulsar://host:6650`` or ``pulsar+ssl://host:6651``; several hosts with commas between.
        tenant: of the topic.
        namespace: of the topic.
        topic: by itself.
        subscription: which all workers share.
        token: for a broker that authenticates by tokens; "" for one that does not.
        user: for a broker that authenticates by user and password; "" for one that does not.
        password: of that user.
        tls_trust_certs: a file of certificates to trust; "" for those that Python's ``certifi`` trusts.
        delays: False for a broker that does not hold messages back.
        answer_within_s: whole seconds; a broker that takes longer to answer is taken to be down.
        prefetch: so many messages a receiver has fetched before the first of them is settled; one that is frozen keeps
            them from the others until the broker misses it.
        dead_letters: the topic of the dead letters, by itself, in the same namespace; "" for Pulsar's own convention.
        listener: the advertised listener by which the brokers are reached; "" where they have only one.

    Raises:
        ConfigError: one of them is not of its form.
    """

    service_url: str = "pulsar://localhost:6650"
    tenant: str = "public"
    namespace: str = "default"
    topic: str = "order"
    subscription: str = "order"
    token: str = field(default="", repr=False)
    tls_trust_certs: str = ""
    delays: bool = True
    answer_within_s: int = 5
    user: str = ""
    password: str = field(default="", repr=False)
    prefetch: int = 64
    dead_letters: str = ""
    listener: str = ""

    def __post_init__(self) -> None:
        scheme, _, hosts = self.service_url.partition("://")
        if scheme not in _SCHEMES or not _HOSTS.fullmatch(hosts):
            raise ConfigError(f"the address of Pulsar cannot be read; its form is {FORM}, or pulsar+ssl://")
        for what in ("tenant", "namespace", "topic", "subscription", "dead_letters", "listener"):
            name = getattr(self, what)
            if not _NAME.fullmatch(name) and (name or what not in ("dead_letters", "listener")):
                raise ConfigError(
                    f"{name[:40]!r} is no {what.replace('_', ' ')} of Pulsar: letters, digits and _ = : . - are allowed"
                )
        if self.dead_letter_topic == self.full_topic:
            raise ConfigError(f"dead_letters is {self.topic}, the topic of the hints: they need a topic of their own")
        if not 1 <= self.answer_within_s <= 60:
            raise ConfigError(f"answer_within_s is {self.answer_within_s}: 1 to 60 whole seconds are allowed")
        if not 1 <= self.prefetch <= 10_000:
            raise ConfigError(f"prefetch is {self.prefetch}: 1 to 10,000 are allowed")
        if self.token and self.user:
            raise ConfigError("Pulsar is given a token and a user: one of them is allowed")

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The options in ``pulsar://host:6650/tenant/namespace/topic?subscription=order``.

        Only the host is needed. ``/topic`` alone is one of ``public/default``. ``user:password@`` before the host
        authenticates by both; ``:token@``, or ``token=`` among the parameters, by a token. The other parameters are
        ``delays=yes`` or ``no``, ``answer_within_s=5``, ``prefetch=64``, ``dead_letters=topic``, ``listener=name``
        and ``tls_trust_certs=/path``.

        Raises:
            ConfigError: the URL cannot be read; the text quotes no secret.
        """
        try:
            parts = urlsplit(url)
            parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:  # its text quotes a part of the URL
            parts = None
        if parts is None or "@" in parts.path or parts.fragment or _BADLY_ENCODED.search(url):
            raise ConfigError(
                f"the URL of Pulsar cannot be read; its form is {FORM}, and what is special in a token or"
                " password is percent-encoded"
            )
        userinfo, _, hosts = parts.netloc.rpartition("@")
        user, _, secret = userinfo.partition(":")
        options: dict[str, Any] = {
            "service_url": f"{parts.scheme}://{hosts}",
            **({"user": unquote(user), "password": unquote(secret)} if user else {"token": unquote(secret)}),
            **_place(parts.path),
            **_parameters(parameters),
        }
        return cls(**options)

    @property
    def full_topic(self) -> str:
        """The topic as Pulsar names it everywhere."""
        return f"persistent://{self.tenant}/{self.namespace}/{self.topic}"

    @property
    def dead_letter_topic(self) -> str:
        """Where dead letters go."""
        own = self.dead_letters or f"{self.topic}-{self.subscription}-DLQ"
        return f"persistent://{self.tenant}/{self.namespace}/{own}"

    @property
    def where(self) -> str:
        """The topic and subscription, for people."""
        path = f"{self.tenant}/{self.namespace}/{self.topic}"
        return f"{self.service_url}/{path}?subscription={self.subscription}"


def _place(path: str) -> dict[str, str]:
    names = [unquote(name) for name in path.strip("/").split("/")] if path.strip("/") else []
    if len(names) not in (0, 1, 3):
        raise ConfigError(
            f"the path {path[:80]!r} is no topic of Pulsar: /topic or /tenant/namespace/topic are allowed"
        )
    return dict(zip(("tenant", "namespace", "topic")[-len(names) :], names, strict=True)) if names else {}


def _parameters(given: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        match name:
            case "subscription" | "token" | "tls_trust_certs" | "dead_letters" | "listener":
                found[name] = value
            case "delays" if value in _YES_NO:
                found[name] = _YES_NO[value]
            case "answer_within_s" | "prefetch" if re.fullmatch(r"[0-9]{1,5}", value):
                found[name] = int(value)
            case "delays" | "answer_within_s" | "prefetch":
                allowed = {"delays": "yes and no", "prefetch": "1 to 10,000"}.get(name, "1 to 60 whole seconds")
                raise ConfigError(f"{name}={value[:40]!r} in the URL of Pulsar: {allowed} are allowed")
            case _:
                raise ConfigError(
                    f"{name[:40]!r} is no parameter in the URL of Pulsar: subscription, token, delays, answer_within_s,"
                    " prefetch, dead_letters, listener and tls_trust_certs are allowed"
                )
    return found
