"""Where settings come from: which source wins, and what is said about values that are wrong."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import orderway.blocking
from orderway import App
from orderway.config import Settings, effective, load_settings
from orderway.config.environment import variable_of
from orderway.config.settings import KEYS, RedisSettings
from orderway.errors import ConfigError
from orderway.redis import Redis

URL = "sqlite:///orders.db"


def environ_of(**values: str) -> dict[str, str]:
    """Variables for keys; ``__`` stands for a dot."""
    return {variable_of(key.replace("__", ".")): value for key, value in values.items()}


def wrong(text: str = "", *, tmp_path: Path, environ: dict[str, str] | None = None, **overrides: Any) -> str:
    """What is said about this configuration, without the file's folder."""
    file = tmp_path / "orders.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ=environ or {}, **overrides)
    return str(caught.value).replace(str(file), "orders.yaml")


def right(text: str, *, tmp_path: Path, environ: dict[str, str] | None = None, **overrides: Any) -> Settings:
    file = tmp_path / "orders.yaml"
    file.write_text(text)
    return load_settings(file, environ=environ or {}, **overrides)


def test_one_database_is_all_that_is_needed() -> None:
    settings = load_settings(environ={}, databases=URL)
    assert settings.app_arguments() == {
        "url": URL,
        "shards": None,
        "wallets": ("wallet",),
        "ids": "time",
        "redis": None,
        "queue": None,
        "queue_delay_s": 60,
        "queue_message_lifetime_s": 3600,
        "sweep": True,
        "most_at_once": 256,
        "beat_every_s": 0.5,
        "dead_after_s": 3.0,
        "close_within_s": 30.0,
    }


async def test_an_app_takes_its_arguments(tmp_path: Path) -> None:
    settings = load_settings(environ={}, databases=f"sqlite:///{tmp_path}/orders.db", shards=2, wallets=["points"])
    async with App(**settings.app_arguments()) as app:
        assert set(app.channels) == {"points"}


def test_an_app_takes_several_databases(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in "ab"]
    with orderway.blocking.App(**load_settings(environ={}, databases=urls).app_arguments()):
        assert sorted(file.name for file in tmp_path.glob("*.db")) == ["a.db", "b.db"]


def test_the_defaults_are_those_of_the_app_and_of_redis() -> None:
    app = inspect.signature(App).parameters
    ours = Settings(databases=[URL])
    for name, value in {**ours.worker.model_dump(), "wallets": ours.wallets, "ids": ours.ids}.items():
        assert app[name].default == value, name
    redis = inspect.signature(Redis).parameters
    assert {name: redis[name].default for name in redis if name != "url"} == {
        name: getattr(ours.redis, name) for name in RedisSettings.model_fields if name != "url"
    }


def test_later_sources_win(tmp_path: Path) -> None:
    text = f"databases: {URL}\nshards: 2\nids: sequence\nworker: {{most_at_once: 2, beat_every_s: 1}}\n"
    environ = environ_of(shards="3", worker__most_at_once="3")
    settings = right(text, tmp_path=tmp_path, environ=environ, worker={"most_at_once": 4})
    assert (settings.ids, settings.shards, settings.worker.most_at_once) == ("sequence", 3, 4)
    assert (settings.worker.beat_every_s, settings.worker.dead_after_s) == (1.0, 3.0)
    rows = {row.key: (row.value, row.source.replace(str(tmp_path), "")) for row in effective(settings)}
    assert rows["ids"] == ("sequence", "/orders.yaml line 3")
    assert rows["shards"] == ("3", "variable " + variable_of("shards"))
    assert rows["worker.most_at_once"] == ("4", "argument worker.most_at_once")
    assert rows["worker.dead_after_s"] == ("3.0", "default")
    assert list(rows) == list(KEYS)


def test_an_empty_value_counts_as_none(tmp_path: Path) -> None:
    text = f"databases: {URL}\nshards:\nworker:\nids: ~\nredis: {{url: null}}\n"
    settings = right(text, tmp_path=tmp_path, environ=environ_of(shards="", worker__sweep=""), redis=None)
    assert (settings.shards, settings.ids, settings.worker.sweep, settings.redis.url) == (None, "time", True, None)


@pytest.mark.parametrize("several", ['["sqlite:///a.db", "sqlite:///b.db"]', '  ["sqlite:///a.db","sqlite:///b.db"]'])
def test_a_variable_gives_one_value_or_a_json_list(several: str) -> None:
    assert load_settings(environ=environ_of(databases=URL)).urls == (URL,)
    settings = load_settings(environ=environ_of(databases=several, wallets='["wallet", "points"]'))
    assert settings.urls == ("sqlite:///a.db", "sqlite:///b.db")
    assert settings.wallets == ("wallet", "points")
    assert settings.app_arguments()["shards"] is None


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(f"databases: {URL}\n")
    assert load_settings(environ={variable_of("config"): str(file)}).urls == (URL,)


