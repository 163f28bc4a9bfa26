"""Running a page: its Python blocks in one namespace, its commands in one folder, its output compared."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

from pages import ROOT, Block, commands_of

from orderway.cli.commands import orderway

__all__ = ["LANGUAGES", "PageRun", "as_shown"]

LANGUAGES = {"python", "console", "sh", "text", "mermaid", "json", "sql", "yaml"}
"""Those that a block may name. ``python``, ``console`` and ``sh`` are run; ``text`` after Python is its output, and
``yaml`` that names a file is kept as one."""

_FILE = re.compile(r"# ([\w/]+\.py)\n")
_YAML_FILE = re.compile(r"# (\w+\.yaml)\n")
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
_EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


class PageRun:
    """One page on its way through a folder of its own, which is the current folder.

    Args:
        name: of the page, for messages.
        folder: where its files and databases are.
        module: its Python blocks' namespace.
    """

    def __init__(self, name: str, folder: Path, module: ModuleType) -> None:
        self.name = name
        self.ran = 0
        self._folder = folder
        self._module = module
        self._files: set[str] = set()
        self._commands: list[str] = []

    def run(self, blocks: list[Block]) -> None:
        """Run all blocks of the page, in order.

        Raises:
            AssertionError: a command fails, output is not as shown, or a file of the page is never run.
        """
        printed: str | None = None
        for block in blocks:
            where = f"{self.name}:{block.line}"
            assert block.language in LANGUAGES, f"{where}: a block names one of {sorted(LANGUAGES)}"
            if block.language == "text" and printed is not None:
                assert as_shown(block.text).fullmatch(printed.strip()), f"{where}: it printed\n{printed}"
            printed = None
            if block.language == "python":
                printed = self._python(block, where)
            elif block.language in {"console", "sh"}:
                self._console(block, where)
            elif block.language == "yaml" and (named := _YAML_FILE.match(block.text)):
                (self._folder / named[1]).write_text(block.text)
        texts = [*self._commands, *(block.text for block in blocks if block.language == "python")]
        uses = re.compile(r"\b(?:python|pytest|from|import|--app) (\w+)")
        never = {name.removesuffix(".py") for name in self._files} - set(uses.findall("\n".join(texts)))
        assert not never, f"{self.name}: nothing uses {never}"

    def _python(self, block: Block, where: str) -> str | None:
        """Run a block, or keep it as the file that its first line names; returns what it printed."""
        if named := _FILE.match(block.text):
            (self._folder / named[1]).write_text(block.text)
            self._files.add(named[1])
            return None
        code = compile("\n" * (block.line - 1) + block.text, where, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, vars(self._module))
        self.ran += 1
        return printed.getvalue()

    def _console(self, block: Block, where: str) -> None:
        commands = commands_of(block)
        code = 0
        for command, following in zip(commands, [*commands[1:], None], strict=True):
            self._commands.append(command.text)
            if command.text == "echo $?":
                assert command.shown.strip() == str(code), f"{where}: the exit code is {code}"
                continue
            code, printed = self._command(command.text, where)
            told = following is not None and following.text == "echo $?"
            assert code == 0 or told, f"{where}: `{command.text}` ends with {code}; show that by `echo $?`\n{printed}"
            as_it_should = not command.shown.strip() or as_shown(command.shown).fullmatch(_trimmed(printed))
            assert as_it_should, f"{where}: `{command.text}` printed\n{printed}"
            self.ran += 1

    def _command(self, text: str, where: str) -> tuple[int, str]:
        """Run a command; returns its exit code and what it printed."""
        words = shlex.split(text, comments=True)
        if words[0] == "make":  # would run these tests again; the targets have tests of their own
            assert set(words[1:]) <= _TARGETS, f"{where}: the Makefile has only {sorted(_TARGETS)}"
            return 0, ""
        if "pip" in words and "install" in words:
            self._check_install(words[words.index("install") + 1 :], where)
            return 0, ""
        if words[:2] == ["orderway", "demo"]:  # takes long and has tests of its own: only its options are checked
            orderway.commands["demo"].make_context("demo", words[2:])
            return 0, ""
        done = subprocess.run(
            ["/bin/sh", "-c", text],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(),
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    def _check_install(self, words: list[str], where: str) -> None:
        for word in words:
            if word.startswith("-"):
                continue
            package, _, extras = word.removesuffix("]").partition("[")
            assert package in {"orderway", "."}, f"{where}: {word} is not this package"
            assert {*extras.split(",")} <= {*_EXTRAS, ""}, f"{where}: {word}: the extras are {sorted(_EXTRAS)}"


def as_shown(shown: str) -> re.Pattern[str]:
    """The output that a page shows, as a pattern: ``...`` stands for anything."""
    return re.compile(re.escape(_trimmed(shown)).replace(r"\.\.\.", ".*?"), re.DOTALL)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).rstrip()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORDERWAY_")}
    commands = Path(sys.executable).parent
    return kept | {"PATH": f"{commands}:{os.environ['PATH']}", "COLUMNS": "100", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
