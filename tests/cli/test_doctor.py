"""``orderway doctor``: what it finds of each part, what it advises, and that it changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from orderway import Business, blocking
from orderway.adapters import open_ports
from orderway.cli.commands import orderway
from orderway.config import load_settings
from orderway.testing.conformance.builders import make_order
from orderway.testing.servers.rabbitmq import RabbitmqQueues


class Song(Business[None]):
    order_type = 1

    async def deliver(self, order: object, delivery: object) -> None:
        pass


def doctor(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(orderway, ["doctor", *arguments], env=environment)


def findings(result: Result) -> dict[str, tuple[bool, str, str]]:
    found = json.loads(result.stdout)["findings"]
    return {each["part"]: (each["ok"], each["found"], each["advice"]) for each in found}


@pytest.fixture
def urls(tmp_path: Path) -> list[str]:
    made = [f"sqlite:///{tmp_path}/{name}.db" for name in ("a", "b")]
    with blocking.App(made, shards=3, sweep=False) as app:
        app.register(Song())
        app.forward(app.create(1, "ann"))
    return made


def test_all_is_well(urls: list[str]) -> None:
    result = doctor("--url", urls[0], "--url", urls[1])
    assert result.exit_code == 0, result.output
    assert "ok    database 2:" in result.output
    assert "3 shards over 2 databases, the same in each" in result.output
    assert result.output.endswith("all is well\n")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = doctor("--url", f"sqlite:///{tmp_path}/none.db", "--json")
    assert result.exit_code == 1
    is_well, found, advice = findings(result)["database 1"]
    assert (is_well, advice) == (False, "")
    assert "there is no database" in found
    assert f"`orderway migrate --url sqlite:///{tmp_path}/none.db`" in found
    assert not list(tmp_path.iterdir())


def test_databases_in_the_wrong_order(urls: list[str]) -> None:
    found = findings(doctor("--json", "--url", urls[1], "--url", urls[0]))
    assert not any(is_well for is_well, _, _ in found.values())
    assert "number 2 of 2 databases, and was given as number 1" in found["database 1"][1]


async def store_an_order(url: str, order_type: int) -> None:
    ports = await open_ports(url)
    await ports.store.create(*make_order(order_type=order_type))
    await ports.close()


def test_work_that_nobody_does(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    asyncio.run(store_an_order(url, 7))
    is_well, found, advice = findings(doctor("--url", url, "--json"))["orders"]
    assert not is_well
    assert found.startswith("1 are due, the oldest for ")
    assert advice.startswith("run a process that serves the order types 7")


def test_the_configuration_is_shown_without_its_passwords(urls: list[str], tmp_path: Path) -> None:
    config = tmp_path / "orders.yaml"
    config.write_text(f"databases: {json.dumps(urls)}\nredis:\n  url: redis://:geheim@127.0.0.1:1/0\n")
    result = doctor(ORDERWAY_CONFIG=str(config))
    assert result.exit_code == 1
    assert "redis://:***@127.0.0.1:1/0" in result.output
    assert "FAULT redis: " in result.output
    assert "orders go on without it" in result.output
    assert "geheim" not in result.output
    assert doctor("--config", str(config), "--url", urls[0]).exit_code == 2


@pytest.mark.slow
def test_who_is_refused_is_told_to_check_what_he_said(
    urls: list[str], redis_url: str, rabbitmq_server: RabbitmqQueues, tmp_path: Path
) -> None:
    redis, queue = urlsplit(redis_url), urlsplit(rabbitmq_server.new_database())
    as_nobody = {"netloc": f"nobody:geheim@127.0.0.1:{redis.port}"}, {"netloc": f"nobody:geheim@127.0.0.1:{queue.port}"}
    nowhere = {"path": "/9999"}, {"path": "/nowhere"}
    down = {"netloc": "nobody:geheim@127.0.0.1:1"}, {"netloc": "nobody:geheim@127.0.0.1:1"}
    for (for_redis, for_queue), words, advice in (
        (as_nobody, ("AuthenticationError", "ACCESS_REFUSED"), "check user, password, the user's rights, and "),
        (nowhere, ("DB index", "the virtual host is not there, or its user"), "check user, password, the user's rig"),
        (down, ("", "Connect call failed"), "see that it runs and can be reached from here; "),
    ):
        config = tmp_path / "orders.yaml"
        config.write_text(
            f"databases: {json.dumps(urls)}\nredis: {{url: '{redis._replace(**for_redis).geturl()}'}}\n"
            f"queue: {{enabled: true, kind: rabbitmq, url: '{queue._replace(**for_queue).geturl()}'}}\n"
        )
        command = [sys.executable, "-c", "from orderway.cli import main; main()", "doctor", "--json"]
        done = subprocess.run([*command, "--config", config], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "")
        assert "geheim" not in done.stdout
        found = {each["part"]: each for each in json.loads(done.stdout)["findings"]}
        for part, word in zip(("redis", "queue"), words, strict=True):
            assert word in found[part]["found"]
            assert "object at 0x" not in found[part]["found"]
            assert found[part]["advice"].startswith(advice), found[part]
            assert found[part]["advice"].endswith("; orders go on without it")


def test_several_problems_are_told_line_by_line_and_none_acts_on_the_terminal(tmp_path: Path) -> None:
    config = tmp_path / "orders.yaml"
    config.write_text(
        "databases: 'sqlite:///a.db'\nshards: many\n"
        'ids: "\\e[2J\\u202e\\nall is well"\n"a\\nerror: b\\e[31m": 1\n'
        "queue: {kind: rabbitmq, url: 'amqp://h/?queue=a%0Aok%20%20%20%20database%1B[32m'}\n"
    )
    result = doctor("--config", str(config))
    assert result.exit_code == 4
    assert result.stdout == ""
    first, *others = result.stderr.splitlines()
    assert first == "error: the configuration has 4 problems:"
    assert len(others) == 4
    assert all(line.startswith(f"  - {config} line ") for line in others), "nothing else begins a line"
    assert all(character == "\n" or character.isprintable() for character in result.stderr)
    assert "line 2: shards is 'many': a whole number is allowed" in result.stderr
    told = json.loads(doctor("--config", str(config), "--json").stdout)["error"]["message"]
    assert told.count("\n- ") == 4


def test_a_queue_whose_table_an_older_package_did_not_make(tmp_path: Path) -> None:
    file = tmp_path / "orders.db"
    with blocking.App(f"sqlite:///{file}", sweep=False):
        pass
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE ow_letters")
    config = tmp_path / "orders.yaml"
    config.write_text(f"databases: ['sqlite:///{file}']\nqueue:\n  enabled: true\n")
    found = findings(doctor("--config", str(config), "--json"))
    assert found["database 1"][0], "orders do not need it"
    is_well, told, _ = found["queue"]
    assert not is_well
    assert "has no table ow_letters" in told
    assert f"`orderway migrate --config {config}`" in told


def test_tables_that_cannot_be_compared_are_said_to_be_so(urls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("alembic", "orderway.sql.migrat"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "alembic", None)
    result = doctor("--url", urls[0], "--url", urls[1])
    assert result.exit_code == 0, result.output
    assert "tables of database 2: its user may read and write them; not compared with" in result.output
    assert "pip install 'orderway[migrate]'" in result.output


def without_root(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python as somebody for whom the modes of files count, whoever runs the tests."""
    drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    return subprocess.run([*drop, sys.executable, *words], capture_output=True, text=True, check=False)


