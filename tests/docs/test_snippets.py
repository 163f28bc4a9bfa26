"""Every snippet and command of the documentation is run, and prints what the page shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from page_run import PageRun
from pages import PAGES, ROOT, blocks_of

RUN = [page for page in PAGES if page.name.startswith("README") or page.is_relative_to(ROOT / "docs")]


@pytest.fixture
def page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageRun]:
    """A run in an empty folder."""
    module = ModuleType("snippets")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where dataclasses look for their own module
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield PageRun("page.md", tmp_path, module)
    for name, found in list(sys.modules.items()):
        if str(tmp_path) in (getattr(found, "__file__", "") or ""):
            del sys.modules[name]  # a file of this page; the next page may have another of the same name


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, page_run: PageRun) -> None:
    page_run.name = page.name
    blocks = blocks_of(page.read_text())
    page_run.run(blocks)
    runnable = any(block.language in {"python", "console", "sh"} for block in blocks)
    assert (page_run.ran > 0) == runnable


def test_a_first_order_takes_under_30_lines() -> None:
    first = next(block for block in blocks_of((ROOT / "README.md").read_text()) if block.language == "python")
    assert len(first.text.splitlines()) < 30


def test_both_readmes_have_the_same_blocks() -> None:
    english, chinese = (blocks_of((ROOT / name).read_text()) for name in ("README.md", "README.zh-CN.md"))
    assert [(block.language, block.text) for block in english] == [(block.language, block.text) for block in chinese]


WRONG = {
    "output": "```python\nprint(1)\n```\n```text\n2\n```\n",
    "shared names": "```python\nx = 1\n```\n```python\nassert x == 2\n```\n",
    "shown": "```console\n$ echo one\ntwo\n```\n",
    "exit code": "```console\n$ false\n```\n",
    "another exit code": "```console\n$ false\n$ echo $?\n2\n```\n",
    "target": "```sh\n$ make coffee\n```\n",
    "extra": "```sh\n$ pip install 'orderway[oracle]'\n```\n",
    "package": "```sh\n$ pip install orderways\n```\n",
    "language": "```pyhton\nprint(1)\n```\n",
    "file": "```python\n# shop.py\nprint(1)\n```\n",
}


@pytest.mark.parametrize("page", WRONG.values(), ids=WRONG)
def test_a_page_that_is_wrong_fails(page: str, page_run: PageRun) -> None:
    with pytest.raises(AssertionError):
        page_run.run(blocks_of(page))


def test_a_page_that_is_right_passes(page_run: PageRun) -> None:
    page = """
```python
x = 6
```
```python
print(x, x * 7, "or so")
```
```text
6 42 ...
```
```python
# shop.py
print("from a file")
```
```console
$ python shop.py
from a file
$ false
$ echo $?
1
$ make demo
$ python -m pip install 'orderway[cli,uvloop]'
$ orderway demo --calm --lines 3
```
"""
    page_run.run(blocks_of(page))
    assert page_run.ran == 7
