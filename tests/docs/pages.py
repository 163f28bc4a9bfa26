"""The pages of the documentation: their code blocks, their links and the anchors that links may point at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "Command", "anchors_of", "blocks_of", "commands_of", "links_of"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^ {0,3}```(?P<language>[\w-]*)[^\n`]*\n(?P<text>.*?)^ {0,3}```[ ]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_CODE = re.compile(r"`[^`\n]+`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language ("" if none is named), its text, and the number of its first line."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block, and the output that the page shows for it ("" if it shows none)."""

    text: str
    shown: str


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page, in order; also those inside an HTML comment: a set-up that readers do not see."""
    return [
        Block(found["language"], found["text"], page.count("\n", 0, found.start("text")) + 1)
        for found in _FENCE.finditer(page)
    ]


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block: lines that begin with ``$``, each with the output below it.

    A command goes on over lines that end with a backslash.
    """
    commands: list[Command] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            text = line[2:]
            while text.endswith("\\"):
                text = text[:-1] + next(lines).removeprefix(">").strip()
            commands.append(Command(text, ""))
        elif commands:
            commands[-1] = Command(commands[-1].text, f"{commands[-1].shown}{line}\n")
        elif line.strip():
            raise ValueError(f"line {block.line}: a console block begins with a command, `$ ...`, not with {line!r}")
    return commands


def anchors_of(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        repeats = sum(
            anchor == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", anchor) is not None for anchor in anchors
        )
        anchors.add(f"{slug}-{repeats}" if repeats else slug)
    return anchors


def links_of(page: str) -> Iterator[str]:
    """The targets of a page's links, outside code."""
    yield from _LINK.findall(_CODE.sub("", _FENCE.sub("", page)))
