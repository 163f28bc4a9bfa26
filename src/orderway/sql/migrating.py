"""Changing the tables of databases that are there, step by step, and checking them; needs ``orderway[migrate]``.

Steps come in two phases. Those of ``pre`` add: older packages go on working beside them. Those of ``post`` take away,
and come when no older package runs any more: only they raise the schema version in ``ow_meta``, which names the oldest
package that still works. Which steps were taken is written in a table of Alembic's.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import Column, Connection, MetaData, String, Table, inspect

from orderway.errors import ConfigError, MissingRights, SchemaTooNew
from orderway.sql.database import Tables
from orderway.sql.migrations.changes import Changes, Tell
from orderway.sql.migrations.comparing import differences
from orderway.sql.schema import (
    READ_META,
    Expected,
    NoTables,
    check,
    check_begun,
    meta_insert,
    out_of_place,
    read_map,
    traces,
)
from orderway.sql.shards import ShardMap
from orderway.sql.tables import SCHEMA_VERSION

__all__ = ["OLDEST_SCHEMA", "Migrated", "Phase", "Place", "compare", "migrate"]

T = TypeVar("T")
Phase = Literal["pre", "post"]

OLDEST_SCHEMA = 2
"""From which steps lead on: that of 0.1.0."""

_VERSION_TABLE = "ow_alembic"
_SCRIPTS = Path(__file__).parent / "migrations"


class Place(Protocol):
    """A database whose tables are to be changed."""

    @property
    def where(self) -> str:
        """Where it is, for messages: without its password."""

    def look(self, work: Callable[[Connection], T], reads: Sequence[Table] = ()) -> Awaitable[T]:
        """Have something done that changes nothing.

        Args:
            work: is given a connection.
            reads: tables that an App does without and whose rows are read, so that its user may lack the right to.

        Raises:
            NoTables: there is no such file.
            MissingRights: its user may not read one of ``reads``; says what grants it.
            ConfigError: there is no such database, or it refuses us; Unavailable: it does not answer.
        """

    def change(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Have something done under the lock of whoever changes tables, making the database if it is a file.

        Raises:
            ConfigError: it refuses us; Unavailable: it does not answer, or somebody else is changing it.
        """


@dataclass(slots=True)
class Migrated:
    """What became of one database, or would.

    Args:
        where: it is.
        database: its number, from 0.
        shards: the numbers of the shards in it.
        revision: the last step that was taken; None for a database whose steps were never written down.
        done: what was changed.
        waiting: the steps that are left, by phase.
        differences: what is other than this package needs it.
        lacking: tables that are missing and, as it was said, may be.
    """

    where: str
    database: int
    shards: list[int]
    revision: str | None = None
    done: list[str] = field(default_factory=list)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether this package can work on it as it is: steps of post may wait, and unwritten ones be done."""
        return not self.differences and not (self.revision and self.waiting.get("pre"))


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be done to a database."""

    shards: ShardMap
    database: int
    databases: int
    where: str
    phase: Phase
    versions: Sequence[Path] = ()
    tell: Tell = lambda done, total: None
    may_lack: Collection[str] = ()


async def migrate(
    places: Sequence[Place],
    shards: int | None = None,
    *,
    phase: Phase = "pre",
    look_only: bool = False,
    versions: Sequence[Path] = (),
    tell: Callable[[str, int, int], None] = lambda where, done, total: None,
) -> list[Migrated]:
    """Take the steps that are left, in each database, and compare its tables with what this package needs.

    Idempotent: what was ended half way goes on when it is called again. Safe when two do so at once.

    Args:
        places: in the order in which the shard map names them.
        shards: how many there shall be; None for as many as there are, in new databases one each.
        phase: ``pre``: only steps that older packages survive; ``post``: all.
        look_only: change nothing.
        versions: folders with further steps.
        tell: is told where, how many shards are done, and of how many.

    Raises:
        ConfigError: a database refuses us, or is not one of these; SchemaTooNew: a newer package changed it.
        Unavailable: one does not answer.
    """
    wanted = await _shard_map(places, shards)
    result = []
    for number, place in enumerate(places):

        def told(done: int, total: int, where: str = place.where) -> None:
            tell(where, done, total)

        order = _Order(wanted, number, len(places), place.where, phase, versions, told)
        result.append(await (_look(place, order) if look_only else place.change(_changed(order))))
    return result


async def compare(places: Sequence[Place], may_lack: Collection[str] = ()) -> list[Migrated | MissingRights]:
    """As ``migrate`` with ``look_only``, but one that our user may not compare keeps nobody from the others.

    Args:
        places: as for ``migrate``.
        may_lack: names of tables that may be missing, since nobody uses what needs them.

    Raises:
        ConfigError, SchemaTooNew, Unavailable: as ``migrate``.
    """
    wanted = await _shard_map(places, None)
    result: list[Migrated | MissingRights] = []
    for number, place in enumerate(places):
        order = _Order(wanted, number, len(places), place.where, "pre", may_lack=may_lack)
        try:
            result.append(await _look(place, order))
        except MissingRights as error:
            result.append(error)
    return result


async def _shard_map(places: Sequence[Place], shards: int | None) -> ShardMap:
    """The map that is asked for, else the one that is stored, else an even one.

    Raises:
        ConfigError: a database is empty, and another one in use.
    """
    maps = [await _found(place, _stored_map) for place in places]
    if None in maps and any(maps):
        used = [place for place, found in zip(places, maps, strict=True) if found and await _is_used(place, found)]
        for place, found in zip(places, maps, strict=True):
            if used and not found and not await _found(place, _stored_map):  # nobody has made it in the meantime
                raise out_of_place(place.where, used[0].where)
    stored = next((found for found in maps if found), None)
    if shards is None and stored is not None:
        return read_map(stored, places[maps.index(stored)].where)[0]
    return ShardMap.even(shards or len(places), len(places))


