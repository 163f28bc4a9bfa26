"""A private Pulsar for tests: Apache's own broker where it was fetched, else the broker of pulsar-lite."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import importlib.util
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from orderway.testing.servers.binaries import ServerUnavailable, find_program
from orderway.testing.servers.server import HOST, USER, Server, free_port, random_name

_JAVA = "openjdk-17-jre-headless"
_ANSWER_WITHIN_S = 10.0
# What bin/pulsar of Apache's own distribution gives Java, with less memory and a faster start.
_JAVA_OPTIONS = (
    *("-Xmx512m", "-XX:MaxDirectMemorySize=256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
    *("--add-opens=java.base/java.io=ALL-UNNAMED", "--add-opens=java.base/java.util.zip=ALL-UNNAMED"),
    *("--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED"),
    *("--add-opens=java.base/sun.net=ALL-UNNAMED", "--add-opens=java.management/sun.management=ALL-UNNAMED"),
    *("-Djava.net.preferIPv4Stack=true", "-Dio.netty.tryReflectionSetAccessible=true"),
    "-Dbookkeeper.metadata.bookie.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataBookieDriver",
    "-Dbookkeeper.metadata.client.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataClientDriver",
)
_LOGGING = """<Configuration status="warn">
  <Appenders><Console name="log"><PatternLayout pattern="%d %p %c{1.}: %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="log"/></Root></Loggers>
</Configuration>
"""


class PulsarTopics:
    """A running Pulsar, on which each test gets a topic of its own. It must make topics when they are first used.

    Args:
        url: `pulsar://:token@host:6650/`, with `?delays=no` for a broker that knows no delays.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def new_database(self, name: str | None = None) -> str:
        """The URL of a topic that nobody has used, in `public/default`. Asks the server nothing."""
        return urlsplit(self.url)._replace(path=f"/public/default/{name or random_name()}").geturl()

    def drop(self, url: str) -> None:
        """Does nothing: a private server ends with the run, and topics on another are its owner's."""


class PulsarServer(PulsarTopics, Server):
    """A private Apache Pulsar: broker and one bookie in one process, metadata in RocksDB, delays on, a token asked for.

    `make pulsar` fetches it. It starts in some 15 s, and takes 400 MB of memory. What it acknowledges is
    on disk.

    Args:
        settings: settings as in standalone.conf, over the ones that are set here.
    """

    account = None  # what was fetched lies in the home of whoever runs the tests
    start_within_s = 180.0  # where many tests start at once

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        Server.__init__(self, settings)
        self._key = secrets.token_bytes(32)
        self.password = _token(self._key)
        self._web_port, self._bookie_port = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"pulsar://:{self.password}@{HOST}:{self.port}/"

    def _create(self) -> None:
        find_program("java", package=_JAVA)
        fetched_pulsar()
        self.data.mkdir()
        (self.folder / "log4j2.xml").write_text(_LOGGING)
        self._configuration.touch(mode=0o600)
        settings = {**self._network(), **self._authentication(), **_STORAGE, **self.settings}
        self._configuration.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _network(self) -> dict[str, str]:
        return {
            "brokerServicePort": str(self.port),
            "webServicePort": str(self._web_port),
            "bindAddress": HOST,
            "advertisedAddress": HOST,
            "listeningInterface": "lo",
            "allowLoopback": "true",
        }

    def _authentication(self) -> dict[str, str]:
        plugins = "org.apache.pulsar.broker.authentication.AuthenticationProviderToken"
        return {
            "authenticationEnabled": "true",
            "authenticationProviders": plugins,
            "tokenSecretKey": f"data:;base64,{base64.b64encode(self._key).decode()}",
            "brokerClientAuthenticationPlugin": "org.apache.pulsar.client.impl.auth.AuthenticationToken",
            "brokerClientAuthenticationParameters": f"token:{self.password}",
        }

    def _command(self) -> Sequence[str]:
        return [
            find_program("java", package=_JAVA),
            *_JAVA_OPTIONS,
            f"-Djava.io.tmpdir={self.folder}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}",
            *("-cp", f"{fetched_pulsar()}/lib/*", "org.apache.pulsar.PulsarStandaloneStarter"),
            *("--config", str(self._configuration), "--no-functions-worker", "--no-stream-storage"),
            *("--num-bookies", "1", "--bookkeeper-port", str(self._bookie_port)),
            *("--metadata-dir", str(self.data / "metadata"), "--bookkeeper-dir", str(self.data / "bookkeeper")),
        ]

    @property
    def _configuration(self) -> Path:
        return self.folder / "standalone.conf"

    def _is_ready(self, connection: socket.socket) -> bool:
        """It takes connections before it makes its namespaces; of these, `pulsar/system` is the last."""
        return all(self._read(path) is not None for path in ("brokers/ready", "namespaces/pulsar/system"))

    def topics(self) -> set[str]:
        """The topics that there are in `public/default`, without the namespace."""
        names = json.loads(self._read("persistent/public/default") or b"[]")
        return {name.rpartition("/")[2] for name in names}

    def _read(self, path: str) -> bytes | None:
        """What the broker says of itself at a path; None if it says no."""
        web = http.client.HTTPConnection(HOST, self._web_port, timeout=_ANSWER_WITHIN_S)
        try:
            web.request("GET", f"/admin/v2/{path}", headers={"Authorization": f"Bearer {self.password}"})
            answer = web.getresponse()
            return answer.read() if answer.status == http.HTTPStatus.OK else None
        except http.client.HTTPException:
            return None
        finally:
            web.close()


