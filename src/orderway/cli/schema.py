"""The commands about a database's tables: schema prints them, migrate makes and changes them."""

from __future__ import annotations

import click

from orderway.cli.opening import Settings
from orderway.cli.options import global_options
from orderway.cli.output import print_json

__all__ = ["schema"]

_JSON = [option for option in global_options() if option.name == "json"]
_DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")


@click.command(params=_JSON)
@click.option("--dialect", type=click.Choice(_DIALECTS), required=True, help="Of which database.")
@click.option(
    "--shards", type=int, default=1, show_default=True, help="Into how many tables orders are spread, in all databases."
)
@click.option(
    "--databases", type=click.IntRange(1), default=1, show_default=True, help="How many databases belong together."
)
@click.option("--database", type=click.IntRange(1), help="Which of them this is for; needed where there are several.")
@click.pass_obj
def schema(settings: Settings, dialect: str, shards: int, databases: int, database: int | None) -> None:
    """Print the complete SQL of a new database.

    Ready for sqlite3 -bail, psql -v ON_ERROR_STOP=1 or mariadb. It needs no driver, and connects to nothing.
    """
    from orderway.sql.script import schema_script
    from orderway.sql.shards import ShardMap

    if database is None and databases > 1:
        raise click.UsageError(f"--database N is missing: for which of the {databases}, from 1 to {databases}?")
    number = database or 1
    if number > databases:
        raise click.UsageError(f"--database {number} of --databases {databases}: from 1 to {databases} are allowed")
    statements = list(schema_script(dialect, ShardMap.even(shards, databases), number - 1))
    if settings.json:
        print_json({"dialect": dialect, "shards": shards, "database": number, "statements": statements})
        return
    click.echo(
        f"-- Orderway on {dialect}: database {number} of {databases}, with its part of {shards} shards.\n"
        "-- For a new, empty database; `orderway migrate` changes those that there are."
    )
    for statement in statements:
        click.echo(statement)