async def _found(place: Place, work: Callable[[Connection], T]) -> T | None:
    """What a look finds; None in a file that is not there."""
    try:
        return await place.look(work)
    except NoTables:
        return None


def _stored_map(connection: Connection) -> str | None:
    """The map of a database with all its tables; None if it has none, or they are unfinished."""
    row = _read_meta(connection)
    return None if row is None else row[2]


async def _is_used(place: Place, stored: str) -> bool:
    """Whether an App was ever started on a database that has this map."""
    shards, database = read_map(stored, place.where)

    def work(connection: Connection) -> bool:
        there = set(inspect(connection).get_table_names())  # one may be lost: to make it again is what we are here for
        queries = traces(Tables(shards.of_database(database)))
        asked = [query for query in queries if {str(table) for table in query.get_final_froms()} <= there]
        return any(connection.execute(query).first() is not None for query in asked)

    return await place.look(work)


def _look(place: Place, order: _Order) -> Awaitable[Migrated]:
    def work(connection: Connection) -> Migrated:
        _read_and_check(connection, order)
        return _state(connection, order)

    return place.look(work, reads=[_steps_taken()])


def _changed(order: _Order) -> Callable[[Connection], Migrated]:
    def work(connection: Connection) -> Migrated:
        is_new = _read_and_check(connection, order) is None
        changes = Changes(connection, _tables(order), order.tell)
        taken: list[str] = []
        changes.create_table(_steps_taken())
        config = _config(order)
        config.attributes.update(
            connection=connection,
            version_table=_VERSION_TABLE,
            changes=changes,
            applied=lambda step, **_: taken.append(str(step.up_revision_id)),
        )
        steps = _waiting(connection, order)
        if order.phase == "pre" and not is_new:
            first_post = next((number for number, step in enumerate(steps) if _phase(step) == "post"), len(steps))
            steps = steps[:first_post]
        if steps:
            command.upgrade(config, steps[-1].revision)
        if is_new:
            connection.exec_driver_sql(meta_insert(order.shards, order.database).replace("%", "%%"))
            changes.done.append("wrote the row of ow_meta: the database is complete")
        after = _state(connection, order)
        if after.differences:  # whatever was lost since the steps were taken: a table, an index
            changes.make_tables()
            after = _state(connection, order)
        after.done = [*changes.done, *(f"took step {step}" for step in taken)]
        return after

    return work


def _state(connection: Connection, order: _Order) -> Migrated:
    waiting: dict[str, list[str]] = {}
    for step in _waiting(connection, order):
        waiting.setdefault(_phase(step), []).append(f"{step.revision} {(step.doc or '').partition(chr(10))[0]}")
    different, lacking = differences(connection, _tables(order), order.may_lack)
    return Migrated(
        order.where,
        order.database,
        list(order.shards.of_database(order.database)),
        _revision(connection),
        waiting=waiting,
        differences=different,
        lacking=lacking,
    )


def _read_and_check(connection: Connection, order: _Order) -> tuple[int, int, str] | None:
    row = _read_meta(connection)
    if row is None:
        check_begun(inspect(connection).get_table_names(), order.shards, order.database, order.where)
        return None
    version, epoch, text = row
    if version < OLDEST_SCHEMA:
        raise ConfigError(
            f"{order.where} has schema version {version}, of before 0.1.0: steps lead on from {OLDEST_SCHEMA} only."
            " Export its orders with the orderway that made it"
        )
    # An older one is what we are here for; whether tables and map fit is checked as ever.
    expected = Expected(order.shards, order.database, order.databases)
    check((max(version, SCHEMA_VERSION), epoch, text), expected, order.where)
    return row


def _read_meta(connection: Connection) -> tuple[int, int, str] | None:
    if not inspect(connection).has_table("ow_meta"):
        return None
    row = connection.exec_driver_sql(READ_META).first()
    return None if row is None else (row[0], row[1], row[2])


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": _VERSION_TABLE}).get_current_revision()


def _waiting(connection: Connection, order: _Order) -> list[Script]:
    """The steps that were not taken yet, in their order."""
    current = _revision(connection)
    directory = ScriptDirectory.from_config(_config(order))
    try:
        return [*directory.iterate_revisions("head", current or "base")][::-1]
    except RevisionError as error:
        raise SchemaTooNew(
            f"{order.where} has taken step {current}, which this package does not know (it knows up to"
            f" {directory.get_current_head()}): a newer orderway changed it, and must be used to go on"
        ) from error


def _steps_taken() -> Table:
    """Alembic's own table. Made here, for MariaDB warns of the name that Alembic gives its key."""
    return Table(_VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def _phase(step: Script) -> Phase:
    phase: Phase = step.module.phase
    return phase


def _tables(order: _Order) -> Tables:
    return Tables(order.shards.of_database(order.database))


def _config(order: _Order) -> Any:
    config = Config()
    folders = [_SCRIPTS / "versions", *order.versions]
    for name, value in (
        ("script_location", str(_SCRIPTS)),
        ("path_separator", "os"),
        ("version_locations", os.pathsep.join(map(str, folders))),
    ):
        config.set_main_option(name, value.replace("%", "%%"))
    return config
