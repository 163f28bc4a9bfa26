"""Everything that an App can be told by configuration, as one checked and immutable object."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from orderway.adapters import where_of
from orderway.config.secret_url import QUEUE_FORMS, SecretUrl, check_database_url, check_redis_url, mask, shown_text
from orderway.errors import ConfigError

if TYPE_CHECKING:
    from orderway.redis import Redis

__all__ = ["KEYS", "SECTIONS", "ConnectionSettings", "QueueSettings", "RedisSettings", "Settings", "WorkerSettings"]

_WALLET = re.compile(r"[a-z0-9_]{1,32}")


def _listed(value: Any) -> Any:
    """A text as a list: of one, or a JSON list, as a variable or a property gives several."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [value]
    try:
        return json.loads(value)
    except ValueError:
        return value  # which is no list: reported as such, without the error that quotes it


def _of_database(url: SecretUrl) -> SecretUrl:
    check_database_url(url.get_secret_value())
    try:
        where_of(url.get_secret_value())
    except ConfigError as error:
        text = str(error)
    else:
        return url
    raise ValueError(text)


def _of_redis(url: SecretUrl) -> SecretUrl:
    check_redis_url(url.get_secret_value())
    return url


_Database = Annotated[SecretUrl, AfterValidator(_of_database)]


def _redis_options(**options: Any) -> Redis | None:
    """The options as Redis itself checks them; None if its package is not installed."""
    try:
        from orderway.redis import Redis
    except ConfigError:
        return None
    try:
        return Redis("redis://localhost:6379/0", **options)
    except ConfigError as error:
        text = str(error)
    raise ValueError(text)


def _problem_of_queue(kind: str, url: str, *, is_needed: bool) -> str:
    """What the queue's own options say of its URL; "" if nothing is wrong, or nobody can tell and it is not needed."""
    try:
        check = _queue_check(kind)
    except ConfigError as missing:
        return str(missing) if is_needed else ""
    try:
        check(url)
    except ConfigError as error:
        return str(error)
    return ""


def _queue_check(kind: str) -> Callable[[str], object]:
    if kind == "pulsar":
        from orderway.queues.pulsar import Pulsar

        return Pulsar.from_url
    from orderway.queues.rabbitmq import Rabbitmq

    return Rabbitmq.from_url


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class ConnectionSettings(_Section):
    """How the databases are spoken to; the same for each of them."""

    answer_within_s: float = Field(default=10.0, gt=0, le=600)
    transactions: int = Field(default=4, ge=1, le=1000)
    largest_batch: int = Field(default=1024, ge=1, le=65_536)
    most_waiting: int = Field(default=8192, ge=1, le=1_000_000)


class RedisSettings(_Section):
    """Where Redis is, and what it is used for. Without a URL there is none."""

    url: Annotated[SecretUrl, AfterValidator(_of_redis)] | None = None
    lock: bool = True
    lock_key_format: str = "order:lock:op:<order_id>"
    lock_expire_s: float = 30.0
    sequence: bool = True
    sequence_key_format: str = "order:seqno:<order_type>:<shard_num>"
    sequence_block: int = 1
    answer_within_s: float = 0.2
    most_connections: int = 16

    @field_validator(
        *("lock_key_format", "lock_expire_s", "sequence_key_format", "sequence_block", "answer_within_s"),
        "most_connections",
    )
    @classmethod
    def _option_is_allowed(cls, value: Any, info: Any) -> Any:
        _redis_options(**{"lock_expire_s": 86_400, "answer_within_s": 0.001, info.field_name: value})
        return value

    @model_validator(mode="after")
    def _options_agree(self) -> RedisSettings:
        if self.url is not None and _redis_options(**self._options()) is None:
            raise ValueError(
                "redis.url is given, but the package redis is not installed: pip install 'orderway[redis]'"
            )
        return self

    def as_option(self) -> Redis | None:
        """The ``redis`` of an App; None if there is no Redis."""
        if self.url is None:
            return None
        from orderway.redis import Redis

        return Redis(self.url.get_secret_value(), **self._options())

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name != "url"}


class WorkerSettings(_Section):
    """What this process does beside answering its own callers."""

    sweep: bool = True
    most_at_once: int = Field(default=256, ge=1, le=65_536)
    beat_every_s: float = Field(default=0.5, gt=0, le=60)
    dead_after_s: float = Field(default=3.0, gt=0, le=600)
    close_within_s: float = Field(default=30.0, ge=0, le=3600)

    @model_validator(mode="after")
    def _death_is_told_from_delay(self) -> WorkerSettings:
        if self.dead_after_s < 2 * self.beat_every_s:
            raise ValueError(
                f"worker.dead_after_s is {self.dead_after_s:g}: at least twice worker.beat_every_s is allowed,"
                f" {2 * self.beat_every_s:g} here; else one late heartbeat counts as a death"
            )
        return self


