"""The table of letters, for the queue that needs no broker. Older packages do not look at it."""

from orderway.sql.migrations.changes import Changes

revision = "0002"
down_revision = "0001"
phase = "pre"


def upgrade(changes: Changes) -> None:
    """Make the table and its index."""
    changes.make_tables()
