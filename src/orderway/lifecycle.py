"""The lifecycle page, ``docs/lifecycle.md``, written from ``TRANSITIONS``: ``python -m orderway.lifecycle FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from orderway.core.facts import FACTS, Fact
from orderway.core.order import FINAL_STAGES, RESUME, STATUS, TRANSITIONS, Stage

__all__ = ["page"]

_MEANING = {
    Stage.CREATED: "It exists, and waits to be paid.",
    Stage.PAID: "The price is paid, or there is none; the goods are owed.",
    Stage.DELIVERED: "The goods are with the user; the `finished` hook is owed.",
    Stage.FINISHED: "Done.",
    Stage.CANCELLING: "An operator or its business cancelled it; the `ended` hook is owed.",
    Stage.CANCELLED: "Ended by an operator or its business.",
    Stage.REJECTING: "The balance did not suffice; the `ended` hook is owed.",
    Stage.REJECTED: "Ended for lack of balance.",
    Stage.CLOSING: "It was not paid in time; the `ended` hook is owed.",
    Stage.CLOSED: "Ended unpaid.",
    Stage.RETURNING: "It is undone: the `take_back` hook is owed.",
    Stage.REFUNDING: "It is undone: its money goes back, then the `ended` hook is owed.",
    Stage.REFUNDED: "Undone; the whole price went back, or was lost in a dispute.",
    Stage.DISPUTED: "The payer disputes a payment; it waits for the decision, or for a person.",
    Stage.FAILING: "It cannot move; the `ended` hook is owed.",
    Stage.STUCK: "A person must step in: `orderway resume` sends it on, `orderway cancel` ends it.",
}

_STEADY = [kind for kind in FACTS.values() if all(TRANSITIONS[stage].get(kind) is stage for stage in Stage)]
"""What may be recorded in every stage, and moves none."""

_INTRODUCTION = """\
# The lifecycle of an order

<!-- Written from TRANSITIONS by `make docs`; edits here are lost. -->

An order changes only by recording facts. The table `TRANSITIONS` in `orderway/core/order.py` says in which *stage*
which fact may be recorded, and which stage comes after it. Anything else is refused with `IllegalTransition`.

A stage in -ing still owes something: goods to take back, money to give back, or the business its closing hook. A hook
runs at least once; when it has succeeded and no money is on its way any more, the stage in -ed follows.

Refunds of an order have their own states and move no stage: an order is finished while a part of its money goes back.
"""

_GUARDS = """\
## What a fact may not contradict

The table is not all. Whatever the stage, a fact is refused if it contradicts the order's payments:

- `Paid` needs a leg that is open, held or being closed, exactly the amount asked, and legs that come to the price with
  it; `PartPaid` needs that they do not yet. A stuck order takes them only if it got stuck while it waited for payments.
- `Held` needs an open leg that holds, and no more than is missing of the price.
- `PaymentPending`, `PaymentUnknown` and `PaymentDeclined` need an open leg; `PaymentClosed` one that is open or being
  closed, without a hold; `Released` one with a hold.
- `Cancelled`, `Rejected` and `Closed` need an order whose price was not paid, `Revoked` one whose price was.
- `RefundRequested` needs a leg that still has so much. `AllRefunded` needs that nothing of the price is left.
- `RefundPending`, `RefundUnknown`, `RefundStuck`, `Refunded` and `RefundRefused` need a refund that is not over yet,
  `RefundResumed` one that is stuck.
- `DisputeLost` cannot take more than is left of its leg.
- `Ended` needs, except for a stuck order, that no money is on its way or still with us.

Money that fits none of this is recorded as `UnexpectedPayment`, in every stage. It moves nothing, and is never lost.
[Odd payments](odd-payments.md) says what follows from it.
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
    lines += [
        "```",
        "",
        "Left out: facts that leave the stage as it is, and those that lead back to the stage in which the",
    ]
    lines += ["order got stuck or disputed: `Resumed`, `DisputeWon`, `DisputeLost`.", ""]
    return "\n".join(lines)


def _stages() -> str:
    lines = ["## Stages", "", "| stage | status | anything due? | meaning |", "|---|---|---|---|"]
    for stage in Stage:
        status = STATUS[stage]
        due = "only money on its way" if stage in FINAL_STAGES else "yes"
        lines.append(f"| `{stage}` | {status.value} {_words(status.name)} | {due} | {_MEANING[stage]} |")
    return "\n".join([*lines, ""])


def _transitions() -> str:
    lines = ["## Transitions", "", "| in stage | fact | stage after it |", "|---|---|---|"]
    for stage, allowed in TRANSITIONS.items():
        for kind, target in allowed.items():
            if kind not in _STEADY:
                after = "the one before" if target == RESUME else f"`{target}`"
                lines.append(f"| `{stage}` | `{kind.__name__}` | {after} |")
    lines += [f"| any | `{kind.__name__}` | the same |" for kind in _STEADY]
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
    return " ".join((kind.__doc__ or "").replace("``", "`").split())


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
