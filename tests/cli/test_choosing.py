"""Which databases a command means: by an option, a variable, a configuration, or an App; and that all agree on them."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner, Result

from orderway import App, Business, Status, blocking
from orderway.cli.choosing import Settings, chosen
from orderway.cli.commands import orderway
from orderway.cli.opening import running
from orderway.config import load_settings
from orderway.errors import ConfigError

ORIGINAL = """
order:
  SqlxName: "order"
  TableShardNums: 2
components:
  sqlx:
    order:
      Driver: {driver}
      Source: '{source}'
"""
OURS = "databases: sqlite:///kiosk.db\nshards: 2\n"
KIOSK = """
from orderway import App, Business, blocking
from orderway.config import load_settings


class Song(Business[None]):
    order_type = 1

    def deliver(self, order, delivery):
        pass


def configured():
    app = App.from_settings(load_settings("orders.yaml", environ={}))
    app.register(Song())
    return app


def waiting():
    return blocking.App.from_settings(load_settings("orders.yaml", environ={}))


def plain():
    redis = "redis://:geheim@127.0.0.1:1/0"
    return App("sqlite:///kiosk.db", shards=2, ids="sequence", sweep=False, queue="store", redis=redis)


def ported():
    return App(configured().ports)


class Kiosk(App):
    shards = property(lambda self: "of coconuts")

    def __init__(self, *args, **options):
        self.settings = {"colour": "red"}
        super().__init__(*args, **options)
        self.queue = ["ann", "bob"]


def own():
    return Kiosk("sqlite:///kiosk.db", shards=2, queue="store")


def own_configured():
    return Kiosk.from_settings(load_settings("orders.yaml", environ={}))
