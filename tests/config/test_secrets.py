"""Passwords show nowhere: the more hostile they are, the less."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, strategies
from pydantic import ValidationError

from orderway.config import SecretUrl, Settings, effective, load_settings
from orderway.config.environment import variable_of
from orderway.config.secret_url import check_database_url, check_redis_url, mask
from orderway.errors import ConfigError

HOSTILE = [
    *("p@ss", "a:b", "a/b", "50%", "%zz", "it's", 'say "x"', "🐟🐟", "sweep", "shards", "databases", "a b", "#x", "?x"),
    *("!tag", "*alias", "&anchor", "[x", "{x", "mysql://x:y@z", "a@b:3306/c", "h/0?x=1", "\\", "%40", "0123", "null"),
    *("unix(/x)", "@tcp(h)/o", "password", "***", "x" * 300, "é", "a,b", "`", "|", "$(x)"),
]


def shown(settings: Settings) -> str:
    """Everything of the settings that may get somewhere by itself."""
    arguments = settings.app_arguments()
    return "\n".join(
        [
            *(repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()),
            *(f"{settings.databases[0]} {settings.databases!r}", f"{settings.redis.url}", f"{settings.queue.url}"),
            str(effective(settings)),
            *(repr(copy.deepcopy(settings)), repr(arguments["redis"]), str(settings.sources), str(settings.unused)),
        ]
    )


def told(call: Callable[[], object]) -> str:
    """The error of a call, with its traceback and all that it is chained to."""
    with pytest.raises(ConfigError) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return "".join(traceback.format_exception(caught.value))


def with_password(password: str, **further: object) -> Settings:
    encoded = quote(password, safe="")
    redis = {"url": f"redis://user:{encoded}@cache/0"}
    queue = {"enabled": True, "kind": "rabbitmq", "url": f"amqp://user:{encoded}@mq/%2F?queue=hints"}
    return load_settings(environ={}, databases=f"mysql://user:{encoded}@db/orders", redis=redis, queue=queue, **further)


@pytest.mark.parametrize("password", HOSTILE)
def test_what_is_shown_does_not_depend_on_the_password(password: str) -> None:
    settings = with_password(password)
    assert shown(settings) == shown(with_password("tame"))
    assert settings.urls == (f"mysql://user:{quote(password, safe='')}@db/orders",)
    assert settings.app_arguments()["queue"] == f"amqp://user:{quote(password, safe='')}@mq/%2F?queue=hints"


@pytest.mark.parametrize("password", HOSTILE)
def test_what_an_error_says_does_not_depend_on_the_password(password: str) -> None:
    wrong = {"shards": "x", "nonsense": 1, "wallets": ["A"]}
    hostile, tame = (told(partial(with_password, each, **wrong)) for each in (password, "tame"))
    assert hostile == tame


@pytest.mark.parametrize("password", HOSTILE)
def test_the_originals_sources_take_a_password_as_it_is(password: str, tmp_path: Path) -> None:
    def load(secret: str, shards: str) -> Settings:
        quoted = secret.replace("'", "''")
        file = tmp_path / "default.yaml"
        file.write_text(
            f"order: {{TableShardNums: {shards}}}\ncomponents:\n  sqlx:\n    order:\n      Driver: mysql\n"
            f"      Source: 'user:{quoted}@tcp(db:3306)/orders'\n"
            f"  redis:\n    order:\n      Address: cache:6379\n      Password: '{quoted}'\n"
            f"  pulsar-producer: {{order: {{AuthBasicUser: me, AuthBasicPassword: '{quoted}'}}}}\n"
            f"services: {{pulsar-consume: {{order: {{AuthBasicUser: me, AuthBasicPassword: '{quoted}'}}}}}}\n"
        )
        return load_settings(file, environ={})

    settings = load(password, "2")
    assert settings.urls == (f"mysql://user:{quote(password, safe='')}@db:3306/orders",)
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == f"redis://:{quote(password, safe='')}@cache:6379/0"
    assert settings.queue.url is not None
    assert settings.queue.url.get_secret_value().startswith(f"pulsar://me:{quote(password, safe='')}@localhost:6650/")
    assert shown(settings) == shown(load("tame", "2"))
    hostile, tame = (told(partial(load, each, "x")) for each in (password, "tame"))
    assert hostile == tame


@pytest.mark.parametrize(
    "line",
    [
        *("Password: !hunter2", "Password: *hunter2", "Password: @hunter2", "Password: %hunter2", "Password: [hunter2"),
        *("Password: 'hunter2", "Password: `hunter2", "Password: {hunter2: ", "Password: hunter2: x", '- "hunter2'),
        *(
            "Password: \thunter2: x",
            "hunter2",
            "Password: |hunter2",
            "Password: &hunter2 &x y",
            "Password: !!hunter2 [x",
        ),
    ],
)
def test_yaml_that_is_wrong_is_not_quoted(line: str, tmp_path: Path) -> None:
    file = tmp_path / "default.yaml"
    file.write_text(f"databases: memory://\ncomponents:\n  redis:\n    order:\n      {line}\n")
    said = told(lambda: load_settings(file, environ={}))
    assert "hunter2" not in said
    assert f"{file} line " in said


@pytest.mark.parametrize(
    "values",
    [
        {"databases": "user:hunter2@tcp(db:3306)/orders"},
        {"databases": "mysql://user:hunter2"},
        {"databases": "mysql://user:hunter2@db:x/orders"},
        {"databases": "mysql://user:hunter2@[::1/orders"},
        {"databases": "mysql://user:hunter2@db"},
        {"databases": "mysql://user:hunter2@db:99999/orders"},
        {"databases": "mysql://user:hunter2@d\u2100b/orders"},
        {"databases": "mysql://user:p#hunter2@db/orders"},
        {"databases": "mysql://user:p/hunter2@db/orders"},
        {"databases": "mysql://user:p@hunter2@db/orders"},
        {"databases": "mysql://user:50%hunter2@db/orders"},
        {"databases": "oracle://user:hunter2@db/orders"},
        {"databases": '["mysql://user:hunter2@db/orders"'},
        {"databases": '[{"url": "hunter2"}]'},
        {"redis.url": "redis://:hunter2@cache/zero"},
        {"redis.url": "http://:hunter2@cache/0"},
        {"redis.url": "redis://:p/hunter2@cache/0"},
        {"redis": "redis://:hunter2@cache/0"},
        {"redis.password": "hunter2"},
        {"redis.lock": "redis://:hunter2@cache/0"},
        {"queue.url": "pulsar://:hunter2@mq/order"},
        {"queue.url": "amqp://user:hunter2@mq:x/"},
        {"queue.url": "hunter2@mq"},
        {"queue.kind": "amqp://user:hunter2@mq"},
        {"queue": "amqp://user:hunter2@mq"},
        {"shards": "mysql://user:hunter2@db/orders"},
        {"ids": "user:hunter2@tcp(db)/orders"},
    ],
    ids=str,
)
def test_an_error_of_a_secret_shows_none(values: dict[str, str], tmp_path: Path) -> None:
    environ = {variable_of(key): value for key, value in ({"databases": "memory://"} | values).items()}
    said = told(lambda: load_settings(environ=environ))
    assert "hunter2" not in said
    assert f"variable {variable_of(next(iter(values)))}: " in said


@pytest.mark.parametrize("values", [{"databases": [8675309]}, {"databases": "memory://", "redis": {"url": 8675309}}])
def test_a_secret_of_another_type_shows_none(values: dict[str, object]) -> None:
    said = told(lambda: load_settings(environ={}, **values))
    assert "is ***: a text is allowed" in said.splitlines()[-1]


def test_settings_made_by_hand_say_no_secret_either() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(databases=["mysql://user:hunter2"], shards="mysql://user:hunter2@db")  # type: ignore[arg-type]  # wrong on purpose
    assert "hunter2" not in str(caught.value)


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with_password("hunter2").app_arguments()
    assert "hunter2" not in caplog.text


def test_a_secret_url_gives_itself_only_when_asked() -> None:
    url = SecretUrl("mysql://user:hunter2@db/orders?ssl_password=hunter2&sslmode=require")
    assert str(url) == "mysql://user:***@db/orders?ssl_password=***&sslmode=require"
    assert repr(url) == f"SecretUrl('{url}')"
    assert f"{url}" == str(url)
    assert url.get_secret_value().count("hunter2") == 2
    assert url == pickle.loads(pickle.dumps(url))


MASKED = [
    ("sqlite:///orders.db", "sqlite:///orders.db"),
    ("mysql://db/orders", "mysql://db/orders"),
    ("mysql://user@db/orders", "mysql://user@db/orders"),
    ("postgresql://user:x@[::1]:5432/orders", "postgresql://user:***@[::1]:5432/orders"),
    ("postgresql://user:x@a:1,b:2/orders", "postgresql://user:***@a:1,b:2/orders"),
    ("redis://:x@cache", "redis://:***@cache"),
    ("redis://us er:x@cache", "redis://***:***@cache"),
    ("mysql://user:x@db:port/orders", "mysql://***"),
    ("user:x@tcp(db)/orders", "***"),
    ("x://y", "***"),
]


@pytest.mark.parametrize(("url", "masked"), MASKED)
def test_what_is_harmless_is_shown(url: str, masked: str) -> None:
    assert mask(url) == masked


@given(strategies.text(max_size=30), strategies.sampled_from(["mysql", "postgresql", "redis"]))
def test_no_password_shows_however_it_is_written(text: str, scheme: str) -> None:
    password = f"Zq{text}Zq"
    raw = f"{scheme}://user:{password}@host:1/0"
    encoded = f"{scheme}://user:{quote(password, safe='')}@host:1/0"
    assert mask(encoded) == f"{scheme}://user:***@host:1/0"
    assert "Zq" not in mask(raw)
    check = check_redis_url if scheme == "redis" else check_database_url
    check(encoded)
    try:
        check(raw)
    except ValueError as refused:
        said = "".join(traceback.format_exception(refused, chain=True))
    else:
        said = ""
    assert "Zq" not in said.partition("ValueError: ")[2]
