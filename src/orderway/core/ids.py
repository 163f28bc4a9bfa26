"""Order ids: at most 26 characters of ``[0-9A-Za-z]`` that name their slot and carry a check character.

Every id ends in its slot (3 characters) and a check character; what stands before is one of three kinds:

===========  ======  ==========================================================================================
kind         length  head
===========  ======  ==========================================================================================
by time      22      9 characters of microseconds since 1970 (sortable until 2399), 9 of randomness (53 bits)
by sequence  20      6 characters of seconds since 1970, 10 of the sequence number
own number   26      22 characters: 128 bits of a hash over order type, uid and the business's own number
===========  ======  ==========================================================================================

Characters sort as bytes do, so ids by time and by sequence sort by time in every database with a binary collation.
"""

from __future__ import annotations

import hashlib
import zlib
from operator import mul

from orderway.errors import InvalidValue

__all__ = [
    "RANDOM_BITS",
    "SLOTS",
    "check_order_id",
    "id_by_sequence",
    "id_by_time",
    "id_from_own_number",
    "slot_in",
    "slot_of_order",
    "slot_of_uid",
]

SLOTS = 65_536
RANDOM_BITS = 53

_SIXTY_TWO_TO_NINE = 62**9

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]
_VALUES = bytes(_DIGITS.find(chr(code)) % 256 for code in range(256))  # 255 where it is no digit
# Weights prime to 62 catch every single wrong character and 30 of 31 swaps of neighbours.
_WEIGHTS = tuple(weight for weight in range(1, 62, 2) if weight != 31)[:25]
_LENGTHS = {20, 22, 26}
_MOST_REMEMBERED = 16_384
_slot_of: dict[str, int] = {}
"""Slots of ids that were made or checked here: of an order on its way this is asked at each of its steps."""


def slot_of_uid(uid: str) -> int:
    """The slot (0 to 65,535) that a user's orders and accounts live in: the low half of CRC-32 of the UTF-8 uid."""
    return zlib.crc32(uid.encode()) & 0xFFFF


def id_by_time(now_us: int, random_bits: int, slot: int) -> str:
    """An order id made from the time and 53 random bits, without a call to anything.

    Args:
        now_us: microseconds since 1970, UTC.
        random_bits: an integer of :data:`RANDOM_BITS` bits; two ids of one microsecond differ by it.
        slot: the slot of the order's uid.
    """
    return _complete(_encode_nine(now_us) + _encode_nine(random_bits), slot)


def id_by_sequence(now_us: int, number: int, slot: int) -> str:
    """An order id made from a number of a sequence; it reveals how many orders there are.

    Args:
        now_us: microseconds since 1970, UTC; kept to the second.
        number: the sequence's next number, from 0 to 62**10 - 1.
        slot: the slot of the order's uid.
    """
    return _complete(_encode(now_us // 1_000_000, 6) + _encode(number, 10), slot)


def id_from_own_number(order_type: int, uid: str, own_number: str) -> str:
    """The order id that stands for a number of the business's own, or of a third party: always the same one.

    The parts are hashed with their lengths, so that no two different triples run together. The original number is
    not in the id; it is stored with the order and compared.

    Raises:
        InvalidValue: the own number is no Unicode text.
    """
    try:
        parts = (str(order_type).encode(), uid.encode(), own_number.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue(f"own number {own_number!r} of uid {uid!r} is no Unicode text ({error.reason})") from None
    digest = hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).digest()
    return _complete(_encode(int.from_bytes(digest[:16], "big"), 22), slot_of_uid(uid))


def slot_of_order(order_id: str) -> int:
    """The slot that an order id carries.

    Raises:
        InvalidValue: this is no order id.
    """
    slot = _slot_of.get(order_id) if type(order_id) is str else None
    if slot is None:
        check_order_id(order_id)
        slot = slot_in(order_id)
        _remember(order_id, slot)
    return slot


def _remember(order_id: str, slot: int) -> None:
    if len(_slot_of) >= _MOST_REMEMBERED:
        _slot_of.clear()
    _slot_of[order_id] = slot


def slot_in(order_id: str) -> int:
    """The slot in an order id that is known to be one."""
    a, b, c = order_id[-4:-1].encode().translate(_VALUES)
    return (a * 62 + b) * 62 + c


def check_order_id(order_id: str) -> None:
    """Refuse what cannot be an order id: wrong length, wrong characters, wrong check character.

    Raises:
        InvalidValue: says what is wrong, before any database is asked.
    """
    if not isinstance(order_id, str):
        raise InvalidValue(f"an order id is text, not {type(order_id).__name__}")
    if len(order_id) not in _LENGTHS or not (order_id.isascii() and order_id.isalnum()):
        raise InvalidValue(f"{order_id[:40]!r} is no order id: 20, 22 or 26 letters and digits are expected")
    if _check_character(order_id[:-1]) != order_id[-1]:
        raise InvalidValue(f"{order_id} is no order id: its check character does not match, a character is mistyped")
    if slot_in(order_id) >= SLOTS:
        raise InvalidValue(f"{order_id} is no order id: its slot is not in 0..{SLOTS - 1}")


def _complete(head: str, slot: int) -> str:
    if not 0 <= slot < SLOTS:
        raise InvalidValue(f"slot {slot} is not in 0..{SLOTS - 1}")
    body = head + _DIGITS[slot // 3844] + _PAIRS[slot % 3844]
    order_id = body + _check_character(body)
    _remember(order_id, slot)
    return order_id


def _check_character(body: str) -> str:
    return _DIGITS[sum(map(mul, body.encode().translate(_VALUES), _WEIGHTS)) % 62]


def _encode_nine(number: int) -> str:
    # As _encode(number, 9), without its loop: an id is made for every order.
    if not 0 <= number < _SIXTY_TWO_TO_NINE:
        raise InvalidValue(f"{number} does not fit 9 characters")
    number, low = divmod(number, 14_776_336)  # the lower half fits one machine word of Python's
    first, high = divmod(number, 14_776_336)
    return f"{_DIGITS[first]}{_PAIRS[high // 3844]}{_PAIRS[high % 3844]}{_PAIRS[low // 3844]}{_PAIRS[low % 3844]}"


def _encode(number: int, length: int) -> str:
    if not 0 <= number < 62**length:
        raise InvalidValue(f"{number} does not fit {length} characters")
    text = ""
    while number:
        number, low = divmod(number, 3844)
        text = _PAIRS[low] + text
    return text[-length:].rjust(length, "0")
