"""The original's configuration (``order``, ``components``, ``services``), understood key by key.

Its keys are turned into ours here, where they are read, and not by aliases in the settings: an alias beside a field's
own name silently drops one of two values. As in the original, upper and lower case make no difference in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from orderway.config.given import Given, Problem, nearest
from orderway.config.go_dsn import DRIVERS, url_of_source
from orderway.config.original_keys import ORDER, PULSAR_CONSUME, PULSAR_PRODUCER, REDIS, SQLX, Key

__all__ = ["SECTIONS", "Translation", "translate"]

SECTIONS = ("order", "components", "services")
NOT_OURS = ("frame", "plugins", "filters", "apollo")
"""Sections of the framework that the original runs in: they say nothing about orders."""

DEFAULT_NAME = "order"
DEFAULT_SHARDS = "2"
_STANDING_CONNECTIONS = 3
"""Of each database: one writes, two read. What ``MaxOpenConns`` leaves beside them is for transactions of users."""

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]*)(:\d+)?")


@dataclass(slots=True)
class Translation:
    """What the original's keys come to.

    Attributes:
        keys: ours, dotted.
        defaults: the original's, for keys of ours that it does not name.
        missing: for a key of ours, why these sections do not give it; a problem only if no other source does.
        unused: keys that change nothing here, each with the reason.
        problems: what is wrong.
    """

    keys: dict[str, Given] = field(default_factory=dict)
    defaults: dict[str, Given] = field(default_factory=dict)
    missing: dict[str, Problem] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def translate(sections: Mapping[str, Given]) -> Translation:
    """Turn the original's sections into keys of ours.

    Args:
        sections: ``order``, ``components``, ``services``, as far as they are there.
    """
    done = Translation()
    order = _read(done, "order", sections.get("order"), ORDER)
    _order(done, order)
    components = sections.get("components")
    _sqlx(done, order, _part(done, "components", components, "sqlx"))
    _redis(done, order, _part(done, "components", components, "redis"))
    producers = _part(done, "components", components, "pulsar-producer")
    producer, _ = _name(order, "MQProducerName")
    _read(done, f"components.pulsar-producer.{producer}", _find(producers, producer), PULSAR_PRODUCER)
    consumers = _part(done, "services", sections.get("services"), "pulsar-consume")
    consumer, _ = _name(order, "MQConsumeName")
    _read(done, f"services.pulsar-consume.{consumer}", _find(consumers, consumer), PULSAR_CONSUME)
    return done


def _order(done: Translation, order: Mapping[str, Given]) -> None:
    done.defaults["shards"] = Given(DEFAULT_SHARDS, "default of the original, order.TableShardNums")
    for name, key in ORDER.items():
        if name in order and key.to:
            given = order[name]
            lowered = name == "MQType" and isinstance(given.value, str)
            done.keys[key.to] = Given(given.value.lower(), given.where) if lowered else given


def _sqlx(done: Translation, order: Mapping[str, Given], part: Given | None) -> None:
    name, where = _name(order, "SqlxName")
    path = f"components.sqlx.{name}"
    entry = _find(part, name)
    if entry is None:
        done.missing["databases"] = _no_entry(path, where or "order.SqlxName by default", part)
        return
    found = _read(done, path, entry, SQLX)
    driver, source = found.get("Driver"), found.get("Source")
    if driver is None or source is None:
        lacking = "Driver" if driver is None else "Source"
        done.missing["databases"] = Problem(entry.where, f"{path}.{lacking} is missing")
        return
    kind = str(driver.value).lower()
    if kind not in DRIVERS:
        allowed = "mysql, postgres and sqlite3 are allowed"
        done.missing["databases"] = Problem(driver.where, f"is {_word(kind)}: {allowed}")
        return
    try:
        url = url_of_source(kind, str(source.value))
    except ValueError as error:
        done.missing["databases"] = Problem(source.where, str(error))
        return
    done.keys["databases"] = Given([Given(url, source.where)], source.where)
    if "MaxOpenConns" in found:
        _connections(done, f"{path}.MaxOpenConns", found["MaxOpenConns"], kind)


def _connections(done: Translation, path: str, given: Given, kind: str) -> None:
    most = _number(done, given, 0)
    if not most:
        return  # 0 is the default there, too
    if kind in {"sqlite3", "sqllite3"}:
        done.unused.append(f"{path}: SQLite is written by one thread")
    elif most <= _STANDING_CONNECTIONS:
        done.problems.append(
            Problem(
                given.where,
                f"is {most}: at least {_STANDING_CONNECTIONS + 1} are allowed (one connection writes, two read,"
                " and one is for a delivery's own transaction)",
            )
        )
    else:
        done.keys["connections.transactions"] = Given(str(most - _STANDING_CONNECTIONS), given.where)


def _redis(done: Translation, order: Mapping[str, Given], part: Given | None) -> None:
    name, where = _name(order, "RedisName")
    path = f"components.redis.{name}"
    entry = _find(part, name)
    if entry is None:
        if where:  # who names none has none: Orderway needs no Redis
            done.missing["redis.url"] = _no_entry(path, where, part)
        return
    found = _read(done, path, entry, REDIS)
    address = found.get("Address")
    if address is None:
        done.missing["redis.url"] = Problem(entry.where, f"{path}.Address is missing")
        return
    cluster = found.get("IsCluster")
    if "," in str(address.value) or (cluster is not None and str(cluster.value).lower() not in {"false", "0", "no"}):
        culprit = address if "," in str(address.value) else cluster or address
        cause = "asks for a cluster, which is not supported; name one Redis, host:port"
        done.missing["redis.url"] = Problem(culprit.where, cause)
    elif not _ADDRESS.fullmatch(str(address.value)):
        done.missing["redis.url"] = Problem(address.where, "cannot be read; its form is host:6379")
    else:
        number = _number(done, found["DB"], 0) if "DB" in found else 0
        done.keys["redis.url"] = Given(_redis_url(found, number or 0), address.where)
        done.defaults["ids"] = Given("sequence", "as in the original, where Redis counts the orders")
        _redis_limits(done, found)


def _redis_url(found: Mapping[str, Given], number: int) -> str:
    user, password = (str(found[key].value) if key in found else "" for key in ("UserName", "Password"))
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    address = str(found["Address"].value)
    return f"redis://{login}{'localhost' if address.startswith(':') else ''}{address}/{number}"


def _redis_limits(done: Translation, found: Mapping[str, Given]) -> None:
    if "PoolSize" in found and _number(done, found["PoolSize"], 0):
        done.keys["redis.most_connections"] = found["PoolSize"]
    limits = [
        (number / unit, found[key].where)
        for key, unit in (("ReadTimeoutSec", 1), ("WriteTimeoutSec", 1), ("ReadTimeout", 1000), ("WriteTimeout", 1000))
        if key in found and (number := _number(done, found[key], -1)) and number > 0
    ]
    if limits:
        longest, where = max(limits)
        done.keys["redis.answer_within_s"] = Given(str(longest), where)


def _read(done: Translation, path: str, given: Given | None, keys: Mapping[str, Key]) -> dict[str, Given]:
    """The values of a section by their canonical names; what is unknown is reported, what is unused is checked."""
    found: dict[str, Given] = {}
    for name, value in _entries(done, path, given).items():
        known = next((key for key in keys if key.lower() == name.lower()), None)
        if known is None:
            done.problems.append(Problem(value.where, f"{path}.{name} is no key of the original{nearest(name, keys)}"))
        elif known in found:
            done.problems.append(Problem(value.where, f"{path}.{known} is given twice"))
        elif isinstance(value.value, (dict, list)):
            done.problems.append(Problem(value.where, f"{path}.{known} is no single value"))
        elif not value.is_empty():
            found[known] = Given(value.value, f"{value.where}, {path}.{known}")
            _note_unused(done, path, known, found[known], keys[known])
    return found


def _note_unused(done: Translation, path: str, name: str, given: Given, key: Key) -> None:
    if key.unused:
        done.unused.append(f"{path}.{name}: {key.unused}")
        if key.kind == "int":
            _number(done, given, key.least)


def _number(done: Translation, given: Given, least: int) -> int | None:
    text = str(given.value)
    if not re.fullmatch(r"-?[0-9]{1,9}", text) or int(text) < least:
        # Not quoted: it may be a password at the wrong key.
        done.problems.append(Problem(given.where, f"must be a whole number, at least {least}"))
        return None
    return int(text)


def _word(text: str) -> str:
    """A value that should be one of a few words; hidden where it is none: it may have got there by mistake."""
    return repr(text) if re.fullmatch(r"\w{0,20}", text) else "no such word"


def _name(order: Mapping[str, Given], key: str) -> tuple[str, str]:
    """The name of a connection, and where it was given; empty if it is the default."""
    given = order.get(key)
    return (DEFAULT_NAME, "") if given is None else (str(given.value), given.where)


def _part(done: Translation, path: str, section: Given | None, name: str) -> Given | None:
    entries = _entries(done, path, section)
    return next((value for key, value in entries.items() if key.lower() == name), None)


def _entries(done: Translation, path: str, given: Given | None) -> dict[str, Given]:
    if given is None or given.is_empty():
        return {}
    if not isinstance(given.value, dict):
        problem = Problem(given.where, f"{path} is no section; its keys stand below it")
        if problem not in done.problems:
            done.problems.append(problem)
        return {}
    return given.value


def _find(part: Given | None, name: str) -> Given | None:
    """The connection of this name; None if there is none, or nothing below its name."""
    if part is None or not isinstance(part.value, dict):
        return None
    found = next((value for key, value in part.value.items() if key.lower() == name.lower()), None)
    return None if found is None or found.is_empty() else found


def _no_entry(path: str, named: str, part: Given | None) -> Problem:
    section, _, name = path.rpartition(".")
    others = list(part.value) if part is not None and isinstance(part.value, dict) else []
    if any(each.lower() == name.lower() for each in others):
        return Problem(named, f"{path} is needed, and is empty")
    has = f"{section} configures only {', '.join(others)}" if others else f"there is no {section}"
    return Problem(named, f"{path} is needed, and {has}")
