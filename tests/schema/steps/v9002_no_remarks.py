"""A step that takes away: from then on, packages that write remarks cannot work."""

from orderway.sql.migrations.changes import Changes

revision = "9002"
down_revision = "9001"
phase = "post"


def upgrade(changes: Changes) -> None:
    """Drop a column that 0.1.0 needs, after refusing it."""
    changes.raise_schema_version(3)
    for shard in changes.shards():
        changes.drop_column(f"ow_orders_{shard}", "remark")
