"""TLS to PostgreSQL, by the options that every client of it knows: who answers is verified as far as they say."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orderway.errors import ConfigError
from orderway.sql.dialects.postgresql import PostgresqlServer as Place
from orderway.sql.dialects.postgresql.link import PostgresqlLink
from orderway.sql.steps import Read
from orderway.testing.servers import PostgresqlServer
from orderway.testing.servers.fixtures import StartServer

Certificate = tuple[Path, Path]
ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture
def url(own_server: StartServer, certificate: Certificate) -> str:
    """Of a database on a server that speaks TLS to whoever wants it."""
    path, key = certificate
    own_key = key.with_name("key-of-postgresql.pem")  # which nobody but its own account may read
    shutil.copy(key, own_key)
    own_key.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(own_key, PostgresqlServer.account)
    server = own_server(PostgresqlServer({"ssl": "on", "ssl_cert_file": str(path), "ssl_key_file": str(own_key)}))
    return server.new_database()


async def encrypted(link: PostgresqlLink) -> bool:
    [(found,)] = await link.send([Read(ENCRYPTED)])
    await link.close()
    return bool(found)


async def test_who_answers_is_verified(url: str, certificate: Certificate) -> None:
    with pytest.raises(ConfigError, match=r"cannot be reached as the URL says: root certificate file"):
        await Place(f"{url}?sslmode=verify-full").connect(None)
    verified = f"sslmode=verify-full&sslrootcert={certificate[0]}"
    with pytest.raises(ConfigError, match="certificate is not valid for 'localhost'"):
        await Place(f"{url.replace('127.0.0.1', 'localhost')}?{verified}").connect(None)
    assert await encrypted(await Place(f"{url}?{verified}").connect(None))
    assert await encrypted(await Place(f"{url}?sslmode=require").connect(None))
    assert not await encrypted(await Place(f"{url}?sslmode=disable").connect(None))
