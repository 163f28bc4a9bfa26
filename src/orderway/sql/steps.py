"""What a transaction does, as steps that are yielded: what is done is written once, who does it is each database's own.

A function that writes is a generator. It yields a step, and is sent its result or gets thrown what went wrong; SQLite
performs steps in a thread, one at a time, the others over a network, where several may travel together.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeVar

__all__ = [
    "SETTLE",
    "Busy",
    "Conflict",
    "Count",
    "Duplicate",
    "Failed",
    "Forbidden",
    "Mismatch",
    "Own",
    "OwnRead",
    "Parameters",
    "Read",
    "Refused",
    "Step",
    "Steps",
    "Write",
    "first_value",
    "unless_refused",
]

T = TypeVar("T")
U = TypeVar("U")
Parameters = Mapping[str, Any] | Sequence[Any]


class Step:
    """One statement of a transaction, in the database's own dialect, with its values."""

    __slots__ = ("sql", "values")

    def __init__(self, sql: str, values: Sequence[Any] = ()) -> None:
        self.sql = sql
        self.values = values


class Write(Step):
    """A statement whose result nobody needs now, but that must touch so many rows: else ``Mismatch``.

    It may be done later, together with others: at the latest before the next step with a result, ``SETTLE``, or the
    commit, which then raise what went wrong. ``expect`` None stands for any number.
    """

    __slots__ = ("expect",)

    def __init__(self, sql: str, values: Sequence[Any] = (), expect: int | None = None) -> None:
        super().__init__(sql, values)
        self.expect = expect


class Count(Step):
    """A statement; the result is how many rows it touched."""

    __slots__ = ()


class Read(Step):
    """A query, or a statement that returns rows; the result is a list of tuples."""

    __slots__ = ()


class Own(Step):
    """A statement of the user's own; the result is how many rows it touched.

    Its parameters come by name (``:name``), or by position, in the driver's own style.
    """

    __slots__ = ("parameters",)

    def __init__(self, sql: str, parameters: Parameters) -> None:
        super().__init__(sql)
        self.parameters = parameters


class OwnRead(Own):
    """A query of the user's own; the result is a list of tuples."""

    __slots__ = ()


SETTLE = Step("")
"""Everything asked for so far is done when this comes back, or has raised."""

Steps = Generator[Step, Any, T]


class Refused(Exception):
    """A statement was refused for what it says: a value that does not fit, a constraint, a statement that is wrong."""


class Mismatch(Refused):
    """A group of operations did not touch the rows that it should: at least one of them is refused."""


class Duplicate(Refused):
    """A unique key is taken."""


class Busy(Refused):
    """Another transaction held a lock for too long."""


class Forbidden(Refused):
    """The user of the database has not the right to do this: no value is wrong.

    Args:
        words: the database's own.
        grant: the statement that gives a user all rights that are needed, in the database's own dialect.
    """

    def __init__(self, words: str, grant: str) -> None:
        super().__init__(words)
        self.grant = grant


class Conflict(Exception):
    """The database ended the transaction for the sake of another one (a deadlock): the same may be tried again."""


class Failed(Exception):
    """The database as a whole did not answer, whatever the statement was; the connection is good for nothing more."""


def first_value(query: Read) -> Steps[Any]:
    """The first value of the first row; None without a row."""
    rows = yield query
    return rows[0][0] if rows else None


def unless_refused(question: Steps[T], otherwise: U) -> Steps[T | U]:
    """The answer to a question, or another one where it is refused.

    Behind a savepoint: in some databases a refused statement would end the whole transaction.
    """
    yield Write("SAVEPOINT question")
    answer: T | U
    try:
        answer = yield from question
    except Refused:
        yield Write("ROLLBACK TO SAVEPOINT question")
        answer = otherwise
    yield Write("RELEASE SAVEPOINT question")
    return answer
