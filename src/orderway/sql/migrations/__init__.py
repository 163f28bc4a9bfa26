"""The steps from one schema to the next, run by Alembic; see ``orderway.sql.migrating``."""
