"""Redis over TLS: who answers is verified, and the options of the address that say by what are understood."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orderway import ConfigError, Unavailable
from orderway.redis import Redis, RedisParts
from orderway.testing.servers import RedisServer
from orderway.testing.servers.fixtures import StartServer
from orderway.testing.servers.server import free_port

Certificate = tuple[Path, Path]
PATIENT_S = 5.0


@pytest.fixture
def url(own_server: StartServer, certificate: Certificate) -> str:
    """Of a Redis that listens with TLS on a second port."""
    path, key = certificate
    port = free_port()
    files = {"tls-cert-file": str(path), "tls-key-file": str(key), "tls-ca-cert-file": str(path)}
    server = own_server(RedisServer({"tls-port": str(port), "tls-auth-clients": "no", **files}))
    place = urlsplit(server.url).netloc.replace(f":{server.port}", f":{port}")
    return f"rediss://{place}/0"


async def parts_at(url: str) -> RedisParts:
    parts = RedisParts(Redis(url, answer_within_s=PATIENT_S))
    parts.start()
    return parts


async def test_who_answers_is_verified(url: str, certificate: Certificate) -> None:
    stranger = await parts_at(url)
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await stranger.ping()
    await stranger.close()
    elsewhere = await parts_at(url.replace("127.0.0.1", "localhost") + f"?ssl_ca_certs={certificate[0]}")
    with pytest.raises(Unavailable, match="certificate is not valid for 'localhost'"):
        await elsewhere.ping()
    await elsewhere.close()
    parts = await parts_at(f"{url}?ssl_ca_certs={certificate[0]}")
    await parts.ping()
    assert parts.sequence is not None
    assert [await parts.sequence.next("orders:7") for _ in range(2)] == [1, 2]
    await parts.close()


@pytest.mark.parametrize("option", ["ssl_no_such=1", "ssl_cert_reqs=maybe", "protocol=9", "db=x"])
def test_an_option_that_nobody_knows_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=r"Options are redis-py's, as in \?ssl_ca_certs"):
        RedisParts(f"rediss://localhost/0?{option}")
