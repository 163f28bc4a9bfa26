"""The ledger as plain-text accounting, in the journal format that ``hledger`` reads.

No text of a user's can forge a line or an account: what is neither letter, digit nor harmless is written as the
percent-encoding of its UTF-8 bytes, as in URLs.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection

from orderway.core.journal import compact_json
from orderway.errors import InvalidValue
from orderway.export.amounts import decimal_text, exponent_of, iso
from orderway.export.chunks import Chunk, Write
from orderway.ports.ledger import WALLET, Ledger, Posted

__all__ = ["export_ledger"]

_HEADER = "; The ledger of Orderway, for hledger: one transaction a posting.\ndecimal-mark .\n"
_ALLOWED_IN_NAMES = frozenset("-_.@")
_ALLOWED_IN_TAGS = frozenset("-_.@:")
_BARRED_FROM_MEMOS = frozenset("%;|")
_BARRED_AT_THE_START = frozenset("*!(")
"""What hledger takes for a status or a code before a description."""
_LETTERS_DIGITS_SYMBOLS = frozenset("LMNS")


async def export_ledger(ledger: Ledger, write: Write, after: str | None = None, *, limit: int = 500) -> int:
    """Write all postings of all users as transactions; returns how many were written.

    A posting is one transaction in one currency, so what is written balances, whatever is posted meanwhile. The
    accounts are ``wallet:<uid>`` and those of the house; ``commodity`` directives say how many decimals each
    currency has. One that only the user's own program defines is written in minor units, as ``"COIN (minor)"``.

    Args:
        ledger: the postings.
        write: takes the chunks; there is at least one.
        after: the cursor of the last chunk that was kept, to go on with an interrupted export.
        limit: how many postings a chunk holds at most.

    Raises:
        InvalidValue: the cursor is none of this export's.
        Unavailable: the database does not answer; what was written so far is good, and its cursor goes on.
    """
    place, exponents = (None, {}) if after is None else _place_of(after)
    written, text = 0, _HEADER if after is None else ""
    while True:
        postings, place = await ledger.postings(place, limit)
        for posted in postings:
            currency = posted.posting.currency
            if currency not in exponents:
                exponents[currency] = exponent_of(currency)
                text += _commodity_directive(currency, exponents[currency])
            text += _transaction(posted, exponents[currency])
        cursor = None if place is None else compact_json([place, exponents])
        await write(Chunk(text, len(postings), cursor))
        written, text = written + len(postings), ""
        if place is None:
            return written


def _place_of(cursor: str) -> tuple[str, dict[str, int | None]]:
    """Where in the ledger to go on, and the currencies declared so far with their decimals.

    A currency keeps the decimals that it was declared with, also where another program goes on with the export.
    """
    try:
        place, exponents = json.loads(cursor)
        if isinstance(place, str) and isinstance(exponents, dict):
            return place, exponents
    except (ValueError, TypeError):
        pass
    raise InvalidValue(f"{cursor!r} is no cursor of an export of a ledger: give the one of the last chunk")


def _transaction(posted: Posted, exponent: int | None) -> str:
    posting = posted.posting
    date, _, time = str(iso(posted.at_us)).partition("T")
    lines = [
        f"\n{date} * {_memo(posting.memo)}".rstrip(),
        f"    ; time:{time}, key:{_tag(posting.key)}, uid:{_tag(posting.uid)}",
    ]
    commodity = _commodity(posting.currency, exponent)
    for line in posting.lines:
        account = f"{WALLET}:{_name(posting.uid)}" if line.account == WALLET else _account(line.account)
        amount = decimal_text(line.amount_minor, exponent or 0)
        lines.append(f"    {account}  {amount} {commodity}")
    return "\n".join(lines) + "\n"


def _commodity_directive(currency: str, exponent: int | None) -> str:
    # Without it, 1.500 could be read as fifteen hundred.
    return f"\ncommodity 1000.{'0' * (exponent or 0)} {_commodity(currency, exponent)}\n"


def _commodity(currency: str, exponent: int | None) -> str:
    return f'"{_name(currency)}"' if exponent is not None else f'"{_name(currency)} (minor)"'


def _account(account: str) -> str:
    return ":".join(_name(part) for part in account.split(":"))


def _name(text: str) -> str:
    """A text as a part of an account's name; different texts stay different."""
    return "".join(_escaped(character, _ALLOWED_IN_NAMES) for character in text) or "%"


def _tag(text: str) -> str:
    """A text as a tag's value; different texts stay different."""
    return "".join(_escaped(character, _ALLOWED_IN_TAGS) for character in text) or "%"


def _memo(text: str) -> str:
    """A text as a description: spaces between words and punctuation stay."""
    characters = [
        character if character.isprintable() and character not in _BARRED_FROM_MEMOS else _percent(character)
        for character in text
    ]
    for at, character in enumerate(characters):
        first, last = at == 0, at == len(characters) - 1
        if character == " " and (first or last or characters[at - 1] == " "):
            characters[at] = "%20"
        elif first and character in _BARRED_AT_THE_START:
            characters[at] = _percent(character)
    return "".join(characters)


def _escaped(character: str, allowed: Collection[str]) -> str:
    if character.isascii():
        return character if character.isalnum() or character in allowed else _percent(character)
    return character if unicodedata.category(character)[0] in _LETTERS_DIGITS_SYMBOLS else _percent(character)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
