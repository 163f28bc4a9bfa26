"""The original's configuration (``order``, ``components``, ``services``), understood key by key.

Its keys are turned into ours here, where they are read, and not by aliases in the settings: an alias beside a field's
own name silently drops one of two values. As in the original, upper and lower case make no difference in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from orderway.config.given import Given, Problem
from orderway.config.go_dsn import DRIVERS, url_of_source
from orderway.config.original_keys import ORDER, REDIS, SQLX
from orderway.config.original_pulsar import translate_pulsar
from orderway.config.original_sections import (
    Translation,
    find_entry,
    name_of,
    no_entry,
    number_of,
    part_of,
    read_section,
    word_of,
)

__all__ = ["SECTIONS", "Translation", "translate"]

SECTIONS = ("order", "components", "services")
NOT_OURS = ("frame", "plugins", "filters", "apollo")
"""Sections of the framework that the original runs in: they say nothing about orders."""

DEFAULT_SHARDS = "2"
_STANDING_CONNECTIONS = 3
"""Of each database: one writes, two read. What ``MaxOpenConns`` leaves beside them is for transactions of users."""

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]*)(:\d+)?")


def translate(sections: Mapping[str, Given]) -> Translation:
    """Turn the original's sections into keys of ours.

    Args:
        sections: ``order``, ``components``, ``services``, as far as they are there.
    """
    done = Translation()
    order = read_section(done, "order", sections.get("order"), ORDER)
    _order(done, order)
    components = sections.get("components")
    _sqlx(done, order, part_of(done, "components", components, "sqlx"))
    _redis(done, order, part_of(done, "components", components, "redis"))
    producers = part_of(done, "components", components, "pulsar-producer")
    consumers = part_of(done, "services", sections.get("services"), "pulsar-consume")
    translate_pulsar(done, order, producers, consumers)
    return done


def _order(done: Translation, order: Mapping[str, Given]) -> None:
    done.defaults["shards"] = Given(DEFAULT_SHARDS, "default of the original, order.TableShardNums")
    done.defaults["queue.kind"] = Given("pulsar", "default of the original, order.MQType")
    for name, key in ORDER.items():
        if name in order and key.to:
            given = order[name]
            lowered = name == "MQType" and isinstance(given.value, str)
            done.keys[key.to] = Given(given.value.lower(), given.where) if lowered else given


def _sqlx(done: Translation, order: Mapping[str, Given], part: Given | None) -> None:
    name, where = name_of(order, "SqlxName")
    path = f"components.sqlx.{name}"
    entry = find_entry(part, name)
    if entry is None:
        done.missing["databases"] = no_entry(path, where or "order.SqlxName by default", part)
        return
    found = read_section(done, path, entry, SQLX)
    driver, source = found.get("Driver"), found.get("Source")
    if driver is None or source is None:
        lacking = "Driver" if driver is None else "Source"
        done.missing["databases"] = Problem(entry.where, f"{path}.{lacking} is missing")
        return
    kind = str(driver.value).lower()
    if kind not in DRIVERS:
        allowed = "mysql, postgres and sqlite3 are allowed"
        done.missing["databases"] = Problem(driver.where, f"is {word_of(kind)}: {allowed}")
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
    most = number_of(done, given, 0)
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
    name, where = name_of(order, "RedisName")
    path = f"components.redis.{name}"
    entry = find_entry(part, name)
    if entry is None:
        if where:  # who names none has none: Orderway needs no Redis
            done.missing["redis.url"] = no_entry(path, where, part)
        return
    found = read_section(done, path, entry, REDIS)
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
        number = number_of(done, found["DB"], 0) if "DB" in found else 0
        done.keys["redis.url"] = Given(_redis_url(found, number or 0), address.where)
        done.defaults["ids"] = Given("sequence", "as in the original, where Redis counts the orders")
        _redis_limits(done, found)


def _redis_url(found: Mapping[str, Given], number: int) -> str:
    user, password = (str(found[key].value) if key in found else "" for key in ("UserName", "Password"))
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    address = str(found["Address"].value)
    return f"redis://{login}{'localhost' if address.startswith(':') else ''}{address}/{number}"


def _redis_limits(done: Translation, found: Mapping[str, Given]) -> None:
    if "PoolSize" in found and number_of(done, found["PoolSize"], 0):
        done.keys["redis.most_connections"] = found["PoolSize"]
    limits = [
        (number / unit, found[key].where)
        for key, unit in (("ReadTimeoutSec", 1), ("WriteTimeoutSec", 1), ("ReadTimeout", 1000), ("WriteTimeout", 1000))
        if key in found and (number := number_of(done, found[key], -1)) and number > 0
    ]
    if limits:
        longest, where = max(limits)
        done.keys["redis.answer_within_s"] = Given(str(longest), where)
