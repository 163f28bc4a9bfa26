"""How an order shall be paid: from what the caller asks for to the legs in the order in which they are carried out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orderway.core.money import Money
from orderway.core.payment import GATEWAY, Leg
from orderway.errors import ConfigError, InvalidValue
from orderway.ports.channel import Channel

__all__ = ["Pay", "check_channel", "check_known", "plan_legs"]


_NAME = re.compile(r"[a-z0-9_]{1,32}")
_PARTS = (
    *("name", "asks_payer", "query_after", "holds"),
    *("charge", "hold", "capture", "query", "close", "refund", "query_refund", "verify"),
)


@dataclass(frozen=True, slots=True)
class Pay:
    """One part of a mixed payment.

    >>> pay = [Pay("points", Money(300, "POINTS"), worth=Money.of("3.00", "CNY")), Pay("wallet"), Pay("wechat")]

    Args:
        channel: the channel's name.
        amount: how much is paid through it; None: as much as is there, up to what is missing.
        worth: what the amount counts for of the price, where it is in another currency than the price (points).
    """

    channel: str
    amount: Money | None = None
    worth: Money | None = None


def plan_legs(
    amount: Money | None, pay: str | Pay | Sequence[str | Pay] | None, channels: Mapping[str, Channel]
) -> tuple[Leg, ...]:
    """The legs that an order is paid in, in the order in which they are carried out; none where nothing is to be paid.

    Channels that can hold come first, as the caller ordered them; they are held until the last leg is paid, and only
    then captured. The last leg of all is never held: it decides.

    Raises:
        InvalidValue: a negative amount, no way to pay it, or parts that do not come to the price.
        ConfigError: no channel of that name.
    """
    if amount is None or not amount:
        return ()
    if amount.amount_minor < 0:
        raise InvalidValue(f"an order's amount cannot be negative: {amount}")
    if not pay:
        raise InvalidValue(f"{amount} is to be paid, but not how: give pay=, one of {_known(channels)}")
    if isinstance(pay, str):
        check_known(pay, channels)
        return (Leg(0, pay, amount.amount_minor, amount.currency, worth_minor=amount.amount_minor),)
    parts = [part if isinstance(part, Pay) else Pay(part) for part in ([pay] if isinstance(pay, Pay) else pay)]
    for part in parts:
        check_known(part.channel, channels)
    parts.sort(key=lambda part: not _can_hold(part.channel, channels))
    _check_parts(parts, channels)
    fixed = [None if part.amount is None else _worth(part, amount) for part in parts]
    open_minor = amount.amount_minor - sum(worth for worth in fixed if worth is not None)
    if open_minor < 0 or (open_minor == 0) == (None in fixed):
        raise InvalidValue(
            f"the parts come to {amount.amount_minor - open_minor} minor units of {amount}: fixed parts alone must "
            "come to exactly the price, and beside an open part (amount=None) to less"
        )
    return tuple(
        Leg(
            number,
            part.channel,
            open_minor if part.amount is None else part.amount.amount_minor,
            amount.currency if part.amount is None else part.amount.currency,
            worth_minor=open_minor if worth is None else worth,
            holds=number < len(parts) - 1 and _can_hold(part.channel, channels),
            at_most=worth is None and len(parts) > 1,
        )
        for number, (part, worth) in enumerate(zip(parts, fixed, strict=True))
    )


def _check_parts(parts: Sequence[Pay], channels: Mapping[str, Channel]) -> None:
    names = [part.channel for part in parts]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidValue(f"pay= names {', '.join(sorted(twice))} twice; each channel takes one part of an order")
    early = [part.channel for part in parts[:-1] if part.amount is None and not _can_hold(part.channel, channels)]
    if early:
        raise InvalidValue(
            f"{early[0]} cannot hold money and is not the last to be asked: give its part an amount; "
            "only the last part, and channels that can hold, may be open"
        )


def _worth(part: Pay, price: Money) -> int:
    assert part.amount is not None
    if part.amount.amount_minor <= 0:
        raise InvalidValue(f"the part of {part.channel} is {part.amount}: more than 0 is expected")
    if part.worth is None and part.amount.currency == price.currency:
        return part.amount.amount_minor
    if part.worth is None or part.worth.currency != price.currency or part.worth.amount_minor <= 0:
        raise InvalidValue(
            f"{part.amount} through {part.channel} is not in {price.currency}: give worth=, what it counts for of the "
            f"price in {price.currency}, more than 0; found {part.worth}"
        )
    if part.amount.currency == price.currency and part.worth != part.amount:
        raise InvalidValue(f"{part.amount} through {part.channel} cannot be worth {part.worth}: leave worth= out")
    return part.worth.amount_minor


def _can_hold(channel: str, channels: Mapping[str, Channel]) -> bool:
    return channel != GATEWAY and channels[channel].holds


def check_channel(channel: Channel) -> None:
    """Refuse a channel that lacks what the port asks for, before anybody pays through it.

    Raises:
        ConfigError: names what is missing.
    """
    missing = sorted(name for name in _PARTS if not hasattr(channel, name))
    if missing:
        raise ConfigError(
            f"channel {getattr(channel, 'name', channel)!r} has no {', '.join(missing)}: see ports.channel"
        )
    if not _NAME.fullmatch(channel.name):
        raise ConfigError(f"a channel is called {channel.name!r}: 1 to 32 of a-z, 0-9 and _ are allowed")


def check_known(channel: str, channels: Mapping[str, Channel]) -> None:
    """Refuse a channel that there is not.

    Raises:
        ConfigError: says which there are.
    """
    if channel != GATEWAY and channel not in channels:
        raise ConfigError(f"pay={channel!r}: no channel is called so; this App has {_known(channels)}")


def _known(channels: Mapping[str, Channel]) -> str:
    return ", ".join(sorted({GATEWAY, *channels}))
