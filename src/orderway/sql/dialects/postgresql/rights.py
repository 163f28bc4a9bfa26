"""What a user of PostgreSQL may do with the tables: the server says so, without touching any of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from orderway.sql.rights import NEEDED, Rights
from orderway.sql.steps import Read, Steps

__all__ = ["rights"]

_MISSING = (
    "SELECT needed, name FROM unnest($1::text[]) AS name CROSS JOIN unnest($2::text[]) AS needed"
    " WHERE NOT has_table_privilege(to_regclass(name), needed)"
)
_WHO = (
    "SELECT quote_ident(current_user), quote_ident(COALESCE((SELECT nspname FROM pg_class JOIN pg_namespace"
    " ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass('ow_meta')), current_schema(), 'public'))"
)


def rights(tables: Sequence[Table]) -> Steps[Rights]:
    """See which rights are missing. One trip, however many tables there are."""
    names = [table.name for table in tables]
    missing: dict[str, list[str]] = {right: [] for right in NEEDED}
    for right, name in (yield Read(_MISSING, (names, NEEDED))):
        missing[right].append(name)
    [(user, schema)] = yield Read(_WHO)
    grant = f"GRANT {', '.join(NEEDED)} ON ALL TABLES IN SCHEMA {schema} TO {user}"
    return Rights(user, {right: sorted(found) for right, found in missing.items()}, grant)
