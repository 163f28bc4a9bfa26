"""A whole pytest run of its own each: who shares a server, when it goes, and what happens without one."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orderway.testing.servers import MariadbServer, PostgresqlServer, RedisServer, shared

BEGINNING = """
import json, os, sys, threading

def note(server, url):
    seen = [server.url, url, server.execute("CONFIG", "GET", "dir")]
    with open("notes", "a") as notes:
        notes.write(json.dumps(seen) + "\\n")
"""
MEETS = """
def test_it(redis_server, redis_url):
    note(redis_server, redis_url)
    # Neither worker gets further before the other has its server, too.
    open("meeting", "w" if os.environ["PYTEST_XDIST_WORKER"] == "gw0" else "r").close()
"""
BLOCKS = """
def test_it(redis_server, redis_url):
    note(redis_server, redis_url)
    print("has begun", file=sys.stderr, flush=True)
    threading.Event().wait()
"""
NEEDS_REDIS = """
def test_it(redis_url):
    pass
"""
NEEDS_ITS_OWN = """
def test_it(own_server):
    from orderway.testing.servers import RedisServer
    own_server(RedisServer())
"""
PYTEST = (
    # Whoever was started in the background of a shell ignores Ctrl-C, and so would its children.
    "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " sys.exit(pytest.main(sys.argv[1:]))"
)
ENDS_WITHIN_S = 120


class Run:
    """A pytest run in a folder of its own. Its standard error ends when its servers have ended, who have it, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "pytest.ini").write_text(
            "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
        )

    def start(self, tests: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        (self._folder / "test_run.py").write_text(BEGINNING + tests)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "ORDERWAY", "CI"))}
        return subprocess.Popen(
            [sys.executable, "-c", PYTEST, "-q", "-rs", "-p", "orderway.testing.servers.fixtures", *options],
            cwd=self._folder,
            env=clean | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, tests: str, *options: str, **environment: str) -> tuple[int, str]:
        """Exit code and output."""
        with self.start(tests, *options, **environment) as process:
            try:
                output, errors = process.communicate(timeout=ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            return process.returncode, output + errors

    def noted(self) -> list[tuple[str, str]]:
        """What the tests have seen: the server's URL and the database's URL, of each."""
        return [(server, database) for server, database, _ in self._notes()]

    def server_folder(self) -> Path:
        _, data = ast.literal_eval(self._notes()[0][2])
        return Path(data).parent

    def is_server_gone(self) -> bool:
        return not self.server_folder().exists()

    def _notes(self) -> list[list[str]]:
        return [json.loads(line) for line in (self._folder / "notes").read_text().splitlines()]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_workers_of_a_run_share_one_server(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "meeting")
    code, output = run.end(MEETS, "-n", "2", "--dist", "each")
    assert code == 0, output
    (server, database), (other_server, other_database) = run.noted()
    assert server == other_server
    assert database != other_database
    assert run.is_server_gone()


@pytest.mark.parametrize("options", [["-s"], ["-s", "-n", "1"]], ids=["alone", "xdist"])
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_the_server_goes_with_the_run(run: Run, options: list[str], ending: signal.Signals) -> None:
    with run.start(BLOCKS, *options) as process:
        assert process.stderr is not None
        assert "has begun\n" in iter(process.stderr.readline, "")
        assert not run.is_server_gone()
        os.killpg(process.pid, ending)
        try:
            process.communicate(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode != 0
    assert run.is_server_gone()


@pytest.mark.parametrize("environment", [{}, {"CI": "1"}], ids=["", "CI"])
@pytest.mark.parametrize("tests", [NEEDS_REDIS, NEEDS_ITS_OWN], ids=["shared", "own"])
def test_without_a_server_a_test_is_skipped_and_fails_in_ci(
    run: Run, tmp_path: Path, environment: dict[str, str], tests: str
) -> None:
    code, output = run.end(tests, **environment, PATH=str(tmp_path))
    assert ("1 skipped" in output) == (not environment)
    assert code == bool(environment)
    assert "apt-get install --no-install-recommends redis-server" in output


def test_the_servers_of_a_run_are_in_memory_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shared, "_MEMORY", tmp_path)
    monkeypatch.setattr(shared, "_ROOM_BYTES", 1)
    assert shared._memory() == tmp_path
    monkeypatch.setattr(shared, "_ROOM_BYTES", 1 << 62)
    assert shared._memory() is None
    monkeypatch.setattr(shared, "_MEMORY", tmp_path / "missing")
    assert shared._memory() is None


def test_the_servers_of_a_run_are_where_it_says(run: Run) -> None:
    code, output = run.end("def test_it(redis_server, redis_url):\n    note(redis_server, redis_url)\n")
    assert code == 0, output
    place = shared._memory() or Path(tempfile.gettempdir()).resolve()
    assert run.server_folder().parent == place


def test_a_server_of_its_own_goes_with_the_test(run: Run) -> None:
    ends = NEEDS_ITS_OWN.replace("own_server(R", "note(own_server(R").replace("())", "()), '')")
    code, output = run.end(ends)
    assert code == 0, output
    assert run.is_server_gone()


def test_running_servers_are_used_where_they_are_named(run: Run) -> None:
    with RedisServer() as redis:
        code, output = run.end(
            "def test_it(redis_server, redis_url):\n    note(redis_server, redis_url)\n",
            ORDERWAY_TEST_REDIS_URL=redis.url,
        )
        assert code == 0, output
        assert run.noted() == [(redis.url, redis.url.removesuffix("/0") + "/1")]
        assert redis.execute("DBSIZE") == "0", "the database is given back"


def test_named_databases_are_dropped_again(run: Run) -> None:
    tests = (
        "def test_it(postgresql_url, mariadb_url):\n    assert '/test_' in postgresql_url and '/test_' in mariadb_url\n"
    )
    with PostgresqlServer() as postgresql, MariadbServer() as mariadb:
        urls = {"ORDERWAY_TEST_POSTGRESQL_URL": postgresql.url, "ORDERWAY_TEST_MYSQL_URL": mariadb.url}
        code, output = run.end(tests, **urls)
        assert code == 0, output
        assert "test_" not in postgresql.execute("SELECT datname FROM pg_database")
        assert "test_" not in mariadb.execute("SHOW DATABASES")


def test_a_named_server_that_is_not_there_fails_everywhere(run: Run) -> None:
    code, output = run.end(NEEDS_REDIS, ORDERWAY_TEST_REDIS_URL=RedisServer().url)
    assert code == 1
    assert "cannot be reached" in output
