"""A step that adds: a column and a table in each shard, and an index."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from orderway.sql.migrations.changes import Changes

revision = "9001"
down_revision = "0002"
phase = "pre"


def upgrade(changes: Changes) -> None:
    """Add what nobody has asked for yet."""
    for shard in changes.shards():
        changes.add_column(f"ow_orders_{shard}", Column("gift", Text))
        gifts = f"ow_gifts_{shard}"
        changes.create_table(
            Table(
                gifts,
                changes.metadata,
                Column("order_id", String(26), primary_key=True),
                Column("wrapped_at_us", BigInteger),
                Index(f"{gifts}_wrapped", "wrapped_at_us"),
            )
        )
