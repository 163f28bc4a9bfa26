"""The journal: each fact as an entry, chained by hash per order, with private parts that can be erased.

An entry's digest is SHA-256 over the previous digest and the entry's own text exactly as stored. Private fields
(business data, remarks, error texts) are kept in a text of their own that begins with a random salt; the chained body
holds only that text's SHA-256. Erasing the private text therefore leaves the chain whole, and its hash says nothing
about it.

An unkeyed chain finds accidents, not a forger who rewrites all of it: for that, keep checkpoints (``orderway verify``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from hashlib import sha256
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from operator import attrgetter
from typing import Any, NamedTuple

from orderway.core.facts import FACTS, PRIVATE_FIELDS, Created, Fact
from orderway.core.order import JOURNALED, Order
from orderway.core.payment import Leg
from orderway.errors import IllegalTransition

__all__ = [
    "Entry",
    "Stamp",
    "append",
    "begin",
    "check_chain",
    "compact_json",
    "differences",
    "fact_of",
    "record",
    "replay",
]

SYSTEM = "system"
"""The actor of what Orderway does by itself."""


def _compact_encoder() -> Callable[[Any], str]:
    """Compact JSON with sorted keys; the C encoder is made once, not at each call, since every order takes several."""
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    if c_make_encoder is None:
        return encoder.encode
    chunks = c_make_encoder(
        None,
        encoder.default,
        encode_basestring,
        None,
        encoder.key_separator,
        encoder.item_separator,
        True,
        False,
        False,
    )
    return lambda value: "".join(chunks(value, 0))


compact_json = _compact_encoder()
_scan = json.JSONDecoder().decode


class Stamp(NamedTuple):
    """When, by whom and why facts are recorded together.

    Args:
        at_us: microseconds since 1970, UTC.
        write_id: random; tells after a lost answer whether this very write happened.
        salt: random and secret, for the private part's hash.
        actor: who: ``system``, or a person's name.
        reason: why, in the actor's words.
        cause: what brought it about, for instance a notification's number.
    """

    at_us: int
    write_id: str
    salt: str
    actor: str = SYSTEM
    reason: str = ""
    cause: str = ""


class Entry(NamedTuple):
    """One line of the journal, as stored.

    Args:
        order_id: whose.
        version: the order's version after the fact; counts from 1.
        fact: the fact's name.
        at_us: when, in microseconds since 1970.
        write_id: of the write that it came with.
        body: its public fields, actor, reason and cause as JSON text; chained.
        private: its private fields as JSON text with a salt; None when there are none, or when they were erased.
        digest: SHA-256 (hex) over the previous digest and this entry.
    """

    order_id: str
    version: int
    fact: str
    at_us: int
    write_id: str
    body: str
    private: str | None
    digest: str

    @property
    def fields(self) -> dict[str, Any]:
        """The body, decoded."""
        body: dict[str, Any] = _scan(self.body)
        return body


def begin(order_id: str, fact: Created, stamp: Stamp) -> tuple[Order[Any], Entry]:
    """The order that begins with this fact, and the first entry of its journal."""
    order = Order.begin(order_id, fact, stamp.at_us)
    entry = _entry("", order, fact, stamp)
    order.digest = entry.digest
    return order, entry


def record(order: Order[Any], fact: Fact, stamp: Stamp) -> tuple[Order[Any], Entry]:
    """The order after this fact, and the fact's entry, chained to the order's last one.

    Raises:
        IllegalTransition: the order does not allow the fact.
    """
    after = order.copy()
    return after, append(after, fact, stamp)


def append(order: Order[Any], fact: Fact, stamp: Stamp) -> Entry:
    """As ``record``, in place: only for a copy that nobody else has seen, in which several facts are recorded.

    Raises:
        IllegalTransition: the order does not allow the fact; it stays as it is.
    """
    order.apply(fact, stamp.at_us)
    entry = _entry(order.digest, order, fact, stamp)
    order.digest = entry.digest
    return entry


def fact_of(entry: Entry) -> Fact:
    """The fact that an entry holds; erased private fields come back as their defaults."""
    body = entry.fields
    for name in ("actor", "reason", "cause", "private"):
        body.pop(name, None)
    if "legs" in body:
        body["legs"] = tuple(Leg(**leg) for leg in body["legs"])
    if entry.private is not None:
        private = _scan(entry.private)
        private.pop("salt")
        body.update(private)
    return FACTS[entry.fact](**body)


def replay(entries: Sequence[Entry]) -> Order[Any]:
    """The order that a whole journal adds up to.

    Raises:
        IllegalTransition: the journal is empty, does not begin with ``Created``, or holds a fact that was not allowed.
    """
    first = fact_of(entries[0]) if entries else None
    if not isinstance(first, Created):
        raise IllegalTransition("a journal begins with Created, and this one does not")
    order = Order.begin(entries[0].order_id, first, entries[0].at_us)
    order.digest = entries[0].digest
    for entry in entries[1:]:
        order = order.after(fact_of(entry), entry.at_us)
        order.digest = entry.digest
    return order


def check_chain(entries: Iterable[Entry]) -> list[str]:
    """What is wrong with a journal's chain, in sentences; an empty list when nothing is."""
    problems = []
    previous, version = "", 0
    for entry in entries:
        version += 1
        if entry.version != version:
            problems.append(f"entry {version} of {entry.order_id} is missing: version {entry.version} follows")
            version = entry.version
        if entry.digest != _digest(previous, entry):
            problems.append(f"entry {entry.version} of {entry.order_id} was altered: its digest does not match")
        if entry.private is not None and sha256(entry.private.encode()).hexdigest() != _private_digest(entry):
            problems.append(f"the private part of entry {entry.version} of {entry.order_id} was altered")
        previous = entry.digest
    return problems


