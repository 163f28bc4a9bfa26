"""What an order is made from: checking what the caller asked for, and the fact that begins the order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from orderway.core.facts import Created
from orderway.core.ids import check_order_id, slot_of_order, slot_of_uid
from orderway.core.journal import compact_json
from orderway.core.money import Money
from orderway.core.payment import Leg
from orderway.errors import ConfigError, InvalidValue
from orderway.ports.business import Business

__all__ = ["check_id", "check_uid", "created_fact"]

UID_CHARACTERS = 128
OWN_NUMBER_CHARACTERS = 128
REMARK_CHARACTERS = 1_024
SHORT_CHARACTERS = 256
DATA_CHARACTERS = 65_536
MICROSECOND = timedelta(microseconds=1)
_CHOICES = {
    "when_short": ("reject", "wait"),
    "late_payment": ("revive", "give_back", "ask"),
    "second_payment": ("give_back", "ask"),
    "wrong_payment": ("give_back", "ask"),
    "refund_by": ("reverse", "ratio"),
}


def check_uid(uid: str) -> None:
    """Refuse what cannot be a uid.

    Raises:
        InvalidValue: not text of 1 to 128 characters, or text that cannot be written as UTF-8.
    """
    if not isinstance(uid, str) or not 1 <= len(uid) <= UID_CHARACTERS:
        raise InvalidValue(f"uid {str(uid)[:40]!r}: text of 1 to {UID_CHARACTERS} characters is expected")
    if not uid.isalnum() or not uid.isascii():
        check_text("uid", uid, UID_CHARACTERS)


def check_text(name: str, text: str, most: int) -> None:
    """Refuse text that is too long, or that no database can keep.

    Raises:
        InvalidValue: says which argument, and what is allowed.
    """
    if len(text) > most:
        raise InvalidValue(f"{name} has {len(text)} characters, {most} are allowed")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidValue(f"{name} holds a lone surrogate, which is no character") from None
    if "\x00" in text:
        raise InvalidValue(f"{name} holds a NUL character, which databases cannot keep")


def check_texts(**texts: str) -> None:
    """Refuse short texts for the journal that are too long, or that no database can keep.

    Raises:
        InvalidValue: names the argument.
    """
    for name, text in texts.items():
        check_text(name, text, SHORT_CHARACTERS)


def business_of(order_type: int, businesses: Mapping[int, Business[Any]]) -> Business[Any]:
    """The business of this order type.

    Raises:
        ConfigError: none is registered for it.
    """
    business = businesses.get(order_type)
    if business is None:
        known = ", ".join(map(str, sorted(businesses))) or "none"
        raise ConfigError(f"order type {order_type!r} is not registered here; registered: {known}")
    return business


def check_business(business: Business[Any]) -> None:
    """Refuse a business that could not be carried out, before anybody has paid for it.

    Raises:
        ConfigError: names the setting, what was found and what is allowed.
    """
    name, order_type = type(business).__name__, getattr(business, "order_type", None)
    if not isinstance(order_type, int) or not 0 <= order_type <= 65_535:
        raise ConfigError(f"{name}.order_type is {order_type!r}: a number of 0 to 65535 is expected")
    if not business.overrides("deliver"):
        raise ConfigError(f"{name} has no deliver: every business says how its goods are handed over")
    for setting in ("pay_within", "query_every", "transaction_limit", "refund_within"):
        if getattr(business, setting) <= timedelta(0):
            raise ConfigError(f"{name}.{setting} is {getattr(business, setting)}: it must be longer than 0")
    for setting in ("finish_within", "alert_every"):
        value = getattr(business, setting)
        if value is not None and value <= timedelta(0):
            raise ConfigError(f"{name}.{setting} is {value}: it must be longer than 0, or None")
    for setting, allowed in _CHOICES.items():
        if getattr(business, setting) not in allowed:
            known = ", ".join(map(repr, allowed))
            raise ConfigError(f"{name}.{setting} is {getattr(business, setting)!r}: {known} are allowed")


def check_id(order_id: str, uid: str) -> None:
    """Refuse an order id that does not belong to this user.

    Raises:
        InvalidValue: it is no order id, or it names another slot than the uid's.
    """
    check_order_id(order_id)
    if slot_of_order(order_id) != slot_of_uid(uid):
        raise InvalidValue(f"order id {order_id} was not made for uid {uid!r}: make it with new_order_id(type, uid)")


def created_fact(
    business: Business[Any],
    uid: str,
    amount: Money | None,
    legs: tuple[Leg, ...],
    data: Any,
    remark: str,
    own_number: str,
    now_us: int,
) -> Created:
    """The fact that begins the order, with the fingerprint of what was asked for.

    Raises:
        InvalidValue: an argument is not of its form; says which, what was found and what is allowed.
    """
    text = business.encode(data)
    if text != "{}":
        check_text("data", text, DATA_CHARACTERS)
    if remark:
        check_text("remark", remark, REMARK_CHARACTERS)
    if own_number:
        check_text("own_number", own_number, OWN_NUMBER_CHARACTERS)
    amount_minor, currency = (amount.amount_minor, amount.currency) if amount is not None else (0, "XXX")
    asked = [business.order_type, uid, amount_minor, currency, _plan(legs) if legs else legs, own_number, text]
    lasts = business.pay_within if legs else min(business.retry.deadline, business.finish_within or timedelta.max)
    return Created(
        order_type=business.order_type,
        uid=uid,
        amount_minor=amount_minor,
        currency=currency,
        legs=legs,
        deadline_at_us=now_us + lasts // MICROSECOND,
        fingerprint=sha256(compact_json(asked).encode()).hexdigest(),
        own_number=own_number,
        remark=remark,
        data=text if text != "{}" else None,
    )


def _plan(legs: tuple[Leg, ...]) -> list[Any]:
    """What was asked for as the way to pay: a channel, or how much of what through which."""
    if len(legs) == 1:
        return [legs[0].channel]
    return [[leg.channel, leg.amount_minor, leg.currency, leg.worth_minor, leg.at_most] for leg in legs]
