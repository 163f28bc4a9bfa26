"""Money in minor units: integers only, with the number of decimals that the currency has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation

from orderway.errors import InvalidValue

__all__ = ["MAX_MINOR", "Currency", "Money", "currency", "define_currency"]

MAX_MINOR = 2**63 - 1
"""The largest amount of any kind: it fits a signed 64-bit column in every database."""

_MAX_DIGITS = 20
# Of our own, for the caller's decimal context may round; what does not fit exactly is refused.
_EXACT = Context(prec=64, traps=[InvalidOperation, Inexact])
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,15}")


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency and its number of decimals.

    Args:
        code: 2 to 16 of ``A-Z 0-9 _``, beginning with a letter: an ISO 4217 code, or a name of your own (``COIN``).
        exponent: how many decimals a major unit has: 0 (JPY, coins), 2 (most) or 3 (KWD).
        internal: True for units that only exist inside this system (points, coins).
    """

    code: str
    exponent: int
    internal: bool = False

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise InvalidValue(f"currency code {self.code!r}: 2 to 16 of A-Z, 0-9 and _ are allowed, a letter first")
        if self.exponent not in {0, 2, 3}:
            raise InvalidValue(f"currency {self.code} has exponent {self.exponent!r}: 0, 2 and 3 are allowed")


# ISO 4217 list one, 2026, by exponent; XXX is its code for no currency, that of an order with nothing to pay.
_WITHOUT_DECIMALS = "XXX BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_WITH_THREE = "BHD IQD JOD KWD LYD OMR TND"
_WITH_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD "
    "KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO "
    "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL "
    "THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
_CURRENCIES: dict[str, Currency] = {
    code: Currency(code, exponent)
    for codes, exponent in ((_WITHOUT_DECIMALS, 0), (_WITH_TWO, 2), (_WITH_THREE, 3))
    for code in codes.split()
}


def currency(code: str) -> Currency:
    """The currency with this code.

    Raises:
        InvalidValue: the code is neither in ISO 4217 nor defined by :func:`define_currency`.
    """
    try:
        return _CURRENCIES[code]
    except KeyError:
        raise InvalidValue(
            f"unknown currency {code!r}: use an ISO 4217 code, or define_currency({code!r}, exponent) first"
        ) from None


def define_currency(code: str, exponent: int = 0) -> Currency:
    """Define an internal currency, for instance coins or points.

    Defining the same currency twice is harmless: this is a table of constants, the same in every process.

    Raises:
        InvalidValue: the code is malformed, or stands for another currency already.
    """
    defined = Currency(code, exponent, internal=True)
    known = _CURRENCIES.setdefault(code, defined)
    if known != defined:
        raise InvalidValue(f"currency {code} is defined already, with exponent {known.exponent}")
    return known


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units of one currency; never a float.

    >>> Money(1999, "USD")
    Money(amount_minor=1999, currency='USD')
    >>> str(Money.of("19.99", "USD"))
    '19.99 USD'
    """

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise InvalidValue(f"an amount is an integer of minor units, not {self.amount_minor!r}")
        if not -MAX_MINOR <= self.amount_minor <= MAX_MINOR:
            raise InvalidValue(f"an amount of {self.amount_minor.bit_length()} bits is beyond 2**63-1 minor units")
        if self.currency not in _CURRENCIES:
            currency(self.currency)

    @classmethod
    def of(cls, amount: str | int | Decimal, code: str) -> Money:
        """Money from an amount in major units, exactly.

        Args:
            amount: for instance ``"19.99"``; a float is refused, for it is not the number that was meant.
            code: the currency's code.

        Raises:
            InvalidValue: not a number, or more decimals than the currency has.
        """
        exponent = currency(code).exponent
        if isinstance(amount, bool) or not isinstance(amount, str | int | Decimal):
            raise InvalidValue(
                f"{amount!r}: give the amount as text, integer or Decimal, not as {type(amount).__name__}"
            )
        try:
            major = Decimal(amount)
            if not major.is_finite() or major.adjusted() > _MAX_DIGITS:
                raise InvalidOperation
            minor = major.scaleb(exponent, _EXACT)
            if minor != minor.to_integral_value():
                raise Inexact
        except DecimalException as error:
            shown = amount if isinstance(amount, str) else f"{Decimal(amount):.40}"
            problem = f"has {exponent} decimals" if isinstance(error, Inexact) else "has no such amount"
            raise InvalidValue(f"{shown[:40]!r}: {code} {problem}") from None
        return cls(int(minor), code)

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other).amount_minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other).amount_minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._same(other).amount_minor

    def __le__(self, other: Money) -> bool:
        return self.amount_minor <= self._same(other).amount_minor

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def __str__(self) -> str:
        exponent = currency(self.currency).exponent
        return f"{Decimal(self.amount_minor).scaleb(-exponent, _EXACT):,.{exponent}f} {self.currency}"

    def _same(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise InvalidValue(f"{self} and {other} are of different currencies")
        return other
