# SPDX-License-Identifier: Apache-2.0
"""Equal values have one form and no others do; a value stands in a text only as a whole item."""

import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.normal import TEXT_MAX, Normal, Told, calendar_date, folded_text, form, iban, numeral

E, N, D, T, I = Normal.EXACT, Normal.NUMBER, Normal.DATE, Normal.TEXT, Normal.IBAN  # noqa: E741
SAME: list[tuple[Normal, Any, Any]] = [
    (E, "INV-1", "INV-1"), (E, 1, 1.0), (E, True, True), (E, [1, "a"], [1.0, "a"]), (E, {"a": [1]}, {"a": [1.0]}),
    (N, "1,200.50", 1200.5), (N, "1.200,50", "1200.50"), (N, "1.200.000", 1_200_000), (N, "-3", -3), (N, "−3", "-3.0"),
    (N, "1'200", 1200), (N, "99,5", "99.50"), (N, 0.1, "0.1"),
    (D, "2026-03-01", "1.3.2026"), (D, "1 March 2026", "March 1st, 2026"), (D, "01.03.2026", "1 mar 2026"),
    (T, "Northwind  Traders", "northwind traders"), (T, "M\u00fcller", "mu\u0308ller"),
    (I, "DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
]  # fmt: skip
OTHER: list[tuple[Normal, Any, Any]] = [
    (E, "INV-1", "inv-1"), (E, "1", 1), (E, 1, True), (E, 0, False), (E, "a", "a "), (E, [1], [True]), (E, [1], ["1"]),
    (E, {"a": 1}, {"a": True}), (E, [[]], [{}]), (E, 0.1, 0.1 + 1e-12), (E, "K", "\u212a"),
    (N, "1.200", 1200), (N, "1,200", 1.2), (N, "3", -3), (N, "99,500", 99.5),
    (D, "2026-03-01", "2026-03-02"), (T, "a b", "ab"), (T, "paypal", "p\u0430ypal"), (T, "strasse", "stra\u00dfe"),
    (I, "DE89370400440532013000", "GB29NWBK60161331926819"),
]  # fmt: skip
NONE: list[tuple[Normal, Any]] = [
    (E, ""), (E, []), (E, {}), (E, "x" * (TEXT_MAX + 1)), (N, "007"), (N, "1e3"), (N, "twelve"), (N, "12k"), (N, " 1"),
    (N, "１２"), (N, "١٢"), (N, "1,2,3"), (N, ""), (N, True), (N, "NaN"), (N, "1,20050"[:-1] + "x"), (D, "03/01/2026"),
    (D, "2026-02-30"), (D, "2026-3-1"), (D, "1 Marx 2026"), (D, 20260301), (T, "ﬁ"), (T, "ａ"), (T, "a\u200bb"),
    (T, "\u212a"), (T, "a\x00"), (T, "\ufb01"), (T, " "), (I, "DE88370400440532013000"), (I, "DE89"), (I, "ＤＥ89"),
    (T, 1), (D, True), (I, 1), (N, [1]), (T, ["a"]),
]  # fmt: skip


@pytest.mark.parametrize(("how", "one", "other"), SAME)
def test_values_that_are_the_same_have_one_form(how: Normal, one: Any, other: Any) -> None:
    assert form(one, how) is not None
    assert form(one, how) == form(other, how)


@pytest.mark.parametrize(("how", "one", "other"), OTHER)
def test_values_that_differ_have_different_forms(how: Normal, one: Any, other: Any) -> None:
    assert form(one, how) != form(other, how)


@pytest.mark.parametrize(("how", "value"), NONE)
def test_what_is_not_plainly_of_a_form_has_none(how: Normal, value: Any) -> None:
    assert form(value, how) is None


TEXT = (
    "Pay invoice INV-12 (order #1042) of Northwind's, EUR1,200.00 or $300, 75%, due 2026-03-01 / 3 April 2026. IBAN"
    " DE89 3704 0044 0532 0130 00; PO-7,PO-8. -5 items; 10:30; range 100-200; INV7; a@acme.com, x_y; 1.5k, +49 30 1;"
    " 'Quoted'"
    " — Acme Inc.—done. V-9… AT&T 12\u20ac, 800USD"
)
STANDS: list[tuple[Any, Normal]] = [
    ("INV-12", E), ("1042", E), (1042, E), ("Northwind", E), ("Northwind's", E), (300, E), (75, E), (-5, E),
    ("PO-7", E), ("PO-8", E), ("a@acme.com", E), ("Acme Inc.", E), ("Acme Inc", E), ("Quoted", E), ("V-9", E),
    ("AT&T", E), (12, E), (800, E), ("invoice INV-12", E), (1200, N), ("1,200", N), ("1200.00", N), ("2026-03-01", D),
    ("3.4.2026", D), ("2026-03-01", E), ("DE89370400440532013000", I), ("NORTHWIND", T), ("pay  INVOICE", T),
    ("x_y", E), ("10:30", E),
]  # fmt: skip
STANDS_NOT: list[tuple[Any, Normal]] = [
    ("INV-1", E), ("INV", E), ("NV-12", E), (1200, E), (5, E), (10, E), (30, E), (100, E), (200, E), (7, E), (2026, E),
    (2026, N), (3, N), (1.5, E), ("1.5", E), ("acme.com", E), ("acme", E), ("x", E), ("northwind", E), ("INV7-", E),
    (True, E), ([300], E), ({"a": 300}, E), ("", E), ("-", E), (" ", E), ("2026-04-30", D), ("s", E), (49, E), ("T", E),
    ("GB29NWBK60161331926819", I), ("DE8937040044053201300", I), ("inv-1", T), (1200.5, N), ("03", E), (3704, E),
    (44, N), (532, N), (130, E), (1, E), ("ＩＮＶ-12", T), ("INV\u201012", E), ("pay\u200b", T), (120000, N), (8, E),
]  # fmt: skip


@pytest.mark.parametrize(("value", "how"), STANDS)
def test_what_a_person_wrote_stands_in_the_text(value: Any, how: Normal) -> None:
    assert Told(TEXT).holds(value, how)


@pytest.mark.parametrize(("value", "how"), STANDS_NOT)
def test_no_part_of_an_item_and_nothing_else_stands_in_the_text(value: Any, how: Normal) -> None:
    assert not Told(TEXT).holds(value, how)


WORD = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
ITEM = st.lists(WORD, min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from("-/._").map(lambda by: by.join(words))
)


@given(st.lists(ITEM, min_size=1, max_size=6), st.data())
def test_an_item_stands_among_others_and_its_parts_do_not(items: list[str], data: st.DataObject) -> None:
    """However items are set apart, each is found, and a piece of one only where it is another."""
    told = Told("".join(one + data.draw(st.sampled_from([" ", ", ", "; ", "\n", ") (", ". "])) for one in items))
    assert all(told.holds(one, E) and told.holds(one.upper(), T) for one in items)
    whole = data.draw(st.sampled_from(items))
    start = data.draw(st.integers(0, len(whole)))
    piece = whole[start : data.draw(st.integers(start, len(whole)))]
    if piece.strip("-/._") not in {one.strip("-/._") for one in items}:
        assert not told.holds(piece, E)


@given(st.integers(-(10**12), 10**12), st.integers(0, 99))
def test_a_number_is_read_as_people_write_it(whole: int, cents: int) -> None:
    value = Decimal(whole) + (Decimal(cents) / 100).copy_sign(whole or 1)
    for written in (f"{value:,.2f}", f"{value:.2f}", f"{value:,.2f}".replace(",", "'")):
        assert numeral(written) == value
        assert Told(f"Pay €{written}, please.").holds(float(value), N) == (form(float(value), N) == ("number", value))
    german = f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
    assert numeral(german) == value


@given(st.dates())
def test_a_date_is_one_day_in_each_notation(day: Any) -> None:
    if day.year < 1000:
        return
    months = "January February March April May June July August September October November December"
    month = months.split()[day.month - 1]
    for written in (
        f"{day.day}.{day.month}.{day.year}",
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
    ):
        assert calendar_date(written) == day.isoformat()
        assert Told(f"Due {written}.").holds(day.isoformat(), D)


@given(st.text(max_size=40))
def test_reading_anything_ends_and_folds_once(text: str) -> None:
    folded = folded_text(text)
    assert folded_text(folded) == folded or not folded
    assert iban(text) == iban(iban(text))
    told = Told(text)
    for how in Normal:
        told.holds(text, how)
        told.holds(1, how)
