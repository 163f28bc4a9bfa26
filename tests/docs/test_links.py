"""Every link between the pages leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import PAGES, ROOT, anchors_of, links_of

LINKING = [page for page in PAGES if page.name != "0000-template.md"]  # whose links are to be filled in


def broken(page: Path, text: str) -> list[str]:
    """The links of this page that lead nowhere: to a missing file or heading, or out of the repository."""
    wrong = []
    for target in links_of(text):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        linked = (page.parent / path).resolve() if path else page
        found = linked == page or (linked.exists() and linked.is_relative_to(ROOT))
        if found and anchor:
            found = anchor in anchors_of(text if linked == page else linked.read_text())
        if not found:
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page, page.read_text()) == []


def test_every_page_can_be_reached_from_the_map() -> None:
    start = ROOT / "docs" / "index.md"
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        if page not in LINKING:
            continue
        targets = (target.partition("#")[0] for target in links_of(page.read_text()) if "://" not in target)
        waiting += [(page.parent / target).resolve() for target in targets if target.endswith(".md")]
    assert [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in seen] == []


def test_a_broken_link_is_found() -> None:
    text = (
        "# One `two`, three\n[a](#one-two-three) [b](#four) [c](Makefile) [d](nowhere.md) `[e](code.md)` [f](../x.md)"
    )
    assert broken(ROOT / "page.md", text) == ["#four", "nowhere.md", "../x.md"]
