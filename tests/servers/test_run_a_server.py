"""`python -m orderway.testing.servers`: a private server to try things on."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from orderway.testing.servers import RedisDatabases
from orderway.testing.servers.server import HOST

COMMAND = [sys.executable, "-m", "orderway.testing.servers"]


@pytest.mark.parametrize("arguments", [[], ["oracle"], ["redis", "pulsar"]])
def test_a_server_that_it_does_not_know(arguments: list[str]) -> None:
    result = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert re.match(r"Which server\? postgresql, .*pulsar.* are known\.", result.stderr)


def test_it_runs_until_ctrl_c() -> None:
    with subprocess.Popen([*COMMAND, "redis"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = re.fullmatch(r"Started in \d+ s: (\S+)\n", process.stdout.readline())
        assert started
        database = RedisDatabases(started[1])
        assert database.execute("PING") == "PONG"
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, urlsplit(started[1]).port or 0))
