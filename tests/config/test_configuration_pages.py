"""The pages on configuration name every key, with its default and what it sets, and no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from orderway.config import Apollo
from orderway.config.original_keys import ORDER, PULSAR_CONSUME, PULSAR_PRODUCER, REDIS, SQLX, Key
from orderway.config.settings import KEYS

DOCS = Path(__file__).parents[2] / "docs"
OURS = (DOCS / "configuration.md").read_text()
ORIGINAL = (DOCS / "original-configuration.md").read_text()
TABLES = {
    **{"order": ORDER, "components.sqlx": SQLX, "components.redis": REDIS},
    **{"components.pulsar-producer": PULSAR_PRODUCER, "services.pulsar-consume": PULSAR_CONSUME},
}
NAMES = {"SqlxName", "RedisName", "MQProducerName", "MQConsumeName"}
"""They choose a connection, and set nothing themselves."""


def section(page: str, heading: str) -> str:
    (found,) = [part for part in re.split(r"^## ", page, flags=re.MULTILINE) if part.startswith(f"{heading}\n")]
    return found


def rows(text: str) -> dict[str, str]:
    """The first two cells of each row that begins with code."""
    return {name: cell.strip("`") for name, cell in re.findall(r"^\| `([\w.]+)` \| ([^|]*?) \|", text, re.MULTILINE)}


def written(value: object) -> str:
    """A default as the page writes it, which is as YAML has it."""
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, tuple):
        return ", ".join(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_every_key_is_there_with_its_default() -> None:
    assert rows(section(OURS, "Keys")) == {key: written(value) for key, value in KEYS.items()}
    assert list(rows(section(OURS, "Keys"))) == list(KEYS)


def test_every_argument_of_apollo_is_there_with_its_default() -> None:
    arguments = inspect.signature(Apollo).parameters.values()
    defaults = {each.name: "required" if each.default is each.empty else each.default for each in arguments}
    said = rows(section(OURS, "Apollo"))
    assert {name: text if text == "required" else eval(text) for name, text in said.items()} == defaults


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_of_the_original_is_there_with_what_it_sets(heading: str) -> None:
    keys: Mapping[str, Key] = TABLES[heading]
    assert rows(section(ORIGINAL, f"`{heading}`")) == {name: key.to or "-" for name, key in keys.items()}


@pytest.mark.parametrize("keys", TABLES.values())
def test_a_key_sets_one_of_ours_or_says_why_not(keys: Mapping[str, Key]) -> None:
    for name, key in keys.items():
        assert key.to in KEYS or (not key.to and (key.unused or name in NAMES)), name