START = """
import asyncio, sys
from orderway import App
from orderway.errors import MissingRights
try:
    asyncio.run(App(sys.argv[1], sweep=False).start())
except MissingRights as error:
    print(error)
"""
COMMAND = "from orderway.cli import main; main()"


@pytest.mark.parametrize("what", ["orders.db", "orders.db-lock", "."])
def test_a_file_that_may_not_be_written_to(what: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    with blocking.App(url, sweep=False):
        pass
    (tmp_path / what).chmod(0o555)
    try:
        started = without_root("-c", START, url)
        looked = without_root("-c", COMMAND, "doctor", "--url", url)
    finally:
        (tmp_path / what).chmod(0o755)
    for told in (started.stdout, looked.stdout):
        assert "may not be written to, nothing was done: " in told, started.stderr + looked.stderr
        assert "Let the user of this process write to the file, to its folder" in told
    assert looked.returncode == 1


@pytest.mark.parametrize("kind", ["postgresql_url", "mariadb_url"])
def test_a_server(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(kind)
    is_well, found, advice = findings(doctor("--url", url, "--json"))["database 1"]
    assert not is_well
    assert "it has no tables of Orderway; `orderway migrate --url URL` makes them" in found
    with blocking.App(url, sweep=False):
        assert doctor("--url", url).exit_code == 0
    parts = urlsplit(url)
    wrong = parts._replace(netloc=f"orderway:geheim@{parts.hostname}:{parts.port}").geturl()
    result = doctor("--url", wrong, "--json")
    is_well, found, advice = findings(result)["database 1"]
    assert not is_well
    assert "refuses us" in found
    assert "Check user, password, database" in found
    assert "geheim" not in result.output
    nowhere = parts._replace(netloc="orderway:geheim@127.0.0.1:1").geturl()
    result = doctor("--url", nowhere, "--json")
    is_well, found, advice = findings(result)["database 1"]
    assert not is_well
    assert advice.startswith("see that the server runs"), found
    assert "geheim" not in result.output


def test_a_blocking_app_from_its_configuration(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    settings = load_settings(environ={}, databases=[url], shards=2, worker={"sweep": False})
    with blocking.App.from_settings(settings) as app:
        app.register(Song())
        assert app.forward(app.create(1, "ann")).is_final
    assert "2 shards in one database" in doctor("--url", url).output
