"""The errors: one tree, each with a code of its own and a section in the documentation."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path

import pytest

from orderway import errors
from orderway.errors import OrderwayError

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OrderwayError)]
DRAWN = re.compile(r"^([│ ]*)(?:├── |└── )?([A-Z]\w+)\b")


def drawn_tree() -> dict[str, str]:
    """Each error drawn in the module's docstring, and its parent there."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = DRAWN.match(line)
        if match and (line.startswith(("├", "│", "└", " ")) or match[2] == "OrderwayError"):
            depth = line.index(match[2]) // 4
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1] if depth else ""
    return parents


def section(code: str) -> str:
    text = DOCS.read_text(encoding="utf-8")
    return text.partition(f"\n## `{code}`\n")[2].partition("\n## ")[0]


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in CLASSES}
    assert drawn_tree() == {**real, "OrderwayError": ""}


def test_the_catalogue_is_complete() -> None:
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in CLASSES)


def test_each_error_has_a_code_of_its_own() -> None:
    assert [code for code, count in Counter(kind.code for kind in CLASSES).items() if count > 1] == []
    assert all("code" in vars(kind) for kind in CLASSES)


def test_the_documentation_names_no_error_that_is_not_there() -> None:
    codes = re.findall(r"^## `(\w+)`$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(codes) == sorted(kind.code for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_is_documented_with_its_cause_and_what_to_do(kind: type[OrderwayError]) -> None:
    assert kind.__doc__
    assert str(kind()) == kind.__doc__.partition("\n")[0]
    said = section(kind.code)
    assert f"`{kind.__name__}`" in said
    assert re.search(r"^\*\*Cause\.\*\* \S", said, re.MULTILINE)
    assert re.search(r"^\*\*What to do\.\*\* \S", said, re.MULTILINE)
    assert ("retryable" in said.partition("\n\n")[0]) is kind.retryable


def test_an_error_carries_its_message_and_its_order() -> None:
    error = errors.StaleOrder("moved on", order_id="X1")
    assert (str(error), error.order_id, error.code, error.retryable) == ("moved on", "X1", "stale_order", True)
    assert OrderwayError().order_id is None


def test_only_what_may_be_called_again_as_it_stands_is_retryable() -> None:
    retryable = {kind for kind in CLASSES if kind.retryable}
    assert retryable == {kind for kind in CLASSES if issubclass(kind, errors.Unavailable)} | {errors.DeliveryFailed}


def test_a_wrong_value_is_a_value_error_to_those_who_know_only_python() -> None:
    assert issubclass(errors.InvalidValue, ValueError)