def test_variables_of_the_command_line_and_the_tests_are_no_settings() -> None:
    others = {"ORDERWAY_URL": "x", "ORDERWAY_APP": "y", "ORDERWAY_SEED": "1", variable_of("test.mysql") + "_URL": "z"}
    assert load_settings(environ={**others, "HOME": "/", **environ_of(databases=URL)}).urls == (URL,)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = "databases: [sqlite://, 'oracle://db']\nworker:\n  sweeep: true\n  sweep: maybe\nids: best\n"
    environ = environ_of(redis__lock="perhaps", shards="many")
    said = wrong(text, tmp_path=tmp_path, environ=environ, wallets=["a", "a"], qeue={"enabled": False})
    assert said.splitlines() == [
        "the configuration has 9 problems:",
        "- orders.yaml line 3: there is no key worker.sweeep; did you mean worker.sweep?",
        "- argument qeue: there is no key qeue; did you mean queue?",
        "- orders.yaml line 1: databases[0]: sqlite:// names no file; allowed are sqlite:///relative.db and"
        " sqlite:////absolute.db",
        "- orders.yaml line 1: databases[1]: *** is no URL of a database; allowed are sqlite:///orders.db,"
        " postgresql://user:password@host:5432/name, mysql://user:password@host:3306/name,"
        " mariadb://user:password@host:3306/name, memory://",
        f"- variable {variable_of('shards')}: shards is 'many': a whole number is allowed",
        "- orders.yaml line 5: ids is 'best': 'time' or 'sequence' is allowed",
        "- argument wallets: wallets: a wallet is named twice; each needs a name of its own",
        f"- variable {variable_of('redis.lock')}: redis.lock is 'perhaps': true and false are allowed",
        "- orders.yaml line 4: worker.sweep is 'maybe': true and false are allowed",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "databases is missing: give at least one URL as `databases` in a file, or as the variable"),
        ("databases: []\nshards: 1\n", "line 1: databases: at least one is needed"),
        (f"databases: [{URL}, {URL}]\n", "line 1: databases: a database is named twice"),
        (f"databases: ['memory://', '{URL}']\n", "memory:// is allowed only alone"),
        (f"databases: [{URL}, sqlite:///b.db]\nshards: 1\n", "line 2: shards is 1 for 2 databases"),
        (f"databases: {URL}\nshards: 0\n", "line 2: shards is '0': at least 1 is allowed"),
        (f"databases: {URL}\nshards: 70000\n", "line 2: shards is '70000': at most 65536 is allowed"),
        (f"databases: {URL}\nshards: [1]\n", "line 2: shards is a list: a whole number is allowed"),
        (f"databases: {URL}\nsweep: no\n", "line 2: there is no key sweep; did you mean worker.sweep?"),
        (f"databases: {URL}\nworker.sweep: no\n", "line 2: there is no key worker.sweep; did you mean worker.sweep?"),
        (f"databases: {URL}\nframe: {{}}\n", "line 2: there is no key frame"),
        (f"databases: {URL}\nworker: no\n", "line 2: worker is a section; its keys stand below it"),
        (f"databases: {URL}\nworker: {{beat_every_s: 2}}\n", "line 2: worker.dead_after_s is 3: at least twice"),
        (f"databases: {URL}\nworker: {{beat_every_s: .nan}}\n", "line 2: worker.beat_every_s is '.nan': a number is"),
        (f"databases: {URL}\nworker: {{beat_every_s: nan}}\n", "line 2: worker.beat_every_s is 'nan': a number is"),
        (f"databases: {URL}\nredis: {{lock_expire_s: 0}}\n", "line 2: redis.lock_expire_s is 0.0: 0.1 to 86,400 are"),
        (f"databases: {URL}\nredis: {{url: 'redis://h/0', answer_within_s: 20}}\n", "a lock of 30.0 s is renewed"),
        (f"databases: {URL}\nredis: {{url: 'http://h/0'}}\n", "line 2: redis.url: http://h/0 is no URL of a Redis"),
        (
            f"databases: {URL}\nredis: {{sequence_key_format: x}}\n",
            "line 2: redis.sequence_key_format 'x' lacks <order",
        ),
        (f"databases: {URL}\nwallets: [Points]\n", "wallets: 'Points': a name of 1 to 32 of a-z, 0-9 and _ is allowed"),
        (f"databases: {URL}\nwallets: gateway\n", "wallets: 'gateway': a name of 1 to 32"),
        (
            f"databases: {URL}\nqueue:\n  enabled: true\n  kind: pulsar\n",
            "line 4: queue.url is missing, which queue.kind pulsar needs; its form is pulsar://host:6650/tenant/",
        ),
        (f"databases: {URL}\nqueue: {{kind: kafka}}\n", "line 2: queue.kind is 'kafka': 'store', 'pulsar' or"),
        (
            f"databases: {URL}\nqueue: {{url: 'pulsar://h'}}\n",
            "line 2: queue.url is pulsar://h, and queue.kind is store",
        ),
        (f"databases: {URL}\ndatabases: {URL}\n", "line 2: databases is given twice here"),
        (f"databases: {URL}\n? [a]\n: b\n", "line 2: a key is a list or a mapping"),
        ("- a\n", "line 1: is no mapping of keys to values"),
        ("a: [b\n", "line 2, column 1: is not YAML: expected ',' or ']'"),
        ("a: 'b\n", "is not YAML: found unexpected end of stream"),
        (f"databases: {URL}\nids: !time x\n", "line 2: a value begins with `!`, a YAML tag"),
        ("a: b\0c\n", "is not YAML: it holds a character that no text has"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*d]\n", "is not YAML: found undefined alias"),
        ("a: &a {b: *a}\n", "holds more than 10,000 values or 20 levels"),
        ("a: " + "[" * 500 + "]" * 500, "holds more than 10,000 values or 20 levels"),
        ("# " + "x" * 1_000_000, "has 1,000,002 characters; at most 1,000,000 are allowed"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    assert said in wrong(text, tmp_path=tmp_path)


def test_aliases_and_merges_are_read(tmp_path: Path) -> None:
    text = (
        f"databases: {URL}\nworker: &w {{most_at_once: 7}}\nconnections:\n  <<: {{transactions: 9, most_waiting: 5}}\n"
    )
    settings = right(text + "  most_waiting: 6\n", tmp_path=tmp_path)
    assert (settings.connections.transactions, settings.connections.most_waiting) == (9, 6)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.yaml", environ={})
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: is not UTF-8"):
        load_settings(file, environ={})


def test_wrong_variables_are_said() -> None:
    environ = environ_of(databases=URL, shards__x="1", redis="y", nonsense="z", shard="2")
    environ[variable_of("worker.sweep").replace("__", "_")] = "no"
    with pytest.raises(ConfigError) as caught:
        load_settings(environ=environ)
    lines = str(caught.value).splitlines()
    said = "\n".join(lines)
    assert f"variable {variable_of('redis')}: redis is a section: set {variable_of('redis')}__... for each" in said
    assert f"variable {variable_of('nonsense')}: there is no key nonsense" in said
    assert f"variable {variable_of('shard')}: there is no key shard; did you mean shards?" in said
    assert "there is no key worker_sweep; did you mean worker.sweep?" in said
    assert f"variable {variable_of('shards.x')}: shards is a section" in said


def test_settings_never_change() -> None:
    settings = load_settings(environ={}, databases=URL)
    with pytest.raises(ValidationError, match="frozen"):
        settings.shards = 2  # type: ignore[misc]  # the point of the test
    with pytest.raises(ValidationError, match="frozen"):
        settings.worker.sweep = False  # type: ignore[misc]  # the point of the test
    with pytest.raises(TypeError):
        settings.sources["shards"] = "elsewhere"  # type: ignore[index]  # the point of the test


@pytest.mark.parametrize(
    ("urls", "options"),
    [
        (["memory://"], {}),
        (["sqlite:///a.db"], {"lock_timeout_s": 7.0, "largest_batch": 1024, "most_waiting": 8192}),
        (
            ["mysql://h/a", "postgresql://h/a"],
            {"answer_within_s": 7.0, "transactions": 4, "largest_batch": 1024, "most_waiting": 8192},
        ),
        (["sqlite:///a.db", "mysql://h/a"], {"largest_batch": 1024, "most_waiting": 8192}),
    ],
)
def test_the_options_of_the_databases(urls: list[str], options: dict[str, Any]) -> None:
    settings = load_settings(environ={}, databases=urls, connections={"answer_within_s": 7})
    assert settings.database_options() == options


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("pydantic", "config", "import orderway.config"),
        ("yaml", "config", "import orderway.config"),
        ("papollo", "apollo", "from orderway.config import *; Apollo('http://h', 'a').load()"),
        (
            "redis",
            "redis",
            "from orderway.config import *; load_settings(databases='memory://', redis={'url': 'redis://h'})",
        ),
    ],
)
def test_a_missing_package_names_its_extra(package: str, extra: str, call: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; {call}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ConfigError" in run.stderr
    assert f"pip install 'orderway[{extra}]'" in run.stderr.splitlines()[-1]


def test_the_package_itself_needs_none_of_it() -> None:
    code = "import sys; sys.modules |= dict.fromkeys(['pydantic', 'yaml', 'papollo', 'redis']); import orderway.app"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
