"""The lifecycle page is what the table says."""

from __future__ import annotations

from pathlib import Path

from orderway.core.facts import FACTS, Refunded, RefundRequested, UnexpectedPayment
from orderway.core.order import TRANSITIONS, Stage
from orderway.lifecycle import page

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/lifecycle.md is stale: run `make docs`"


def test_the_page_names_every_stage_fact_and_transition() -> None:
    text = page()
    assert all(f"| `{stage}` |" in text for stage in Stage)
    assert all(f"| `{name}` |" in text for name in FACTS)
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 4]
    steady = [kind for kind in FACTS.values() if all(allowed.get(kind) is at for at, allowed in TRANSITIONS.items())]
    assert {UnexpectedPayment, RefundRequested, Refunded} <= set(steady)
    moves = sum(len(allowed) for allowed in TRANSITIONS.values()) - len(TRANSITIONS) * len(steady)
    assert len(rows) == moves + len(FACTS)  # each fact that moves nothing anywhere is in one row, "any"
    assert [line for line in text.splitlines() if line.startswith("| any |")] == [
        f"| any | `{kind.__name__}` | the same |" for kind in steady
    ]