def _private_digest(entry: Entry) -> Any:
    try:
        return entry.fields.get("private")
    except (ValueError, AttributeError):  # an altered body need not be JSON any more, nor an object
        return None


def differences(row: Order[Any], replayed: Order[Any], *, erased: bool = False) -> list[str]:
    """Where a row and its replayed journal differ, in sentences; private columns are left out if they were erased."""
    left_out = {"data_text", "remark", "steps"} if erased else set()
    return [
        f"order {row.id}: the row's {name} is {getattr(row, name)!r}, its journal says {getattr(replayed, name)!r}"
        for name in JOURNALED
        if name not in left_out and getattr(row, name) != getattr(replayed, name)
    ]


def _entry(previous: str, order: Order[Any], fact: Fact, stamp: Stamp) -> Entry:
    at_us, write_id, salt, actor, reason, cause = stamp
    name, public, values_of, private_fields = _SHAPES[type(fact)]
    body: dict[str, Any] = dict(zip(public, values_of(fact), strict=True)) if public else {}
    if body.get("legs"):
        body["legs"] = [{field: getattr(leg, field) for field in _PLANNED} for leg in body["legs"]]
    text = None
    if fact.data is not None or len(private_fields) > 1:  # every fact may have data; most have nothing else private
        private = {field: value for field, default in private_fields if (value := getattr(fact, field)) != default}
        if private:
            text = compact_json({"salt": salt, **private})
            body["private"] = sha256(text.encode()).hexdigest()
    if actor != SYSTEM:
        body["actor"] = actor
    if reason:
        body["reason"] = reason
    if cause:
        body["cause"] = cause
    encoded = compact_json(body) if body else "{}"
    digest = _hash(previous, order.id, order.version, name, at_us, write_id, encoded)
    return Entry(order.id, order.version, name, at_us, write_id, encoded, text, digest)


def _digest(previous: str, entry: Entry) -> str:
    return _hash(previous, entry.order_id, entry.version, entry.fact, entry.at_us, entry.write_id, entry.body)


def _hash(previous: str, order_id: str, version: int, fact: str, at_us: int, write_id: str, body: str) -> str:
    # Only the body can hold a line break, and it comes last: no two different entries give the same text.
    return sha256(f"{previous}\n{order_id}\n{version}\n{fact}\n{at_us}\n{write_id}\n{body}".encode()).hexdigest()


_PLANNED = ("number", "channel", "amount_minor", "currency", "worth_minor", "holds", "at_most")


class _Shape(NamedTuple):
    """How a kind of fact is written: its name, its public fields with what gives their values, its private defaults."""

    name: str
    public: tuple[str, ...]
    values_of: Callable[[Fact], tuple[Any, ...]]
    private: tuple[tuple[str, Any], ...]


def _shape_of(name: str, kind: type[Fact]) -> _Shape:
    public = tuple(column.name for column in fields(kind) if column.name not in PRIVATE_FIELDS)
    private = tuple((column.name, column.default) for column in fields(kind) if column.name in PRIVATE_FIELDS)
    if len(public) == 1:  # attrgetter gives no tuple then
        return _Shape(name, public, lambda fact: (getattr(fact, public[0]),), private)
    return _Shape(name, public, attrgetter(*public) if public else lambda _: (), private)


_SHAPES = {kind: _shape_of(name, kind) for name, kind in FACTS.items()}
