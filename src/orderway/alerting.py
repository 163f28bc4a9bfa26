"""Alerting: a person is told of an order that is stuck or disputed, and told again while it stays so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orderway.core.order import Stage
from orderway.hooks import call
from orderway.logs import tell_bug
from orderway.moves import Move
from orderway.ports.business import Business
from orderway.recorder import MICROSECOND
from orderway.run import Run

__all__ = ["alert", "remind", "tries_between"]

_EVER = timedelta.max
"""The period of those who are told only once."""


async def alert(run: Run) -> None:
    """Run the hook that tells a person. It moves nothing, and where it fails, the next time comes all the same."""
    order = run.order
    try:
        await call(run.business.alert, order)
    except Exception as error:  # noqa: BLE001 - whatever it is, the order is no worse off for it
        tell_bug(f"order {order.id}: its alert failed", error, order_id=order.id, order_type=order.type)
    order.forget_changes()


def tries_between(business: Business[Any]) -> int:
    """How many tries of a closing hook that fails come to about ``alert_every``; the first ones come sooner."""
    return max((business.alert_every or _EVER) // business.retry.cap, 1)


async def remind(run: Run) -> Move:
    """Tell once in each ``alert_every`` since the order's last fact, however often it is looked at.

    ``attempts`` counts the times, and a worker that comes late makes up for none.
    """
    order, every_us = run.order, (run.business.alert_every or _EVER) // MICROSECOND
    passed = (run.now_us - order.updated_at_us) // every_us
    times = passed + (order.stage is Stage.DISPUTED)  # of what is stuck a person was told when it got stuck
    if times > order.attempts:
        await alert(run)
        order.attempts = times
    next_us = order.updated_at_us + (passed + 1) * every_us
    # Beside money that is on its way, the error is that of its way: texts that were put together would grow for ever.
    return Move(wait_us=next_us - run.now_us, error=order.last_error if order.is_settled else "")
