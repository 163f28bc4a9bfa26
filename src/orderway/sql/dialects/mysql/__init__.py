"""MariaDB (10.6 or later) and MySQL (8.0.19 or later) on the asyncmy driver."""

from orderway.sql.dialects.mysql.server import MysqlServer

__all__ = ["MysqlServer"]
