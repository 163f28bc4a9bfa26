"""What is set for Redis, checked before any connection is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from orderway.errors import ConfigError

__all__ = ["Redis", "mask"]

_PLACEHOLDER = re.compile(r"<([^<>]*)>")
_SCHEMES = ("redis", "rediss")
_PLACE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)?(:\d+)?")


@dataclass(frozen=True, slots=True)
class Redis:
    """Where Redis is, and what it is used for: ``App(url, redis=Redis("redis://localhost:6379/0"))``.

    Its password shows in no repr, log or error.

    Raises:
        ConfigError: an option is out of its bounds, or a key format has a placeholder too many or too few.
    """

    url: str = field(repr=False)
    lock: bool = True
    lock_key_format: str = "order:lock:op:<order_id>"
    lock_expire_s: float = 30.0
    sequence: bool = True
    sequence_key_format: str = "order:seqno:<order_type>:<shard_num>"
    sequence_block: int = 1
    answer_within_s: float = 0.2
    most_connections: int = 16

    def __post_init__(self) -> None:
        if self.url.partition("://")[0] not in _SCHEMES:
            raise ConfigError(
                f"redis.url {mask(self.url)!r} is no address of a Redis: redis://host:6379/0 and rediss://host:6379/0"
                " are allowed, with user:password@ before the host"
            )
        _check_format("redis.lock_key_format", self.lock_key_format, needed={"order_id"}, allowed={"order_id"})
        _check_format(
            *("redis.sequence_key_format", self.sequence_key_format),
            needed={"order_type"},
            allowed={"order_type", "shard_num"},
        )
        _check_bounds("redis.lock_expire_s", self.lock_expire_s, 0.1, 86_400)
        _check_bounds("redis.sequence_block", self.sequence_block, 1, 1_000_000)
        _check_bounds("redis.answer_within_s", self.answer_within_s, 0.001, 60)
        _check_bounds("redis.most_connections", self.most_connections, 1, 1_000)
        if self.answer_within_s * 3 >= self.lock_expire_s:
            raise ConfigError(
                f"redis.answer_within_s is {self.answer_within_s}: a lock of {self.lock_expire_s} s is renewed after a"
                f" third of that, and needs its answer sooner; less than {self.lock_expire_s / 3:g} is allowed"
            )


def mask(url: str) -> str:
    """The address of a Redis without user, password and query: fit to be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may quote a part of the password
        return "***"
    place = parts.netloc.rpartition("@")[2]
    readable = parts.scheme and _PLACE.fullmatch(place) and "@" not in parts.path + parts.query + parts.fragment
    return f"{parts.scheme}://{place}{parts.path}" if readable else "***"


def _check_format(key: str, text: str, *, needed: set[str], allowed: set[str]) -> None:
    found = set(_PLACEHOLDER.findall(text))
    shown = mask(text) if "://" in text or "@" in text else text  # a URL at the wrong key
    if unknown := sorted(found - allowed):
        name = unknown[0] if shown == text else "***"
        raise ConfigError(f"{key} {shown!r} has the unknown placeholder <{name}>: {_list(allowed)} are allowed")
    if missing := sorted(needed - found):
        raise ConfigError(f"{key} {shown!r} lacks <{missing[0]}>: without it, all would share one key in Redis")


def _check_bounds(key: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{key} is {value}: {least:g} to {most:,} are allowed")


def _list(placeholders: set[str]) -> str:
    return ", ".join(f"<{name}>" for name in sorted(placeholders))
