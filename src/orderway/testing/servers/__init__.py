"""Real database servers for tests, private to them: started in a moment, killed at will, gone when the tests are.

    with PostgresqlServer() as server:
        url = server.new_database()  # postgresql://user:password@127.0.0.1:port/name
        server.kill()  # as a crash does
        server.start()  # again, on the same port with the same data

`orderway.testing.servers.fixtures` is a pytest plugin with one shared server of each kind, and an empty database for
each test.
`orderway.testing.servers.proxy` cuts connections where it hurts. The servers need Linux and the Debian packages
postgresql, mariadb-server, redis-server and rabbitmq-server; running servers elsewhere will do for the fixtures.
"""

from orderway.testing.servers.binaries import ServerUnavailable
from orderway.testing.servers.mariadb import MariadbDatabases, MariadbServer
from orderway.testing.servers.postgresql import PostgresqlDatabases, PostgresqlServer
from orderway.testing.servers.pulsar import PulsarLiteServer, PulsarServer, PulsarTopics
from orderway.testing.servers.rabbitmq import RabbitmqQueues, RabbitmqServer
from orderway.testing.servers.redis import RedisDatabases, RedisServer
from orderway.testing.servers.server import Databases, Server

__all__ = [
    "Databases",
    "MariadbDatabases",
    "MariadbServer",
    "PostgresqlDatabases",
    "PostgresqlServer",
    "PulsarLiteServer",
    "PulsarServer",
    "PulsarTopics",
    "RabbitmqQueues",
    "RabbitmqServer",
    "RedisDatabases",
    "RedisServer",
    "Server",
    "ServerUnavailable",
]
