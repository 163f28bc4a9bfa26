"""TLS to MariaDB: who answers is verified, unless that is switched off; and nothing goes over the wire without it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mysql_links import value_of

from orderway.errors import ConfigError
from orderway.sql.dialects.mysql import MysqlServer
from orderway.sql.dialects.mysql.link import MysqlLink
from orderway.testing.servers import MariadbServer
from orderway.testing.servers.fixtures import StartServer
from orderway.testing.servers.guard import processes_in

Certificate = tuple[Path, Path]
CIPHER = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"


@pytest.fixture
def server(own_server: StartServer, certificate: Certificate) -> MariadbServer:
    """A server that speaks TLS to whoever wants it."""
    path, key = certificate
    return own_server(MariadbServer({"ssl_cert": str(path), "ssl_key": str(key), "ssl_ca": str(path)}))


@pytest.fixture
def url(server: MariadbServer) -> str:
    return server.new_database()


async def encrypted(link: MysqlLink) -> bool:
    cipher = await value_of(link, CIPHER)
    await link.close()
    return bool(cipher)


async def test_who_answers_is_verified(url: str, certificate: Certificate) -> None:
    with pytest.raises(ConfigError, match=r"not believed.*: self-signed certificate.*as ssl_ca"):
        await MysqlServer(f"{url}?ssl=true").connect(None)  # no authority of the system's has signed it
    elsewhere = url.replace("127.0.0.1", "localhost")
    with pytest.raises(ConfigError, match="mismatch, certificate is not valid"):
        await MysqlServer(f"{elsewhere}?ssl_ca={certificate[0]}").connect(None)
    assert await encrypted(await MysqlServer(f"{url}?ssl_ca={certificate[0]}").connect(None))
    assert not await encrypted(await MysqlServer(url).connect(None))


async def test_verifying_can_be_switched_off(url: str) -> None:
    assert await encrypted(await MysqlServer(f"{url}?ssl_verify=false").connect(None))


async def test_a_certificate_of_our_own_is_shown(url: str, certificate: Certificate) -> None:
    path, key = certificate
    files = f"ssl_ca={path}&ssl_cert={path}&ssl_key={key}"
    link = await MysqlServer(f"{url}?{files}").connect(None)
    await link.script("CREATE USER shown IDENTIFIED BY 'x' REQUIRE X509; GRANT ALL ON *.* TO shown")
    await link.close()
    place = url.partition("@127")[2]
    with pytest.raises(ConfigError, match="Access denied"):
        await MysqlServer(f"mysql://shown:x@127{place}?ssl_ca={path}").connect(None)
    assert await encrypted(await MysqlServer(f"mysql://shown:x@127{place}?{files}").connect(None))


async def test_a_server_without_it_is_told_nothing(own_server: StartServer) -> None:
    url = own_server(MariadbServer({"ssl": "0"})).new_database()
    with pytest.raises(ConfigError, match="speaks no TLS"):
        await MysqlServer(f"{url}?ssl_verify=false").connect(None)
    assert not await encrypted(await MysqlServer(url).connect(None))


def test_a_key_with_a_password_is_refused_and_nobody_asked(certificate: Certificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    lock = ["openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", str(certificate.key), "-out", str(locked)]
    subprocess.run(lock, check=True, capture_output=True)
    url = f"mysql://me@host/name?ssl_cert={certificate.path}&ssl_key={locked}"
    with pytest.raises(ConfigError, match=r"unencrypted files of PEM are expected: \[SSL\]"):
        MysqlServer(url)


async def test_a_frozen_server_keeps_no_connection_open(
    url: str, server: MariadbServer, open_sockets: Callable[[], int]
) -> None:
    before = open_sockets()
    link = await MysqlServer(f"{url}?ssl_verify=false").connect(None)
    [process] = processes_in(server.folder)
    os.kill(process, signal.SIGSTOP)
    try:
        await link.close()
        for _ in range(5):  # turns of the loop, which closes what is aborted in one of the next
            await asyncio.sleep(0)
        assert open_sockets() == before
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ssl=maybe", "ssl=maybe: true or false"),
        ("ssl_verify=1", "ssl_verify=1: true or false"),
        ("ssl=false&ssl_ca=/ca.pem", "ssl=false, and ssl_ca is given"),
        ("ssl=false&ssl_verify=false", "ssl=false, and ssl_verify is given"),
        ("ssl_verify=false&ssl_ca=/ca.pem", "drop one of them"),
        ("ssl_ca=/nowhere.pem", "ssl_ca cannot be read.*No such file"),
        (f"ssl_ca={__file__}", "ssl_ca cannot be read, unencrypted files of PEM are expected"),
        ("ssl_cert=/nowhere.pem", "ssl_cert cannot be read"),
        (f"ssl_cert={__file__}", "ssl_cert cannot be read, unencrypted files of PEM are expected"),
        ("ssl_key=/key.pem", "ssl_key is of no use without ssl_cert"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_connected_to(options: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MysqlServer(f"mysql://me@host/name?{options}")