class PulsarLiteServer(PulsarTopics, Server):
    """A private pulsar-lite, for machines without Java: it speaks Pulsar's protocol, without delays and tokens."""

    account = None

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        Server.__init__(self, settings)

    @property
    def url(self) -> str:
        return f"pulsar://{HOST}:{self.port}/?delays=no"

    def _create(self) -> None:
        self.data.mkdir()

    def _command(self) -> Sequence[str]:
        package = importlib.util.find_spec("pulsar_lite")
        if package is None or package.origin is None:
            raise ServerUnavailable("There is no Pulsar: `make pulsar`, which takes Java, or pip install pulsar-lite.")
        program = Path(package.origin).parent / "bin" / "pulsar-lite"
        return [str(program), "--addr", f"{HOST}:{self.port}", "--db-path", str(self.data), "--log-level", "warn"]

    def _is_ready(self, connection: socket.socket) -> bool:
        return True


def fetched_pulsar() -> Path:
    """The folder that `make pulsar` made; the newest, if there are several.

    Raises:
        ServerUnavailable: there is none.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orderway"
    found = [folder for folder in cache.glob("pulsar-*") if re.fullmatch(r"pulsar-[\d.]+\d", folder.name)]
    if not found:
        raise ServerUnavailable("Apache Pulsar was not fetched: `make pulsar` does, where Java 17 and Maven are.")
    return max(found, key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)])


def best_pulsar() -> type[PulsarServer] | type[PulsarLiteServer]:
    """Apache's own where it can be started, else pulsar-lite."""
    try:
        fetched_pulsar()
    except ServerUnavailable:
        return PulsarLiteServer
    return PulsarServer if shutil.which("java") else PulsarLiteServer


def _token(key: bytes) -> str:
    """A JSON Web Token, signed with HMAC-SHA-256."""
    parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"sub": USER})]
    signature = hmac.digest(key, ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, _base64(signature)])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


_STORAGE = {
    "clusterName": "standalone",
    "superUserRoles": USER,
    "managedLedgerDefaultEnsembleSize": "1",
    "managedLedgerDefaultWriteQuorum": "1",
    "managedLedgerDefaultAckQuorum": "1",
    "managedLedgerCacheSizeMB": "16",
    "journalSyncData": "true",
    "diskUsageThreshold": "0.99",
    "diskUsageWarnThreshold": "0.98",
    "dbStorage_writeCacheMaxSizeMb": "16",
    "dbStorage_readAheadCacheMaxSizeMb": "16",
    "dbStorage_rocksDB_blockCacheSize": "8388608",
    # To the millisecond: as it comes, a delayed message may be a second early, and another late.
    "delayedDeliveryEnabled": "true",
    "delayedDeliveryTickTimeMillis": "50",
    "isDelayedDeliveryDeliverAtTimeStrict": "true",
    # A topic that nobody has open, and no subscription, goes soon and not within a minute.
    "brokerDeleteInactiveTopicsFrequencySeconds": "1",
    # A topic not loaded by then is loaded anew: as it comes, a load that hangs holds whoever asks for a minute.
    "topicLoadTimeoutSeconds": "10",
    # What one broker does not need.
    "loadBalancerEnabled": "false",
    "loadManagerClassName": "org.apache.pulsar.broker.loadbalance.NoopLoadManager",
    "systemTopicEnabled": "false",
    "topicLevelPoliciesEnabled": "false",
    "webSocketServiceEnabled": "false",
    "numIOThreads": "2",
    "numHttpServerThreads": "4",
}
