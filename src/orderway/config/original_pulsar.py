"""The original's connections to Pulsar, ``pulsar-producer`` and ``pulsar-consume``, which become one URL.

There, sending and receiving are set up apart, and nothing notices when they speak of different topics. Here both ends
are one queue, so they must agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from orderway.config.given import Given, Problem
from orderway.config.original_keys import PULSAR_CONSUME, PULSAR_PRODUCER, Key
from orderway.config.original_sections import Translation, find_entry, name_of, no_entry, read_section, word_of
from orderway.config.secret_url import shown_name

__all__ = ["translate_pulsar"]

DEFAULT_URL = "pulsar://localhost:6650"
DEFAULT_TOPIC = "persistent://public/default/test"
DEFAULT_SUBSCRIPTION = "test"
"""The original's components have these defaults."""

MOST_PREFETCHED = 10_000
LONGEST_ANSWER_MS = 60_000

_SCHEME = re.compile(r"pulsar(\+ssl)?://")
_TOPIC = re.compile(r"(?:persistent://)?(?:([^/:]+)/([^/:]+)/)?([^/:]+)")
_NUMBER = re.compile(r"[0-9]{1,9}")


class _Refused(Exception):
    """Something stands against making a URL of these connections."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Connection:
    """One of the two connections, as far as the original's configuration has it."""

    path: str
    where: str
    keys: Mapping[str, Given]

    def get(self, key: str, default: str) -> str:
        """The text at a key; the default if it is not given, or empty, as there."""
        return (str(self.keys[key].value) if key in self.keys else "") or default

    def place(self, key: str) -> str:
        """Where a key stands: for one that is not given, where its section begins."""
        return self.keys[key].where if key in self.keys else f"{self.where}, {self.path}.{key} by default"


def translate_pulsar(
    done: Translation, order: Mapping[str, Given], producers: Given | None, consumers: Given | None
) -> None:
    """Turn the connections that the section ``order`` names into ``queue.url``.

    What stands against it is a problem only if the queue is wanted, and no other source gives its URL.
    """
    producer_name, producer_at = name_of(order, "MQProducerName")
    consumer_name, consumer_at = name_of(order, "MQConsumeName")
    producer = _connection(done, f"components.pulsar-producer.{producer_name}", producers, PULSAR_PRODUCER)
    consumer = _connection(done, f"services.pulsar-consume.{consumer_name}", consumers, PULSAR_CONSUME)
    if "MQType" in order and str(order["MQType"].value).lower() != "pulsar":
        return
    allowed = order.get("AllowMqCompensation")
    asked_at = allowed.where if allowed else "order.AllowMqCompensation"
    try:
        if producer is None and consumer is None:
            names = shown_name(producer_name), shown_name(consumer_name)
            paths = f"components.pulsar-producer.{names[0]} and services.pulsar-consume.{names[1]}"
            raise _Refused(Problem(asked_at, f"{paths} are needed, and neither is there"))
        if producer is None:
            path = f"components.pulsar-producer.{producer_name}"
            raise _Refused(no_entry(path, producer_at or asked_at, producers))
        if consumer is None:
            path = f"services.pulsar-consume.{consumer_name}"
            raise _Refused(no_entry(path, consumer_at or asked_at, consumers))
        done.keys["queue.url"] = Given(_url(producer, consumer), producer.place("Url"))
    except _Refused as refused:
        done.missing["queue.url"] = refused.problem


def _connection(done: Translation, path: str, part: Given | None, keys: Mapping[str, Key]) -> _Connection | None:
    entry = find_entry(part, path.rpartition(".")[2])
    return None if entry is None else _Connection(path, entry.where, read_section(done, path, entry, keys))


