"""compose.yaml is what its head says: the URLs lead to its ports, with its passwords, and the settings are durable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

TEXT = (Path(__file__).parents[2] / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
URLS = re.findall(r"export (\w+)=(\S+)", TEXT)


def test_each_url_leads_to_a_service_of_its_kind() -> None:
    ports = {}
    for name, service in SERVICES.items():
        (port,) = service["ports"]
        address, outside, _ = port.split(":")
        assert address == "127.0.0.1", "known passwords are for this machine only"
        ports[int(outside)] = name
    found = [(variable, ports[urlsplit(url).port or 0]) for variable, url in URLS]
    assert found == [
        ("ORDERWAY_TEST_POSTGRESQL_URL", "postgresql"),
        ("ORDERWAY_TEST_MYSQL_URL", "mariadb"),
        ("ORDERWAY_TEST_REDIS_URL", "redis"),
        ("ORDERWAY_TEST_RABBITMQ_URL", "rabbitmq"),
        ("ORDERWAY_TEST_MYSQL_URL", "mysql"),
    ]


@pytest.mark.parametrize(("variable", "url"), URLS)
def test_the_password_is_the_services(variable: str, url: str) -> None:
    (service,) = (each for each in SERVICES.values() if f":{urlsplit(url).port}:" in each["ports"][0])
    passwords = [value for name, value in service.get("environment", {}).items() if "PASS" in name]
    if not passwords:
        passwords = [service["command"][service["command"].index("--requirepass") + 1]]
    assert passwords == [urlsplit(url).password]


@pytest.mark.parametrize(
    ("service", "settings"),
    [
        ("postgresql", ["fsync=on", "synchronous_commit=on", "full_page_writes=on"]),
        ("mariadb", ["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=on"]),
        ("mysql", ["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=on", "--sync-binlog=1"]),
        ("redis", ["--appendonly yes", "--appendfsync always"]),
    ],
)
def test_what_is_acknowledged_is_on_disk(service: str, settings: list[str]) -> None:
    command = " ".join(SERVICES[service]["command"])
    assert [setting for setting in settings if setting not in command] == []


def test_the_versions() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert images == {
        "postgresql": "postgres:16",
        "mariadb": "mariadb:11",
        "mysql": "mysql:8.4",
        "redis": "redis:7",
        "rabbitmq": "rabbitmq:4.1",
    }


def test_each_tells_when_it_is_ready() -> None:
    assert [name for name, service in SERVICES.items() if not service["healthcheck"]["test"]] == []


def test_only_mysql_has_to_be_asked_for() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["mysql"]
