"""The original's storage contract: its tables, and the two statements that an order costs.

Whoever has no order of its own writes this one.
"""

from __future__ import annotations

import zlib

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, SmallInteger, String, Table, func
from sqlalchemy.schema import CreateIndex, CreateTable

from bench.servers.kinds import KINDS
from bench.servers.place import Place
from bench.servers.plain import Plain

__all__ = ["EXTEND", "SHARDS", "connect", "count_finished", "insert", "make_tables", "shard_of", "update"]

SHARDS = 2
"""TableShardNums, as the original comes."""
EXTEND = "{}"


def make_table(shard: int) -> Table:
    """One of the tables."""
    return Table(
        f"order_{shard}",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("oid", String(128), nullable=False, server_default="", unique=True),
        Column("o_type", SmallInteger, nullable=False, server_default="0"),
        Column("o_status", SmallInteger, nullable=False, server_default="1"),
        Column("pay_type", SmallInteger, nullable=False, server_default="0"),
        Column("pay_status", SmallInteger, nullable=False, server_default="0"),
        Column("pay_amount", BigInteger, nullable=False, server_default="0"),
        Column("third_pay_oid", String(128), nullable=False, server_default="", index=True),
        Column("uid", String(128), nullable=False, server_default="", index=True),
        Column("extend", String(8192), nullable=False, server_default="{}"),
        Column("remark", String(1024), nullable=False, server_default=""),
        Column("ctime", DateTime, nullable=False, server_default=func.current_timestamp()),
        Column("utime", DateTime, nullable=False, server_default=func.current_timestamp()),
        Column("update_nums", Integer, nullable=False, server_default="0"),
    )


def insert(shard: int) -> str:
    """The values are oid, uid and extend."""
    return (
        f"INSERT INTO order_{shard} (oid, o_type, o_status, pay_type, pay_status, pay_amount, third_pay_oid, uid,"
        " extend, remark) VALUES (?, 1, 1, 0, 0, 0, '', ?, ?, '')"
    )


def update(shard: int) -> str:
    """The values are extend, oid and uid."""
    return (
        f"UPDATE order_{shard} SET o_status = 2, extend = ?, remark = '', utime = CURRENT_TIMESTAMP,"
        " update_nums = update_nums + 1 WHERE oid = ? AND uid = ?"
    )


def shard_of(uid: str) -> int:
    """The shard of a user's orders."""
    return zlib.crc32(uid.encode()) % SHARDS


async def connect(place: Place) -> Plain:
    """A plain connection."""
    return await KINDS[place.kind].connect(place.url)


async def make_tables(place: Place) -> None:
    """Make them in an empty database."""
    dialect = KINDS[place.kind].dialect
    plain = await connect(place)
    for shard in range(SHARDS):
        table = make_table(shard)
        for statement in (CreateTable(table), *map(CreateIndex, table.indexes)):
            await plain.run(str(statement.compile(dialect=dialect)))
    await plain.close()


async def count_finished(place: Place) -> int:
    """So many orders were updated, each once."""
    plain = await connect(place)
    counts = [
        await plain.fetch(f"SELECT count(*) FROM order_{shard} WHERE o_status = 2 AND update_nums = 1")
        for shard in range(SHARDS)
    ]
    await plain.close()
    return sum(int(rows[0][0]) for rows in counts)