"""


class Song(Business[None]):
    order_type = 1

    def deliver(self, order: object, delivery: object) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with two configurations and a module that makes Apps; nothing is said by the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("APP", "CONFIG", "DATABASES", "SHARDS", "URL"):
        monkeypatch.delenv(f"ORDERWAY_{name}", raising=False)
    (tmp_path / "orders.yaml").write_text(OURS)
    (tmp_path / "default.yaml").write_text(ORIGINAL.format(driver="sqlite3", source="kiosk.db"))
    (tmp_path / "kiosk.py").write_text(KIOSK)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("kiosk", None)
    yield tmp_path
    sys.modules.pop("kiosk", None)


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(orderway, words, env=environment)


def advised(result: Result) -> list[str]:
    """The words of the command that the doctor names, behind ``orderway``."""
    (command,) = re.findall(r"`orderway (migrate[^`]*)`", result.output)
    return shlex.split(command)


def first_order(config: str, **overrides: Any) -> str:
    """The first order, through an App from these settings, which makes no tables of its own where there are some."""
    with blocking.App.from_settings(load_settings(config, environ={}, **overrides)) as app:
        app.register(Song())
        order = app.forward(app.create(1, "ann"))
    assert order.status is Status.FINISHED
    return order.id


WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "option": (["--config", "orders.yaml"], {}),
    "variable": ([], {"ORDERWAY_CONFIG": "orders.yaml"}),
    "variables": ([], {"ORDERWAY_DATABASES": "sqlite:///kiosk.db", "ORDERWAY_SHARDS": "2"}),
    "original": (["--config", "default.yaml"], {}),
    "original by variable": ([], {"ORDERWAY_CONFIG": "default.yaml"}),
    "app": (["--app", "kiosk:configured"], {}),
    "blocking app": (["--app", "kiosk:waiting"], {}),
    "app by variable": ([], {"ORDERWAY_APP": "kiosk:configured"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_the_doctor_advises_makes_what_the_app_needs(folder: Path, way: str) -> None:
    words, environment = WAYS[way]
    config = "default.yaml" if "original" in way else "orders.yaml"
    ill = run("doctor", *words, **environment)
    assert ill.exit_code == 1
    assert not list(folder.glob("*.db"))
    listed = run("list", *words, **environment)
    assert listed.exit_code == 4
    assert advised(listed) == advised(ill)

    made = run(*advised(ill), **environment)
    assert made.exit_code == 0, made.output
    assert "kiosk.db: shard 0 to 1\n" in made.output
    assert [file.name for file in folder.glob("*.db")] == ["kiosk.db"]
    order_id = first_order(config)
    listed = run("list", *words, "--json", **environment)
    assert [order["id"] for order in json.loads(listed.stdout)["orders"]] == [order_id]
    well = run("doctor", *words, **environment)
    assert well.exit_code == 0, well.output
    assert "2 shards in one database" in well.output
    assert run("verify", *words, **environment).exit_code == 0


def test_an_option_stands_before_the_command_too(folder: Path) -> None:
    assert run("--config", "orders.yaml", "migrate").exit_code == 0
    assert (folder / "kiosk.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql_url", "mariadb_url"])
def test_on_a_server(folder: Path, kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(kind)
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if kind == "mariadb_url":
        source = f"{user}:{password}@tcp({parts.hostname}:{parts.port}){parts.path}?charset=utf8mb4"
        text = ORIGINAL.format(driver="mysql", source=source)
    else:
        source = f"host={parts.hostname} port={parts.port} user={user} password={password} dbname={parts.path[1:]}"
        text = ORIGINAL.format(driver="postgres", source=source)
    (folder / "default.yaml").write_text(text)

    ill = run("doctor", ORDERWAY_CONFIG="default.yaml")
    assert advised(ill) == ["migrate", "--config", "default.yaml"]
    # Of the same database, named by its URL in the same shell: as many shards as its configuration says.
    made = run("migrate", "--url", url, ORDERWAY_CONFIG="default.yaml")
    assert made.exit_code == 0, made.output
    assert "shard 0 to 1\n" in made.stdout
    first_order("default.yaml")
    assert run("migrate", *advised(ill)[1:]).exit_code == 0
    well = run("doctor", ORDERWAY_CONFIG="default.yaml")
    assert well.exit_code == 0, well.output
    wrong = run("migrate", "--shards", "3", "--url", url, ORDERWAY_CONFIG="default.yaml")
    assert wrong.exit_code == 2
    assert "order.TableShardNums" in wrong.stderr
    other = run("list", ORDERWAY_URL="sqlite:///other.db", ORDERWAY_CONFIG="default.yaml")
    assert other.exit_code == 4
    assert f":{parts.port}{parts.path}" in other.stderr
    unmade = run("doctor", "--url", url.replace(parts.path, "/nowhere"))
    assert unmade.exit_code == 1
    everything = "".join(each.output for each in (ill, made, well, wrong, other, unmade))
    assert f":{password}@" not in everything
    assert f"={password} " not in everything


def test_an_option_comes_before_the_environment(folder: Path) -> None:
    run("migrate", "--config", "orders.yaml")
    everywhere = {"ORDERWAY_URL": "sqlite:///no.db", "ORDERWAY_APP": "no:app", "ORDERWAY_CONFIG": "no.yaml"}
    for words in (["--url", "sqlite:///kiosk.db"], ["--app", "kiosk:configured"], ["--config", "orders.yaml"]):
        listed = run("list", *words, **everywhere)
        assert (listed.exit_code, listed.output) == (0, "no orders\n"), words
    # An App knows its own database, whatever else the environment says; as it ever was.
    assert run("list", **everywhere | {"ORDERWAY_APP": "kiosk:configured"}).exit_code == 0


def test_variables_say_more_of_a_file_as_they_do_for_an_app(folder: Path) -> None:
    made = run("migrate", "--config", "orders.yaml", ORDERWAY_SHARDS="3")
    assert "kiosk.db: shard 0 to 2\n" in made.output
    wrong = run("migrate", "--config", "orders.yaml", "--shards", "2", ORDERWAY_SHARDS="3")
    assert wrong.exit_code == 2
    assert "--shards 2 contradicts shards=3 of variable ORDERWAY_SHARDS" in wrong.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--url", "sqlite:///kiosk.db", "--config", "orders.yaml"],
        ["list", "--app", "kiosk:configured", "--config", "orders.yaml"],
        ["doctor", "--url", "sqlite:///kiosk.db", "--app", "kiosk:configured"],
        ["--config", "orders.yaml", "migrate", "--url", "sqlite:///kiosk.db"],
        ["hints", "--queue", "store", "--config", "orders.yaml"],
    ],
)
def test_what_excludes_each_other(folder: Path, words: list[str]) -> None:
    done = run(*words)
    assert (done.exit_code, "exclude each other" in done.stderr) == (2, True), done.output


def test_a_worker_takes_its_database_from_its_app(folder: Path) -> None:
    done = run("worker", "kiosk:configured", "--config", "orders.yaml")
    assert (done.exit_code, "leave out --app, --url and --config" in done.stderr) == (2, True), done.output
    assert "orderway worker shop:app" in run("worker", ORDERWAY_CONFIG="orders.yaml").stderr


def test_a_url_beside_a_configuration_names_the_same_databases_or_is_an_error(folder: Path) -> None:
    both = {"ORDERWAY_URL": f"sqlite:///{folder}/kiosk.db", "ORDERWAY_CONFIG": "orders.yaml"}
    assert "shard 0 to 1\n" in run("migrate", **both).output
    assert run("list", **both).output == "no orders\n"
    for command in ("list", "migrate", "doctor", "verify"):
        done = run(command, **both | {"ORDERWAY_URL": "sqlite:///other.db"})
        assert done.exit_code == 4
        assert f"ORDERWAY_URL {folder}/other.db, by ORDERWAY_CONFIG {folder}/kiosk.db" in done.stderr
    assert not (folder / "other.db").exists()


def test_a_url_beside_a_configuration_may_be_that_of_a_user_who_may_make_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "orders.yaml").write_text("databases: postgresql://shop:geheim@db:5432/orders\nshards: 2\n")
    url = "postgresql://owner:hunter2@db/orders?application_name=deploy"
    monkeypatch.setenv("ORDERWAY_CONFIG", "orders.yaml")
    monkeypatch.setenv("ORDERWAY_URL", url)
    found = chosen(Settings())
    assert (found.urls, found.shards) == ((url,), 2)
    assert "hunter2" not in repr(found)
    monkeypatch.setenv("ORDERWAY_URL", url.replace("@db", "@other"))
    with pytest.raises(
        ConfigError, match="different databases: by ORDERWAY_URL postgresql://other:5432/orders,"
    ) as caught:
        chosen(Settings())
    assert "by ORDERWAY_CONFIG postgresql://db:5432/orders." in str(caught.value)
    assert not {"geheim", "hunter2"} & set(re.split(r"\W", str(caught.value)))


def test_whoever_worked_on_the_default_file_is_told_that_it_is_not_meant(folder: Path) -> None:
    run("migrate")
    run("migrate", "--config", "orders.yaml")
    listed = run("list", ORDERWAY_CONFIG="orders.yaml")
    assert listed.stdout == "no orders\n"
    assert f"the database is that of ORDERWAY_CONFIG, not {folder}/orders.db" in listed.stderr
    (folder / "orders.yaml").write_text("databases: sqlite:///./orders.db\n")
    assert run("list", ORDERWAY_CONFIG="orders.yaml").stderr == ""


def test_shards_that_contradict_are_an_error(folder: Path) -> None:
    for words, source in (
        (["--config", "orders.yaml"], "orders.yaml line 2"),
        (["--config", "default.yaml"], "default.yaml line 4, order.TableShardNums"),
        (["--app", "kiosk:configured"], "orders.yaml line 2"),
        (["--app", "kiosk:plain"], "your App"),
    ):
        for command in (["migrate"], ["schema", "--dialect", "sqlite"]):
            done = run(*command, *words, "--shards", "3")
            assert done.exit_code == 2
            assert f"--shards 3 contradicts shards=2 of {source}: " in done.stderr
    assert not list(folder.glob("*.db"))
    assert run("migrate", "--config", "orders.yaml", "--shards", "2").exit_code == 0


def test_shards_of_a_database_that_is_named_by_its_url_alone(folder: Path) -> None:
    same = run("migrate", "--url", "sqlite:///./kiosk.db", ORDERWAY_CONFIG="orders.yaml")
    assert "kiosk.db: shard 0 to 1\n" in same.stdout
    other = run("migrate", "--url", "sqlite:///other.db", ORDERWAY_CONFIG="orders.yaml")
    assert "other.db: shard 0\n" in other.stdout
    assert f"ORDERWAY_CONFIG: shards=2 is for {folder}/kiosk.db" in other.stderr
    third = run("migrate", "--url", "sqlite:///third.db", ORDERWAY_SHARDS="3")
    assert "third.db: shard 0 to 2\n" in third.stdout
    unread = run("migrate", "--url", "sqlite:///fourth.db", ORDERWAY_CONFIG="no.yaml")
    assert (unread.exit_code, "give --shards" in unread.stderr) == (4, True)
    given = run("migrate", "--url", "sqlite:///fourth.db", "--shards", "2", ORDERWAY_CONFIG="no.yaml")
    assert "fourth.db: shard 0 to 1\n" in given.stdout
    looked = run("migrate", "--check", "--url", "sqlite:///fifth.db", "--shards", "2")
    assert advised(looked) == ["migrate", "--url", "sqlite:///fifth.db", "--shards", "2"]


def test_a_configuration_of_other_databases_stops_no_command_that_names_its_own(folder: Path) -> None:
    for others in ("memory://", "postgresql://ann:geheim@db/orders", "no://such"):
        for number in ("2", "3"):
            url = f"sqlite:///{len(others)}-{number}.db"
            made = run("migrate", "--url", url, "--shards", number, ORDERWAY_DATABASES=others)
            assert (made.exit_code, made.stderr) == (0, "")
    unsaid = run("migrate", "--url", "sqlite:///kiosk.db", ORDERWAY_DATABASES="memory://", ORDERWAY_SHARDS="2")
    assert "kiosk.db: shard 0\n" in unsaid.stdout
    assert "ORDERWAY_DATABASES: shards=2 is for memory://, not for what --url names" in unsaid.stderr
    for urls in (("memory://", "sqlite:///kiosk.db"), ("sqlite:///kiosk.db", "memory://")):
        listed = run("list", ORDERWAY_URL=urls[0], ORDERWAY_DATABASES=urls[1])
        assert listed.exit_code == 4
        assert "the environment names different databases: by ORDERWAY_URL " in listed.stderr


def test_what_is_advised_of_unfinished_tables_finishes_them(folder: Path) -> None:
    def advice(*words: str, **environment: str) -> str:
        told = run("migrate", *words, **environment)
        assert told.exit_code == 4, told.output
        assert "and set `shards` to it where your App or configuration says it" in told.stderr
        return shlex.join(advised(told))

    run("migrate", "--url", "sqlite:///kiosk.db", "--shards", "4")
    with closing(sqlite3.connect("kiosk.db")) as file, file:
        file.execute("DELETE FROM ow_meta")
    by_url = "migrate --url sqlite:///kiosk.db --shards N"
    assert advice("--url", "sqlite:///kiosk.db", "--shards", "2") == by_url
    assert advice("--url", "sqlite:///kiosk.db", ORDERWAY_SHARDS="2") == by_url
    assert advice("--app", "kiosk:plain") == "migrate --app kiosk:plain --shards N"
    by_config = advice("--config", "orders.yaml", "--shards", "2")
    assert by_config == "migrate --config orders.yaml --shards N"
    (folder / "orders.yaml").write_text(OURS.replace("shards: 2", "shards: 4"))
    finished = run(*shlex.split(by_config.replace("N", "4")))
    assert (finished.exit_code, "kiosk.db: shard 0 to 3\n" in finished.stdout) == (0, True), finished.output


def test_schema_counts_as_the_configuration_does(folder: Path) -> None:
    def printed(*words: str, **environment: str) -> Any:
        done = run("schema", "--dialect", "sqlite", "--json", *words, **environment)
        return json.loads(done.stdout) if done.exit_code == 0 else done.output

    assert printed()["shards"] == 1
    assert printed(ORDERWAY_CONFIG="default.yaml")["shards"] == 2
    assert printed("--app", "kiosk:configured")["shards"] == 2
    (folder / "orders.yaml").write_text("databases: [sqlite:///a.db, sqlite:///b.db]\n")
    assert "--database N is missing: for which of the 2" in printed("--config", "orders.yaml")
    assert printed("--config", "orders.yaml", "--database", "2")["shards"] == 2
    wrong = printed("--config", "orders.yaml", "--databases", "3", "--database", "2")
    assert "--databases 3 contradicts the 2 of orders.yaml line 1" in wrong


def test_the_doctor_examines_what_the_app_has(folder: Path) -> None:
    more = "redis:\n  url: redis://:geheim@127.0.0.1:1/0\nids: sequence\nqueue:\n  enabled: true\n"
    (folder / "orders.yaml").write_text(OURS + more)
    run("migrate", "--app", "kiosk:configured")
    for words in (["--app", "kiosk:configured"], ["--config", "orders.yaml"], ["--app", "kiosk:plain"]):
        done = run("doctor", *words, "--json")
        document = json.loads(done.stdout)
        rows = {row["key"]: row["value"] for row in document["configuration"]}
        parts = {each["part"]: each for each in document["findings"]}
        assert (rows["shards"], rows["ids"]) == ("2", "sequence")
        assert rows.get("redis.url", "redis://:***@127.0.0.1:1/0") == "redis://:***@127.0.0.1:1/0"
        assert not parts["redis"]["ok"]
        assert parts["queue"]["ok"]
        assert "geheim" not in done.output
    assert run("hints", "--config", "orders.yaml").output == "no dead letters in the orders' own database\n"


def test_an_app_of_ready_ports_says_what_it_lacks(folder: Path) -> None:
    for command in ("migrate", "doctor"):
        done = run(command, "--app", "kiosk:ported")
        assert (done.exit_code, "not the URL of its database: give --url" in done.stderr) == (4, True), done.output


@pytest.mark.parametrize("name", ["own", "own_configured"])
def test_an_app_may_have_attributes_of_its_own(folder: Path, name: str) -> None:
    for command in ("migrate", "list", "doctor"):
        done = run(command, "--app", f"kiosk:{name}")
        assert done.exit_code == 0, done.output
    assert "2 shards in one database" in done.output
    assert ("queue: " in done.output) == (name == "own")
    assert sys.modules["kiosk"].own().settings == {"colour": "red"}


def test_a_module_may_have_a_hyphen_in_its_name(folder: Path) -> None:
    (folder / "kiosk.py").rename(folder / "my-kiosk.py")
    assert run("migrate", "--app", "my-kiosk:configured").exit_code == 0
    assert run("list", "--app", "my-kiosk:configured").output == "no orders\n"
    assert "'my-kiosk': module:attribute is expected" in run("list", "--app", "my-kiosk").stderr


async def test_what_moves_orders_works_as_the_configuration_says(folder: Path) -> None:
    (folder / "orders.yaml").write_text(f"{OURS}wallets: [wallet, points]\nids: sequence\nqueue: {{enabled: true}}\n")
    async with App.from_settings(load_settings("orders.yaml", environ={}, worker={"sweep": False})):
        pass
    async with running(Settings(config=Path("orders.yaml"))) as app:
        assert set(app.channels) == {"wallet", "points"}
        assert (app.numbering.draws, app.businesses) == (True, {})
        assert app.hinting is not None


def test_an_operator_holds_an_order_by_the_configuration(folder: Path) -> None:
    hasty = run(
        "retry-now", "--all", "--type", "1", "--actor", "m", "--reason", "r", "--config", "orders.yaml", "--yes"
    )
    assert (hasty.exit_code, advised(hasty)) == (4, ["migrate", "--config", "orders.yaml"])
    assert not list(folder.glob("*.db"))
    with blocking.App.from_settings(load_settings("orders.yaml", environ={}, worker={"sweep": False})) as app:
        app.register(Song())
        order_id = app.create(1, "ann").id
    held = run("hold", order_id, "--actor", "mia", "--reason", "why not", "--config", "orders.yaml", "--json")
    assert held.exit_code == 0, held.output
    assert json.loads(held.stdout)["order"]["stage"] == "failing"
    assert "needs your App" in run("forward", order_id, "--config", "orders.yaml").stderr
    assert run("stuck", ORDERWAY_CONFIG="orders.yaml").exit_code == 0


@pytest.mark.parametrize("given", ["mysql://u:geheim@h/d", "postgresql://u:geheim@h/d"])
def test_a_url_in_the_place_of_a_file_is_not_shown(folder: Path, given: str) -> None:
    for done in (run("list", "--config", given), run("list", ORDERWAY_CONFIG=given)):
        assert (done.exit_code, "a file is expected, and a URL was given" in done.stderr) == (4, True), done.output
        assert "geheim" not in done.output


WITHOUT = """
import importlib.util, json, sys
from click.testing import CliRunner

