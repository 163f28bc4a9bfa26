"""From sources to settings: later sources win, and everything that is wrong is reported at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orderway.config import original
from orderway.config.environment import read_environment, variable_of
from orderway.config.given import Given, Problem, nearest, raise_problems
from orderway.config.secret_url import shown_name
from orderway.config.settings import KEYS, SECTIONS, Settings
from orderway.config.validation import validate
from orderway.config.yaml_text import MOST_CHARACTERS, read_yaml
from orderway.errors import ConfigError

if TYPE_CHECKING:
    from orderway.config.apollo import Apollo

__all__ = ["load_settings", "settings_of"]


def load_settings(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    apollo: Apollo | None = None,
    **overrides: Any,
) -> Settings:
    """The effective configuration. Later sources win: defaults, file or Apollo, environment, arguments.

    Nothing is connected to but Apollo.

    Args:
        path: a YAML file, with keys of ours, or with those of the original; by default the variable ORDERWAY_CONFIG
            says which; without it there is none.
        environ: variables: ORDERWAY_ and a key in capitals, `__` for each dot.
        apollo: where the configuration is, instead of a file.
        overrides: keys, sections as dictionaries: ``shards=4, worker={"sweep": False}``.

    Raises:
        ConfigError: lists all that is wrong: the source, the key, what was found and what is allowed, never a secret.
        Unavailable: Apollo does not answer, and no last known configuration was kept.
    """
    if apollo is not None:
        if path is not None:
            raise ConfigError("a file and Apollo are given; one of them is allowed, since either says everything")
        return settings_of(apollo.load(), environ=environ, overrides=overrides)
    path = path or environ.get("ORDERWAY_CONFIG") or None
    return settings_of([] if path is None else [_read_file(Path(path))], environ=environ, overrides=overrides)


def settings_of(
    documents: list[tuple[Given, list[Problem]]], *, environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> Settings:
    """The settings that documents, environment and arguments come to; see ``load_settings``."""
    merged = _Merged()
    merged.problems += [problem for _, problems in documents for problem in problems]
    merged.add_documents([tree for tree, _ in documents])
    tree, problems = read_environment(environ, SECTIONS)
    merged.problems += problems
    merged.add(tree.value)
    merged.add({name: _argument(value, f"argument {shown_name(name)}") for name, value in overrides.items()})
    if not any(problems for _, problems in documents):  # what cannot be read may hold what seems to be missing
        merged.report_missing()
    settings, problems = validate(merged.keys, merged.missing)
    raise_problems([*merged.problems, *problems])
    assert settings is not None  # whoever has no settings has a problem
    settings._sources = {key: given.where for key, given in merged.keys.items()}
    settings._unused = tuple(merged.unused)
    return settings


@dataclass(slots=True)
class _Merged:
    """The keys of ours that were given so far."""

    keys: dict[str, Given] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    missing: dict[str, Problem] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def add_documents(self, trees: list[Given]) -> None:
        """Add what files or namespaces give; the original's sections may be spread over several."""
        sections: dict[str, Given] = {}
        for tree in trees:
            for name, given in tree.value.items():
                if _is_of_original(name):
                    sections[name.lower()] = _over(sections.get(name.lower()), given)
        beside = original.NOT_OURS if sections else ()
        for tree in trees:
            own = {name: given for name, given in tree.value.items() if not _is_of_original(name)}
            self.add({name: own[name] for name in own if name.lower() not in beside}, also=original.SECTIONS)
        if sections:
            self._add_original(original.translate(sections))

    def _add_original(self, done: original.Translation) -> None:
        for key, given in done.keys.items():
            if key in self.keys:
                self.problems.append(Problem(given.where, f"sets {key}, which {self.keys[key].where} sets as well"))
            else:
                self.keys[key] = given
        self.keys = done.defaults | self.keys
        self.problems += done.problems
        self.missing |= done.missing
        self.unused += done.unused

    def add(self, names: Mapping[str, Given], *, also: tuple[str, ...] = ()) -> None:
        """Add what one source gives, over what was there. None counts as nothing.

        Args:
            names: keys, and sections of them.
            also: names that are allowed beside ours, for suggestions.
        """
        known = [*KEYS, *SECTIONS, *also]
        for name, given in names.items():
            if name in SECTIONS:
                self._add_section(name, given)
            elif name not in KEYS or "." in name:
                self.problems.append(Problem(given.where, f"there is no key {shown_name(name)}{nearest(name, known)}"))
            elif not given.is_empty():
                self.keys[name] = given

    def _add_section(self, section: str, given: Given) -> None:
        if given.is_empty():
            return
        if not isinstance(given.value, dict):
            self.problems.append(Problem(given.where, f"{section} is a section; its keys stand below it"))
            return
        for name, value in given.value.items():
            key = f"{section}.{name}"
            if key not in KEYS:
                text = f"there is no key {section}.{shown_name(name)}{nearest(key, KEYS)}"
                self.problems.append(Problem(value.where, text))
            elif not value.is_empty():
                self.keys[key] = value

    def report_missing(self) -> None:
        """Report what no source gave, and must be given."""
        if "databases" not in self.keys:
            how = f"give at least one URL as `databases` in a file, or as the variable {variable_of('databases')}"
            self.missing.setdefault("databases", Problem("", f"databases is missing: {how}"))
        # A queue's URL is not needed by everybody: the check of the values says where it is.
        self.problems += [
            problem for key, problem in self.missing.items() if key not in self.keys and key != "queue.url"
        ]


def _over(first: Given | None, second: Given) -> Given:
    """The second over the first, key by key."""
    if first is None or not isinstance(first.value, dict) or not isinstance(second.value, dict):
        return second
    return Given(
        first.value | {name: _over(first.value.get(name), each) for name, each in second.value.items()}, second.where
    )


def _is_of_original(name: str) -> bool:
    return name.lower() in original.SECTIONS


def _read_file(path: Path) -> tuple[Given, list[Problem]]:
    nothing = Given({}, str(path))
    try:
        with path.open("rb") as file:
            data = file.read(4 * MOST_CHARACTERS)
    except OSError as error:
        return nothing, [Problem(str(path), f"cannot be read: {error.strerror or type(error).__name__}")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return nothing, [Problem(str(path), "is not UTF-8")]
    return read_yaml(text, str(path))


def _argument(value: Any, where: str) -> Given:
    if isinstance(value, Mapping):
        named = {str(name): each for name, each in value.items()}
        return Given({name: _argument(each, f"{where}.{shown_name(name)}") for name, each in named.items()}, where)
    if isinstance(value, (list, tuple)):
        return Given([_argument(each, where) for each in value], where)
    return Given(value, where)