class QueueSettings(_Section):
    """The queue that brings hints, which have orders looked at sooner. No order rests on it."""

    enabled: bool = False
    kind: Literal["store", "pulsar", "rabbitmq"] = "store"
    url: SecretUrl | None = None
    delay_s: int = Field(default=60, ge=1, le=864_000)
    message_lifetime_s: int = Field(default=3600, ge=1, le=31_536_000)

    @model_validator(mode="after")
    def _url_is_of_its_kind(self) -> QueueSettings:
        if self.url is None:
            if self.enabled and self.kind != "store":
                text = f"queue.url is missing, which queue.kind {self.kind} needs; its form is {QUEUE_FORMS[self.kind]}"
                raise PydanticCustomError("queue_url_missing", "{text}", {"text": text})
            return self
        url = self.url.get_secret_value()
        if self.kind == "store":
            raise ValueError(
                f"queue.url is {mask(url)}, and queue.kind is store, which has none: set queue.kind to the kind of"
                " queue that this is, or leave the URL out"
            )
        problem = _problem_of_queue(self.kind, url, is_needed=self.enabled)
        if problem:
            raise ValueError(f"queue.url: {problem}")
        return self

    def as_option(self) -> str | None:
        """The ``queue`` of an App, with its password; None if there is none."""
        if not self.enabled:
            return None
        return self.kind if self.url is None else self.url.get_secret_value()


class Settings(_Section):
    """The effective configuration. ``load_settings`` makes it; it never changes.

    Passwords show in no repr, dump or error of it: ``get_secret_value`` of a URL gives it whole.
    """

    databases: Annotated[tuple[_Database, ...], BeforeValidator(_listed)]
    shards: int | None = Field(default=None, ge=1, le=65_536)
    connections: ConnectionSettings = ConnectionSettings()
    ids: Literal["time", "sequence"] = "time"
    wallets: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("wallet",)
    redis: RedisSettings = RedisSettings()
    worker: WorkerSettings = WorkerSettings()
    queue: QueueSettings = QueueSettings()

    _sources: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _unused: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("databases")
    @classmethod
    def _databases_can_be_told_apart(cls, databases: tuple[SecretUrl, ...]) -> tuple[SecretUrl, ...]:
        urls = [database.get_secret_value() for database in databases]
        if not urls:
            raise ValueError("at least one is needed")
        if len(set(urls)) != len(urls):
            raise ValueError("a database is named twice; each has a part of the orders of its own")
        if "memory://" in urls and len(urls) > 1:
            raise ValueError("memory:// is allowed only alone")
        return databases

    @field_validator("wallets")
    @classmethod
    def _wallets_have_names(cls, wallets: tuple[str, ...]) -> tuple[str, ...]:
        for name in wallets:
            if not _WALLET.fullmatch(name) or name == "gateway":
                raise ValueError(
                    f"{shown_text(name)!r}: a name of 1 to 32 of a-z, 0-9 and _ is allowed, and not gateway"
                )
        if len(set(wallets)) != len(wallets):
            raise ValueError("a wallet is named twice; each needs a name of its own")
        return wallets

    @model_validator(mode="after")
    def _each_database_has_a_shard(self) -> Settings:
        if self.shards is not None and self.shards < len(self.databases):
            raise ValueError(
                f"shards is {self.shards} for {len(self.databases)} databases: each needs at least one, so at least"
                f" {len(self.databases)} is allowed"
            )
        return self

    @property
    def sources(self) -> Mapping[str, str]:
        """Where each key that was given comes from: ``{"shards": "orders.yaml line 3"}``."""
        return MappingProxyType(dict(self._sources))

    @property
    def unused(self) -> tuple[str, ...]:
        """The keys of the original that were understood and change nothing here, each with the reason."""
        return self._unused

    @property
    def urls(self) -> tuple[str, ...]:
        """The databases' URLs, whole, with their passwords, in their order."""
        return tuple(database.get_secret_value() for database in self.databases)

    def app_arguments(self) -> dict[str, Any]:
        """What to give to ``App``. ``url`` is a text for one database, a tuple for several."""
        urls = self.urls
        worker = {name: getattr(self.worker, name) for name in WorkerSettings.model_fields}
        return {
            "url": urls[0] if len(urls) == 1 else urls,
            "shards": self.shards,
            "wallets": self.wallets,
            "ids": self.ids,
            "redis": self.redis.as_option(),
            "queue": self.queue.as_option(),
            "queue_delay_s": self.queue.delay_s,
            "queue_message_lifetime_s": self.queue.message_lifetime_s,
            **worker,
        }

    def database_options(self) -> dict[str, Any]:
        """What to give to ``ports_for`` beside the URLs and shards."""
        kinds = {url.partition("://")[0] for url in self.urls}
        if kinds == {"memory"}:
            return {}
        connections = self.connections
        options = {"largest_batch": connections.largest_batch, "most_waiting": connections.most_waiting}
        if kinds == {"sqlite"}:
            return {"lock_timeout_s": connections.answer_within_s, **options}
        if "sqlite" in kinds:
            return options
        return {
            "answer_within_s": connections.answer_within_s,
            "transactions": connections.transactions,
            **options,
        }


SECTIONS: Mapping[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, _Section)
}
"""The sections, by name."""

KEYS: Mapping[str, Any] = {
    **{name: field.get_default() for name, field in Settings.model_fields.items() if name not in SECTIONS},
    **{
        f"{section}.{name}": field.get_default()
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
    },
}
"""Every key, dotted, with its default."""
