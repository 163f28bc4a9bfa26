"""YAML, read so that each value knows its line, and so that no error quotes the text."""

from __future__ import annotations

import re

import yaml

from orderway.config.given import Given, Problem
from orderway.config.secret_url import shown_name

__all__ = ["read_yaml"]

MOST_CHARACTERS = 1_000_000
MOST_VALUES = 10_000
"""Aliases multiply: a small text can stand for billions of values."""
MOST_LEVELS = 20

_STANDARD_TAG = "tag:yaml.org,2002:"
_QUOTED = re.compile(r"'([^']*)'")


class _Walk:
    """A walk over the nodes of one text."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._loader = loader
        self._left = MOST_VALUES

    def given(self, node: yaml.Node, level: int = 0) -> Given:
        """A node and what is below it. Scalars stay texts as they are written, so that a password `007` stays one."""
        where = _place(self._name, node.start_mark)
        self._left -= 1
        if self._left < 0 or level > MOST_LEVELS:
            raise _TooMuch
        if not node.tag.startswith(_STANDARD_TAG):
            self.problems.append(
                Problem(where, "a value begins with `!`, a YAML tag; put a text that begins so in quotes")
            )
            return Given(None, where)
        if isinstance(node, yaml.MappingNode):
            return Given(self._mapping(node, level), where)
        if isinstance(node, yaml.SequenceNode):
            return Given([self.given(each, level + 1) for each in node.value], where)
        plain_null = node.tag == f"{_STANDARD_TAG}null"
        return Given(None if plain_null else node.value, where)

    def _mapping(self, node: yaml.MappingNode, level: int) -> dict[str, Given]:
        seen: set[str] = set()
        for key, _ in node.value:
            where = _place(self._name, key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(Problem(where, "a key is a list or a mapping; only texts are allowed"))
            elif key.value in seen:
                self.problems.append(Problem(where, f"{shown_name(key.value)} is given twice here"))
            else:
                seen.add(key.value)
        self._loader.flatten_mapping(node)  # `<<: *defaults`; its own keys come last, and win
        return {
            key.value: self.given(value, level + 1) for key, value in node.value if isinstance(key, yaml.ScalarNode)
        }


class _TooMuch(Exception):
    """More values or levels than any configuration has."""


def read_yaml(text: str, name: str) -> tuple[Given, list[Problem]]:
    """The values of a YAML text, and what is wrong with it as YAML.

    Args:
        text: may hold secrets; nothing of it is quoted.
        name: of the file or the namespace, for people.
    """
    nothing = Given({}, name)
    if len(text) > MOST_CHARACTERS:
        return nothing, [Problem(name, f"has {len(text):,} characters; at most {MOST_CHARACTERS:,} are allowed")]
    problem: Problem
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return nothing, []
        if not isinstance(node, yaml.MappingNode):
            return nothing, [Problem(_place(name, node.start_mark), "is no mapping of keys to values (`key: value`)")]
        walk = _Walk(name, loader)
        return walk.given(node), walk.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = _place(name, mark) + (f", column {mark.column + 1}" if mark else "")
        # PyYAML quotes what it stumbled upon, which may be a password that lacks quotes.
        why = _QUOTED.sub(lambda quoted: quoted[0] if _is_of_yaml(quoted[1]) else "...", error.problem or "")
        problem = Problem(where, f"is not YAML: {why}; put texts with special characters in single quotes")
    except yaml.YAMLError:
        problem = Problem(name, "is not YAML: it holds a character that no text has")
    except (_TooMuch, RecursionError):
        problem = Problem(name, f"holds more than {MOST_VALUES:,} values or {MOST_LEVELS} levels, maybe by an alias")
    return nothing, [problem]


def _is_of_yaml(quoted: str) -> bool:
    """Whether PyYAML quotes a character, or a token's name such as `<block end>`, and no text."""
    return len(quoted) == 1 or re.fullmatch(r"<[a-z ]+>", quoted) is not None


def _place(name: str, mark: yaml.Mark | None) -> str:
    return name if mark is None else f"{name} line {mark.line + 1}"