missing, commands = json.loads(sys.stdin.read())
sys.modules.update(dict.fromkeys(missing))
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in missing else real(name, *more)
from orderway.cli.commands import orderway

done = [CliRunner().invoke(orderway, words, env=environment) for words, environment in commands]
print(json.dumps([(each.exit_code, each.output) for each in done]))
"""


def run_without(missing: Sequence[str], *commands: tuple[str, dict[str, str]]) -> list[tuple[int, str]]:
    """Exit codes and outputs of commands, each with its environment, in one process that has not these packages."""
    given = json.dumps([missing, [(shlex.split(words), environment) for words, environment in commands]])
    done = subprocess.run([sys.executable, "-c", WITHOUT], input=given, stdout=subprocess.PIPE, text=True, check=True)
    return [(code, output) for code, output in json.loads(done.stdout)]


@pytest.mark.slow
def test_without_the_extra_all_else_works(folder: Path) -> None:
    words = ("migrate --shards 2", "list", "verify", "doctor")
    *others, listed = run_without(
        ["pydantic", "yaml"],
        *((f"{each} --url sqlite:///kiosk.db", {}) for each in words),
        ("list --config orders.yaml", {}),
    )
    assert [code for code, _ in others] == [0, 0, 0, 0], others
    assert (listed[0], "pip install 'orderway[config]'" in listed[1]) == (4, True), listed


@pytest.mark.slow
def test_databases_are_compared_without_their_drivers(folder: Path) -> None:
    here, there = "postgresql://ann:geheim@db/orders", "postgresql://bob@db:5432/orders"
    made, printed, listed = run_without(
        ["asyncpg"],
        ("migrate --url sqlite:///kiosk.db --shards 2", {"ORDERWAY_DATABASES": here}),
        ("schema --dialect sqlite", {"ORDERWAY_DATABASES": here, "ORDERWAY_URL": there}),
        ("list", {"ORDERWAY_DATABASES": here, "ORDERWAY_URL": there.replace("@db", "@other")}),
    )
    assert (made[0], "kiosk.db: shard 0 to 1\n" in made[1]) == (0, True), made
    assert (printed[0], "CREATE TABLE" in printed[1]) == (0, True), printed
    assert (listed[0], "names different databases" in listed[1]) == (4, True), listed