def _url(producer: _Connection, consumer: _Connection) -> str:
    address = _agreed(producer, "Url", consumer, "Url", DEFAULT_URL)
    if not _SCHEME.match(address) or "@" in address or "?" in address:
        raise _Refused(Problem(producer.place("Url"), f"cannot be read; its form is {DEFAULT_URL}"))
    user = _agreed(producer, "AuthBasicUser", consumer, "AuthBasicUser", "")
    password = _agreed(producer, "AuthBasicPassword", consumer, "AuthBasicPassword", "")
    if password and not user:
        raise _Refused(Problem(producer.place("AuthBasicPassword"), "is given without AuthBasicUser"))
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    tenant, namespace, topic = _topic_of(producer, consumer)
    scheme, _, hosts = address.rstrip("/").partition("://")
    path = "/".join(quote(name, safe="") for name in (tenant, namespace, topic))
    parameters = _parameters(producer, consumer, (tenant, namespace))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"{scheme}://{login}{hosts}/{path}?{query}"


def _topic_of(producer: _Connection, consumer: _Connection) -> tuple[str, str, str]:
    if consumer.get("TopicsPattern", ""):
        text = "names topics by a pattern, which is not supported; name the one topic of the hints as Topics"
        raise _Refused(Problem(consumer.place("TopicsPattern"), text))
    if "," in consumer.get("Topics", ""):
        text = f"names several topics; one is allowed, that of {producer.path}.Topic"
        raise _Refused(Problem(consumer.place("Topics"), text))
    sent, received = _topic(producer, "Topic"), _topic(consumer, "Topics")
    if sent != received:
        raise _differ(producer, "Topic", consumer, "Topics")
    return sent


def _topic(connection: _Connection, key: str) -> tuple[str, str, str]:
    """Tenant, namespace and topic. Pulsar itself reads a bare name as one of ``public/default``."""
    found = _TOPIC.fullmatch(connection.get(key, DEFAULT_TOPIC))
    if found is None:
        raise _Refused(Problem(connection.place(key), f"cannot be read; its form is {DEFAULT_TOPIC}"))
    return found[1] or "public", found[2] or "default", found[3]


def _parameters(producer: _Connection, consumer: _Connection, place: tuple[str, str]) -> dict[str, str]:
    kind = consumer.get("SubscriptionType", "shared").lower()
    if kind != "shared":
        text = f"is {word_of(kind)}: shared is allowed, for all workers share the hints"
        raise _Refused(Problem(consumer.place("SubscriptionType"), text))
    found = {"subscription": consumer.get("SubscriptionName", DEFAULT_SUBSCRIPTION)}
    if listener := _agreed(producer, "ListenerName", consumer, "ListenerName", ""):
        found["listener"] = listener
    limits = [_seconds(each) for each in (producer, consumer) if each.get("OperationTimeout", "0") != "0"]
    if limits:
        found["answer_within_s"] = str(max(limits))
    if consumer.get("ReceiverQueueSize", "0") != "0":
        found["prefetch"] = str(_number(consumer, "ReceiverQueueSize", MOST_PREFETCHED))
    if consumer.get("DLQDeadLetterTopic", ""):
        tenant, namespace, topic = _topic(consumer, "DLQDeadLetterTopic")
        if (tenant, namespace) != place:
            text = f"is in another namespace than {producer.path}.Topic; the same is allowed"
            raise _Refused(Problem(consumer.place("DLQDeadLetterTopic"), text))
        found["dead_letters"] = topic
    return found


def _seconds(connection: _Connection) -> int:
    """``OperationTimeout``, which is in milliseconds, in whole seconds: rounded up."""
    return -(-_number(connection, "OperationTimeout", LONGEST_ANSWER_MS) // 1000)


def _number(connection: _Connection, key: str, most: int) -> int:
    text = connection.get(key, "")
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise _Refused(Problem(connection.place(key), f"must be a whole number, at most {most:,}"))
    return int(text)


def _agreed(producer: _Connection, key: str, consumer: _Connection, other: str, default: str) -> str:
    """What both connections say. Who says nothing of a user agrees with the other: older producers know none."""
    sent, received = producer.get(key, default), consumer.get(other, default)
    if sent.rstrip("/") != received.rstrip("/") and (sent and received):
        raise _differ(producer, key, consumer, other)
    return sent or received


def _differ(producer: _Connection, key: str, consumer: _Connection, other: str) -> _Refused:
    text = (
        f"is not the same as {producer.path}.{key} ({producer.place(key)}): hints are sent and received over one topic"
        " of one Pulsar"
    )
    return _Refused(Problem(consumer.place(other), text))
