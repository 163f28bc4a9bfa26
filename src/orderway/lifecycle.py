"""The lifecycle page, ``docs/lifecycle.md``, written from ``TRANSITIONS``: ``python -m orderway.lifecycle FILE``."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from orderway.core.facts import FACTS, Fact, UnexpectedPayment
from orderway.core.order import FINAL_STAGES, RESUME, STATUS, TRANSITIONS, Stage

__all__ = ["page"]

_MEANING = {
    Stage.CREATED: "It exists, and waits to be paid.",
    Stage.PAID: "The price is paid, or there is none; the goods are owed.",
    Stage.DELIVERED: "The goods are with the user; the `finished` hook is owed.",
    Stage.FINISHED: "Done.",
    Stage.CANCELLING: "The business cancelled it; the `ended` hook is owed.",
    Stage.CANCELLED: "Cancelled by the business.",
    Stage.REJECTING: "The balance did not suffice; the `ended` hook is owed.",
    Stage.REJECTED: "Ended for lack of balance.",
    Stage.CLOSING: "It was not paid in time; the `ended` hook is owed.",
    Stage.CLOSED: "Ended unpaid.",
    Stage.FAILING: "It cannot move; the `ended` hook is owed.",
    Stage.STUCK: "A person must step in: `orderway resume` sends it on.",
}

_INTRODUCTION = """\
# The lifecycle of an order

<!-- Written from TRANSITIONS by `make docs`; edits here are lost. -->

An order changes only by recording facts. The table `TRANSITIONS` in `orderway/core/order.py` says in which *stage*
which fact may be recorded, and which stage comes after it. Anything else is refused with `IllegalTransition`.

A stage in -ing still owes the business its closing hook. It runs at least once; when it has succeeded, the stage
in -ed follows.
"""

_GUARDS = """\
## What a fact may not contradict

The table is not all. Whatever the stage, a fact is refused if it contradicts the order's payments:

- `Paid` needs an open leg, exactly the amount asked, and legs that add up to the price. A stuck order takes it only
  if it got stuck while it waited for that payment.
- `PaymentPending`, `PaymentUnknown`, `PaymentDeclined` and `PaymentClosed` need an open leg.
- `Cancelled`, `Rejected` and `Closed` need an order in which nothing was paid.

Money that fits none of this is recorded as `UnexpectedPayment`, in every stage. It moves nothing, and is never lost.
"""


def page() -> str:
    """The text of the page, in Markdown."""
    parts = [_INTRODUCTION, _diagram(), _stages(), _transitions(), _GUARDS, _facts()]
    return "\n".join(parts)


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> created", "    [*] --> paid: nothing to pay"]
    for stage, allowed in TRANSITIONS.items():
        facts_to: dict[str, list[str]] = {}
        for kind, target in allowed.items():
            if target not in {stage, RESUME}:
                facts_to.setdefault(target, []).append(kind.__name__)
        lines += [f"    {stage} --> {target}: {', '.join(names)}" for target, names in facts_to.items()]
    lines += [f"    {stage} --> [*]" for stage in Stage if stage in FINAL_STAGES]
    lines += ["```", "", "Left out: facts that leave the stage as it is, and `Resumed`, which leads from `failing` and"]
    lines += ["`stuck` back to the stage in which the order got stuck.", ""]
    return "\n".join(lines)


def _stages() -> str:
    lines = ["## Stages", "", "| stage | status | anything due? | meaning |", "|---|---|---|---|"]
    for stage in Stage:
        status = STATUS[stage]
        due = "no" if stage in FINAL_STAGES else "yes"
        lines.append(f"| `{stage}` | {status.value} {_words(status.name)} | {due} | {_MEANING[stage]} |")
    return "\n".join([*lines, ""])


def _transitions() -> str:
    lines = ["## Transitions", "", "| in stage | fact | stage after it |", "|---|---|---|"]
    for stage, allowed in TRANSITIONS.items():
        for kind, target in allowed.items():
            if kind is not UnexpectedPayment:
                after = "the one it got stuck in" if target == RESUME else f"`{target}`"
                lines.append(f"| `{stage}` | `{kind.__name__}` | {after} |")
    lines.append("| any | `UnexpectedPayment` | the same |")
    return "\n".join([*lines, ""])


def _facts() -> str:
    lines = [
        "## Facts",
        "",
        "A fact that follows an effect may be recorded only by the worker that holds the order.",
        "",
    ]
    lines += ["| fact | follows an effect? | meaning |", "|---|---|---|"]
    for name, kind in FACTS.items():
        lines.append(f"| `{name}` | {'yes' if kind.effect else 'no'} | {_sentence(kind)} |")
    return "\n".join([*lines, ""])


def _sentence(kind: type[Fact]) -> str:
    return inspect.cleandoc(kind.__doc__ or "").replace("``", "`").replace("\n", " ")


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
