"""Alembic's environment: it runs the steps on the connection that it is given. Not for the command ``alembic``."""

from alembic import context

_given = context.config.attributes
context.configure(
    connection=_given["connection"],
    version_table=_given["version_table"],
    transaction_per_migration=True,
    on_version_apply=_given["applied"],
)
with context.begin_transaction():
    context.run_migrations(changes=_given["changes"])
