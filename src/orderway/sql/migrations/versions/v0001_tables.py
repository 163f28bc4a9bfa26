"""The tables, as 0.1.0 made them or as they are now: in a new database nothing is left to do for later steps."""

from orderway.sql.migrations.changes import Changes

revision = "0001"
down_revision = None
phase = "pre"


def upgrade(changes: Changes) -> None:
    """Make the tables and indexes that are missing."""
    changes.make_tables()
