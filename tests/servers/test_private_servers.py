"""Private servers: each starts, is killed, comes back with its data, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kinds import KINDS, AnyServer, Kind, each_kind

from orderway.testing.servers import (
    PostgresqlDatabases,
    PostgresqlServer,
    RedisDatabases,
    RedisServer,
    ServerUnavailable,
    binaries,
)
from orderway.testing.servers.guard import processes_in

OWNER = """
import sys
from orderway.testing.servers import *

server = {server}()
server.start()
print(server.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", params=KINDS.values(), ids=list(KINDS))
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Kind, AnyServer]]:
    """A server for tests that leave it running."""
    with request.param.server() as server:
        yield request.param, server


Running = tuple[Kind, AnyServer]


def test_what_was_acknowledged_is_there_after_kill_9(running: Running) -> None:
    kind, server = running
    url = server.url
    kind.write(server, "acknowledged")
    server.kill()
    assert not server.is_running
    assert processes_in(server.folder) == []
    server.start()
    assert "acknowledged" in kind.read(server)
    assert server.url == url


def test_a_stopped_server_keeps_its_data(running: Running) -> None:
    kind, server = running
    kind.write(server, "kept")
    server.stop()
    assert not server.is_running
    server.start()
    server.start()  # it runs already
    assert "kept" in kind.read(server)


def test_two_at_once_have_nothing_in_common(running: Running) -> None:
    kind, one = running
    with kind.server() as two:
        assert one.port != two.port
        assert one.password != two.password
        assert one.folder != two.folder
        kind.write(one, "word of one")
        kind.write(two, "word of two")
        two.kill()
        assert "word of one" in kind.read(one)
        assert "word of two" not in kind.read(one)


@each_kind
def test_nothing_is_left_when_the_context_ends(kind: Kind) -> None:
    with kind.server() as server:
        folder = server.folder
        assert processes_in(folder)
    assert processes_in(folder) == []
    assert not folder.exists()


@each_kind
def test_a_server_dies_with_its_owner_even_by_sigkill(kind: Kind) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER.format(server=kind.server.__name__)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stderr is not None
        folder = Path(owner.stdout.readline().strip())
        assert processes_in(folder)
        owner.kill()
        owner.stderr.read()  # to its end: the guard has the other end, and goes last
    assert processes_in(folder) == []
    assert not folder.exists()


def shared_memory() -> set[str]:
    """The identities of the System V shared memory of this machine."""
    segments = subprocess.run(["ipcs", "--shmems"], capture_output=True, text=True, check=True).stdout
    return {line.split()[1] for line in segments.splitlines() if line.startswith("0x")}


def test_a_killed_postgresql_leaves_no_shared_memory() -> None:
    with PostgresqlServer() as server:
        identity = (server.data / "postmaster.pid").read_text().splitlines()[6].split()[1]
        assert server.execute("SHOW dynamic_shared_memory_type") == "mmap", "the other memory is in the folder"
        server.kill()
        assert identity in shared_memory(), "the system keeps it, so this test shows something"
    assert identity not in shared_memory()


def test_debians_slow_wrapper_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("front", "back"):
        (tmp_path / name).mkdir()
    wrapper, program = tmp_path / "pg_wrapper", tmp_path / "back" / "psql"
    for path in (wrapper, program):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    (tmp_path / "front" / "psql").symlink_to(wrapper)
    monkeypatch.setenv("PATH", f"{tmp_path / 'front'}{os.pathsep}{tmp_path / 'back'}")
    assert binaries.find_program("psql", package="postgresql-client") == str(program)


def test_a_server_outlives_the_thread_that_started_it() -> None:
    server = RedisServer()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    with server:
        KINDS["redis"].write(server, "word")
        assert "word" in KINDS["redis"].read(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change its account")
def test_as_root_a_server_runs_under_its_own_account(running: Running) -> None:
    kind, server = running
    owners = {Path(f"/proc/{pid}").owner() for pid in processes_in(server.folder)}
    assert owners == {kind.account}
    assert server.folder.owner() == kind.account
    assert server.folder.stat().st_mode & 0o077 == 0, "others could read the password"


@each_kind
def test_a_missing_program_is_told_with_the_command_that_installs_it(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "_SYSTEM_FOLDERS", ())
    server = kind.server()
    with pytest.raises(ServerUnavailable, match=f"apt-get install --no-install-recommends {kind.package}$"), server:
        pass
    with pytest.raises(RuntimeError, match="before its first start"):
        _ = server.folder


@each_kind
def test_a_server_that_does_not_start_says_why(kind: Kind) -> None:
    server = kind.server({"unheard_of": "1"})
    with pytest.raises(ServerUnavailable, match=r"did not start. The end of its log:[\s\S]*unheard.of"):
        server.start()
    folder = server.folder
    server.remove()
    assert not folder.exists()


def test_the_password_is_asked_for_and_needs_quoting(running: Running) -> None:
    kind, server = running
    assert urlsplit(server.url).password not in (None, server.password)
    stranger = kind.server()
    stranger.port, stranger.password = server.port, "s3cr3t"
    with pytest.raises(ServerUnavailable, match=r"refused: .*(password|Access denied|WRONGPASS)") as caught:
        kind.read(stranger)
    assert "s3cr3t" not in str(caught.value)


def test_settings_are_durable(running: Running) -> None:
    kind, server = running
    assert {query: server.execute(*query.split(" | ")) for query in kind.durable} == kind.durable


def test_settings_of_ones_own_win() -> None:
    with PostgresqlServer({"max_connections": "37"}) as server:
        assert server.execute("SHOW max_connections") == "37"


def test_redis_can_be_forgetful() -> None:
    with RedisServer(durable=False) as server:
        KINDS["redis"].write(server, "word")
        server.kill()
        server.start()
        assert "word" not in KINDS["redis"].read(server)


def test_a_redis_database_with_something_in_it_is_left_alone() -> None:
    with RedisServer({"databases": "3"}) as server:
        occupied = server.url.removesuffix("/0") + "/1"
        RedisDatabases(occupied).execute("SET", "somebody's", "1")
        assert server.new_database().endswith("/2")
        with pytest.raises(ServerUnavailable, match="has something in it"):
            server.new_database()
        with pytest.raises(ValueError, match="nobody's"):
            server.drop(server.url)
        assert RedisDatabases(occupied).execute("GET", "somebody's") == "1"


def test_a_standby_has_each_commit_and_takes_over() -> None:
    with PostgresqlServer() as primary, primary.standby() as standby:
        primary.execute("CREATE TABLE t (n int)")
        for n in range(5):
            primary.execute(f"INSERT INTO t VALUES ({n})")
        with pytest.raises(ServerUnavailable, match="read-only transaction"):
            standby.execute("INSERT INTO t VALUES (99)")
        assert primary.execute("SELECT application_name, sync_state FROM pg_stat_replication") == "standby|sync"
        primary.kill()
        standby.promote()
        assert standby.execute("SELECT count(*) FROM t") == "5"
        standby.execute("INSERT INTO t VALUES (5)")  # and waits for no other standby
        assert PostgresqlDatabases(standby.new_database()).execute("SELECT 1") == "1"
