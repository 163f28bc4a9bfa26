"""The page of settings names every setting, with its real default, and no other."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from pages import ROOT

from orderway import App, Business, Retry
from orderway.redis import Redis
from orderway.sql.dialects.sqlite import SqliteDatabase

NONE = object()
PAGE = (ROOT / "docs" / "settings.md").read_text()
NOT_FOR_USERS = {"path", "factory", "expected"}


def defaults_of(function: Any) -> dict[str, Any]:
    """The arguments of a function after ``self``, with their defaults."""
    arguments = list(inspect.signature(function).parameters.values())[1:]
    return {each.name: NONE if each.default is inspect.Parameter.empty else each.default for each in arguments}


SETTINGS: dict[str, Mapping[str, Any]] = {
    "App": defaults_of(App.__init__),
    "Business": {name: getattr(Business, name, NONE) for name in Business.__annotations__},
    "Retry": {field.name: field.default for field in dataclasses.fields(Retry)},
    "Redis": {
        field.name: NONE if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(Redis)
    },
    "SQLite": {
        name: value for name, value in defaults_of(SqliteDatabase.__init__).items() if name not in NOT_FOR_USERS
    },
}


def rows_of(section: str) -> dict[str, str]:
    """The rows of the table under a heading: name and default."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (found,) = [part for part in text if part.splitlines()[0].strip("`") == section]
    return dict(re.findall(r"^\| `([\w]+)` \| ([^|]*?) \|", found, re.MULTILINE))


@pytest.mark.parametrize("section", SETTINGS)
def test_every_setting_is_there_with_its_default(section: str) -> None:
    rows = rows_of(section)
    names = {"Retry": Retry, "timedelta": timedelta}
    said = {name: NONE if text == "required" else eval(text.strip("`"), names) for name, text in rows.items()}
    assert said == SETTINGS[section]


def test_every_environment_variable_is_there() -> None:
    folders = ("src", "tests", "bench")
    code = "\n".join(file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py"))
    used = set(re.findall(r"\bORDERWAY_[A-Z_]+\b", code + (ROOT / "Makefile").read_text()))
    assert set(rows_of("Environment")) == used
