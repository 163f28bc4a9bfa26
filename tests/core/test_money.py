"""Money: exact, in minor units, whatever it is given."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderway.core.money import MAX_MINOR, Currency, Money, currency, define_currency
from orderway.errors import InvalidValue

CODES = ("JPY", "USD", "KWD")
minors = st.integers(-MAX_MINOR, MAX_MINOR)


@pytest.mark.parametrize(
    ("text", "code", "minor", "shown"),
    [
        ("1999", "JPY", 1999, "1,999 JPY"),
        ("19.99", "USD", 1999, "19.99 USD"),
        ("19.9", "USD", 1990, "19.90 USD"),
        ("1.999", "KWD", 1999, "1.999 KWD"),
        ("-0.01", "USD", -1, "-0.01 USD"),
        ("1e2", "USD", 10000, "100.00 USD"),
        (19, "USD", 1900, "19.00 USD"),
        (Decimal("0.10"), "USD", 10, "0.10 USD"),
        ("92233720368547758.07", "USD", MAX_MINOR, "92,233,720,368,547,758.07 USD"),
    ],
)
def test_major_units_become_minor_ones_and_back(text: str | int | Decimal, code: str, minor: int, shown: str) -> None:
    assert Money.of(text, code) == Money(minor, code)
    assert str(Money(minor, code)) == shown


@given(minors, st.sampled_from(CODES))
def test_any_amount_survives_the_way_through_text(minor: int, code: str) -> None:
    money = Money(minor, code)
    assert Money.of(str(money).removesuffix(f" {code}").replace(",", ""), code) == money


@given(minors, st.sampled_from(CODES), st.integers(1, 50))
def test_the_callers_decimal_context_changes_nothing(minor: int, code: str, precision: int) -> None:
    expected = str(Money(minor, code))
    with decimal.localcontext(prec=precision, rounding=decimal.ROUND_UP):
        assert str(Money(minor, code)) == expected
        assert Money.of(expected.removesuffix(f" {code}").replace(",", ""), code).amount_minor == minor


@pytest.mark.parametrize(("text", "code"), [("1.5", "JPY"), ("1.999", "USD"), ("1.0001", "KWD"), ("1e-9999", "USD")])
def test_more_decimals_than_the_currency_has_are_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidValue, match="decimals"):
        Money.of(text, code)


def test_no_decimal_is_rounded_away_however_far_behind_it_stands() -> None:
    with pytest.raises(InvalidValue, match="decimals"):
        Money.of("92233720368547758.07" + "0" * 60 + "1", "USD")
    with pytest.raises(InvalidValue, match="decimals"):
        Money.of("1." + "0" * 40 + "1", "USD")


HOSTILE: list[Any] = [
    *("", " ", "abc", "1,5", "1.2.3", "--1", "0x10", "1 2", "NaN", "sNaN", "-Infinity", "Infinity", "\x00", "\ud800"),
    *("1e400", "1e999999999999", "9" * 5000, Decimal("sNaN"), Decimal("Infinity"), Decimal("1e30")),
    *(10**5000, -(10**5000), 2**63, 19.99, 0.0, float("nan"), True, None, b"19.99", (0, (1,), 0), [1], {}),
]


@pytest.mark.parametrize("amount", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_amount_is_refused_with_one_kind_of_error(amount: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        Money.of(amount, "USD")
    assert len(str(caught.value)) < 200


@given(st.text())
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    try:
        money = Money.of(text, "USD")
    except InvalidValue:
        return
    assert money.amount_minor == Decimal(text) * 100


NOT_MINOR: list[Any] = [1.0, "1", None, True, Decimal(1), MAX_MINOR + 1, -MAX_MINOR - 1, 10**5000]


@pytest.mark.parametrize("minor", NOT_MINOR, ids=range(len(NOT_MINOR)))
def test_minor_units_are_integers_of_64_bits(minor: Any) -> None:
    with pytest.raises(InvalidValue):
        Money(minor, "USD")


@pytest.mark.parametrize("code", ["usd", "", "XXQ", "US D", "USD\n", "DROP TABLE"])
def test_an_unknown_currency_is_refused_with_what_to_do(code: str) -> None:
    for make in (lambda: Money(1, code), lambda: Money.of("1", code), lambda: currency(code)):
        with pytest.raises(InvalidValue, match="define_currency"):
            make()


def test_internal_currencies_are_defined_once_and_again_without_harm() -> None:
    coin = define_currency("TESTCOIN")
    assert coin == Currency("TESTCOIN", 0, internal=True) == define_currency("TESTCOIN") == currency("TESTCOIN")
    assert str(Money.of("5", "TESTCOIN")) == "5 TESTCOIN"
    with pytest.raises(InvalidValue, match="defined already, with exponent 0"):
        define_currency("TESTCOIN", 2)
    with pytest.raises(InvalidValue, match="defined already"):
        define_currency("USD", 2)


@pytest.mark.parametrize(
    ("code", "exponent"), [("coin", 0), ("C", 0), ("1COIN", 0), ("C" * 17, 0), ("COIN\n", 0), ("COIN", 1), ("COIN", -2)]
)
def test_a_malformed_currency_is_refused(code: str, exponent: int) -> None:
    with pytest.raises(InvalidValue):
        define_currency(code, exponent)


@given(st.integers(-(10**18), 10**18), st.integers(-(10**18), 10**18))
def test_sums_and_order_are_those_of_the_integers(left: int, right: int) -> None:
    a, b = Money(left, "USD"), Money(right, "USD")
    assert (a + b).amount_minor == left + right
    assert (a - b) + b == a
    assert -a + a == Money(0, "USD")
    assert ((a < b), (a <= b), (a > b), (a >= b), (a == b)) == (
        left < right,
        left <= right,
        left > right,
        left >= right,
        left == right,
    )
    assert bool(a) is (left != 0)


def test_sums_beyond_the_largest_amount_are_refused() -> None:
    with pytest.raises(InvalidValue, match="2\\*\\*63-1"):
        Money(MAX_MINOR, "USD") + Money(1, "USD")


def test_different_currencies_do_not_mix() -> None:
    dollar, yen = Money(1, "USD"), Money(1, "JPY")
    assert dollar != yen
    for mix in (lambda: dollar + yen, lambda: dollar - yen, lambda: dollar < yen, lambda: dollar <= yen):
        with pytest.raises(InvalidValue, match="different currencies"):
            mix()
