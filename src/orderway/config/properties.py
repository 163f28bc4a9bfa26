"""What an Apollo namespace holds: properties, one value a key, or one document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderway.config import original
from orderway.config.given import Given, Problem
from orderway.config.secret_url import shown_name
from orderway.config.settings import SECTIONS
from orderway.config.yaml_text import read_yaml

__all__ = ["read_namespace"]

_DOCUMENTS = (".yaml", ".yml", ".json")


def read_namespace(namespace: str, configurations: Mapping[str, str]) -> tuple[Given, list[Problem]]:
    """The values of a namespace.

    Args:
        namespace: its name; ``order``, ``components`` and ``services`` hold that section of the original's.
        configurations: as Apollo gives them; of a document, the text is under ``content``.
    """
    where = f"Apollo namespace {namespace}"
    base, _, _ = namespace.lower().partition(".")
    section = base if base in original.SECTIONS else ""
    if namespace.lower().endswith(_DOCUMENTS):
        tree, problems = read_yaml(configurations.get("content", ""), where)
    else:
        tree, problems = _read_properties(configurations, where, section)
    return (Given({section: tree}, where) if section else tree), problems


def _read_properties(configurations: Mapping[str, str], where: str, section: str) -> tuple[Given, list[Problem]]:
    tree: dict[str, Given] = {}
    problems: list[Problem] = []
    for key in sorted(configurations):
        place = f"{where}, key {shown_name(key)}"
        path = key.split(".")
        given = Given(configurations[key] or None, place)
        whole = [section, *path] if section else path
        if len(whole) < _levels(whole[0]) and not given.is_empty():
            # A value in the place of a section is a document: JSON, as the original's framework wants it, or YAML.
            given, wrong = read_yaml(configurations[key], place)
            problems += wrong
        problems += _put(tree, path, given)
    return Given(tree, where), problems


def _levels(first: str) -> int:
    """How many names lead to a single value, where this is the first of them."""
    if first.lower() in {"components", "services"}:
        return 4
    return 2 if first in SECTIONS or first.lower() in original.SECTIONS else 1


def _put(tree: dict[str, Given], path: list[str], given: Given) -> list[Problem]:
    level: Any = tree
    for name in path[:-1]:
        inner = level.setdefault(name, Given({}, given.where))
        if not isinstance(inner.value, dict):
            return [Problem(given.where, f"{shown_name(name)} is a value and a section at once")]
        level = inner.value
    if path[-1] in level:
        return [Problem(given.where, f"{shown_name(path[-1])} is given twice, here and below it")]
    level[path[-1]] = given
    return []
