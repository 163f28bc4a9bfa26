"""Payments: asking the channels for the money of a leg, and for what became of it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from orderway.core.facts import PaymentPending
from orderway.core.journal import Entry, compact_json, fact_of
from orderway.core.money import Money
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, Leg, LegState, Refund, RefundState
from orderway.core.text import storable
from orderway.errors import ConfigError, Declined, InvalidValue, Unavailable
from orderway.orders import DATA_CHARACTERS, MICROSECOND, check_text
from orderway.ports.business import Business
from orderway.ports.channel import (
    Channel,
    Charge,
    ClosedThere,
    NotFound,
    Outcome,
    RefundOrder,
    RefundOutcome,
    Refused,
    Returned,
)

__all__ = ["Payments", "details_text", "open_leg", "payer_details"]

logger = logging.getLogger("orderway")


def open_leg(order: Order[Any]) -> Leg | None:
    """The first leg that may still be paid, or None."""
    return next((leg for leg in order.legs if leg.is_open), None)


def details_text(details: Any) -> str | None:
    """What a channel gave for the payer, as JSON text for the journal; None for nothing.

    Raises:
        InvalidValue: it is no JSON, or too long to be kept.
    """
    if details is None:
        return None
    try:
        text = compact_json(details)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"a channel's details for the payer must be JSON, and these are not: {error}") from error
    check_text("a channel's details for the payer", text, DATA_CHARACTERS)
    return text


def payer_details(order: Order[Any], entries: Sequence[Entry]) -> Any | None:
    """What the payer of an order needs, as its channel gave it last; None if it gave nothing, or needs no payer now.

    An order that is stuck needs none: somebody who has paid wrongly must not be asked for the whole price again.

    Args:
        order: as it stands.
        entries: its journal.
    """
    leg = open_leg(order)
    if leg is None or leg.state is not LegState.PENDING or order.stage is not Stage.CREATED:
        return None
    for entry in reversed(entries):
        if entry.fact == PaymentPending.__name__:
            match fact_of(entry):
                case PaymentPending(leg=leg.number, details=str(text)):
                    return json.loads(text)
    return None


class Payments:
    """Asks the channels. The same payment, and the same refund, is always asked for under the same key.

    Args:
        channels: by name.
    """

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self.channels = channels

    def pause_us(self, channel: str, order: Order[Any], business: Business[Any], now_us: int) -> int:
        """How long to wait before this channel is asked again about a result that it owes for an order."""
        schedule = self.channels[channel].query_after if channel in self.channels else ()
        if not schedule:
            return business.query_every // MICROSECOND
        next_us, elapsed_us = 0, now_us - order.updated_at_us
        for delay in schedule:
            next_us += delay // MICROSECOND
            if next_us > elapsed_us:
                return next_us - elapsed_us
        return schedule[-1] // MICROSECOND

    async def ask(self, order: Order[Any], leg: Leg) -> Outcome | None:
        """Ask an open leg's channel for its money, or what became of it; None where the outcome is unknown."""
        channel = self.channel(leg.channel)
        charge = self.charge_of(order, leg)
        if leg.state is not LegState.PLANNED:
            outcome = await channel.query(charge)
            if not isinstance(outcome, NotFound):
                return outcome  # otherwise nothing was taken, and the same key may be charged
        try:
            return await (channel.hold(charge) if leg.holds else channel.charge(charge))
        except Declined as error:
            return Refused(storable(str(error)))
        except Unavailable:
            raise  # nothing was sent
        except Exception as error:  # noqa: BLE001 - the money may have been taken: from now on ask, never repeat
            fields = {"order_id": order.id, "order_type": order.type, "channel": channel.name}
            kind = type(error).__name__
            logger.warning("order %s: no answer from %s: %s", order.id, channel.name, kind, extra=fields)
            return None

    async def capture(self, order: Order[Any], legs: Sequence[Leg]) -> Sequence[Outcome]:
        """Take what is held for these legs, at the same time; the outcomes in the same order.

        Raises:
            OrderwayError: one of them has no result yet. Asking again, for all of them, is safe.
        """
        return await _all([self.channel(leg.channel).capture(self.charge_of(order, leg)) for leg in legs])

    async def close(self, order: Order[Any], legs: Sequence[Leg]) -> Sequence[Outcome]:
        """Close these legs at their channels, at the same time, or release their holds; the outcomes in the same order.

        Raises:
            OrderwayError: one of them has no result yet. Asking again, for all of them, is safe.
        """
        return await _all([self._close(order, leg) for leg in legs])

    async def give_back(self, order: Order[Any], refund: Refund) -> RefundOutcome | None:
        """Send a refund to its channel, or ask what became of it; None where the outcome is unknown."""
        leg = order.legs[refund.leg]
        if not refund.amount_minor:  # the part of a leg in points that comes to less than one point
            return Returned("")
        channel = self.channel(leg.channel)
        asked = RefundOrder(
            key=order.refund_key(refund),
            order_id=order.id,
            uid=order.uid,
            amount=Money(refund.amount_minor, leg.currency),
            payment_reference=leg.reference,
            payment_amount=Money(leg.captured_minor, leg.currency),
        )
        if refund.state is not RefundState.RESERVED:
            outcome = await channel.query_refund(asked)
            if not isinstance(outcome, NotFound):
                return outcome  # otherwise it never arrived, and the same key may be sent
        try:
            return await channel.refund(asked)
        except Unavailable:
            raise  # nothing was sent
        except Exception as error:  # noqa: BLE001 - it may have been done: from now on ask, never repeat
            fields = {"order_id": order.id, "order_type": order.type, "channel": channel.name}
            kind = type(error).__name__
            logger.warning("order %s: no answer to a refund from %s: %s", order.id, channel.name, kind, extra=fields)
            return None

    def charge_of(self, order: Order[Any], leg: Leg) -> Charge:
        """What is asked of a leg's channel."""
        amount = Money(leg.amount_minor, leg.currency)
        return Charge(order.payment_key(leg), order.id, order.uid, amount, at_most=leg.at_most and leg.holds)

    def channel(self, name: str) -> Channel:
        """The channel of this name.

        Raises:
            ConfigError: this App has none.
        """
        try:
            return self.channels[name]
        except KeyError:
            known = ", ".join(sorted(self.channels)) or "none"
            raise ConfigError(
                f"no channel is called {name!r}; this App has: {known}. Give it to App(channels=...)"
            ) from None

    async def _close(self, order: Order[Any], leg: Leg) -> Outcome:
        if leg.channel == GATEWAY:  # your own: nobody can be asked, and its payments are told by record_payment
            return ClosedThere()
        return await self.channel(leg.channel).close(self.charge_of(order, leg))


async def _all(asked: Sequence[Any]) -> list[Any]:
    """All results; each call is finished before an error of one of them is raised."""
    if len(asked) == 1:
        return [await asked[0]]
    results = await asyncio.gather(*asked, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
