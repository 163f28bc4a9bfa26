"""A password where none belongs shows in no error: of the App, of the command line, of the configuration."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from orderway import App, ConfigError
from orderway.adapters import places_for
from orderway.cli.commands import orderway
from orderway.config import load_settings
from orderway.config.environment import variable_of
from orderway.redis import RedisParts

# Each piece of the passwords below has this in it.
CANARY = "anary"

DATABASES = [
    "host=h user=u password=Canary dbname=x",
    "u:Canary@tcp(h:3306)/x",
    "canary",
    "Canary://u:p@h/x",
    "canary/canary://u:p@h/x",
    "oracle://u:canary@h/x",
    "memory://u:canary@h",
    "sqlite://u:canary@h/x",
    "sqlite://u:can/canary@h/x",
    "sqlite:///u:canary@h/x",
    "sqlite://u:canary@h//x",
    "postgresql://u%3Acanary%40h/x",
    "postgresql:///x?host=u%3Acanary%40h",
    "postgresql:///x?host=canary%40h",
    *(
        f"{scheme}://{rest}"
        for scheme in ("mysql", "postgresql")
        for rest in (
            "/u:canary@h/x",
            "/u:canary/x",
            "/u:canary",
            "u:canary",
            "u:canary/x",
            "u:1/canary@h",
            "u:1/canary@h/x",
            "u:1?canary@h/x",
            "u:1/x?canary@h/x",
            "u:1?user=canary@h",
            "u:1?user=canary@h/x",
            "u:1/x?user=canary@h/x",
            "u:1/x?user=canary@h:5/x",
            "u:1/x?user=canary@canary@h/x",
            "u:1/x?user=a&password=canary@h",
            "u:1/x?user=a@b&canary=canary@h/x",
            "u:1/x?user=a@b&user=canary?canary@h",
            "u:1#canary@h/x",
            "u:1/canary/canary@h/x",
            "u:p@canary@h/x",
            "u:canary@h",
            "u:canary@h/",
            "u:canary@h/a/b",
            "u:canary@h:port/x",
            "u:canary@[::1/x",
            "u:canary@h\u2100/x",
            "u:canary@h/x?canary canary=1",
            "u:canary@h/x?canary",
            "u:canary@h/x?ssl=canary:canary&sslmode=canary:canary",
            "u:canary@h/x?nonsense=canary",
        )
    ),
]


def told(call: Callable[[], object]) -> str:
    """The error of a call, with its traceback, without the lines of code."""
    with pytest.raises(ConfigError) as caught:
        call()
    lines = traceback.format_exception(caught.value, chain=True)
    return "".join(line for line in lines if not line.startswith("  File "))


@pytest.mark.parametrize("url", DATABASES)
def test_in_the_url_of_a_database(url: str) -> None:
    for call in (lambda: App(url), lambda: App([url, "sqlite:///x.db"]), lambda: places_for([url])):
        assert CANARY not in told(call).lower()
    assert CANARY not in told(lambda: load_settings(environ={variable_of("databases"): url})).lower()


@pytest.mark.parametrize("url", DATABASES)
def test_on_the_command_line(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    for result in (
        runner.invoke(orderway, ["list", "--url", url]),
        runner.invoke(orderway, ["doctor", "--json", "--url", url]),
        runner.invoke(orderway, ["migrate"], env={"ORDERWAY_URL": url}),
        runner.invoke(orderway, ["verify", "--app", f"/{url}"]),
    ):
        assert result.exit_code == 4, result.output
        assert CANARY not in result.output.lower()


def test_in_a_variable_that_is_split_at_a_space_of_the_password() -> None:
    result = CliRunner().invoke(orderway, ["list"], env={"ORDERWAY_URL": "postgresql://u:canary canary@h/y"})
    assert result.exit_code == 4
    assert CANARY not in result.output
    assert "what was given is no database that Orderway knows" in result.output
    assert "a space as %20" in result.output


@pytest.mark.parametrize(
    "text",
    [
        "'redis://:canary@h/0': x",
        "'u:canary': x",
        "{'mysql://u:canary@h/x': x, 'mysql://u:canary@h/x': y}",
        "redis: {'redis://:canary@h/0': x}",
        "redis: {lock_key_format: 'redis://:canary@h/0'}",
        "redis: {lock_key_format: 'redis://:<canary>@h/0'}",
        "redis: {sequence_key_format: 'redis://:canary@h/0'}",
        "redis: {url: 'redis://:canary'}",
        "shards: 'host=h password=canary'",
        "wallets: 'mysql://u:canary@h/x'",
        "queue: {enabled: true, kind: rabbitmq, url: 'amqp://u:canary@h:x/'}",
        "queue: {enabled: true, kind: rabbitmq, url: 'amqp://u:1?canary@h/'}",
        "order: {'redis://:canary@h/0': x}",
        "order: {RedisName: 'redis://:canary@h.example/0'}\ncomponents: {redis: {'redis://:canary@g/0': {}}}",
        "order: {AllowMqCompensation: true, MQType: pulsar, MQProducerName: 'pulsar://:canary@h.example/0'}",
        "components: {sqlx: {order: {Driver: 'mysql://u:canary@h/x', Source: x}}}",
    ],
    ids=len,  # a folder is named after its test, and stands in errors
)
def test_in_a_file(text: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(text if text.startswith(("{", "components")) else f"databases: 'memory://'\n{text}\n")
    assert CANARY not in told(lambda: load_settings(file, environ={})).lower()
    result = CliRunner().invoke(orderway, ["doctor", "--config", str(file)])
    assert result.exit_code == 4
    assert CANARY not in result.output.lower()


def test_in_an_argument() -> None:
    wrong = {"redis://:canary@h/0": 1}
    assert CANARY not in told(lambda: load_settings(environ={}, databases="memory://", redis=wrong, **wrong)).lower()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:canary",
        "redis://:canary/0",
        "redis://u:canary@h\u2100/0",
        "host=h password=canary",
        "redis://u:canary@[",
    ],
)
def test_in_the_url_of_a_redis(url: str) -> None:
    assert CANARY not in told(lambda: RedisParts(url)).lower()
    assert CANARY not in told(lambda: App(redis=url)).lower()


@pytest.mark.parametrize("url", ["host=h password=canary", "amqp://u:1?canary@h/", "pulsar://u:canary@h:x/a/b/c"])
async def test_in_the_url_of_a_queue(url: str) -> None:
    assert CANARY not in told(lambda: App(queue=url)).lower()
