# SPDX-License-Identifier: Apache-2.0
"""Normal forms: when two values are one and the same, and when a value stands in a text as a whole item.

Strict on purpose, for a match endorses: what is not plainly the same value has no form, or another one. Nothing is
decoded, no look-alike sign is read as another, no half of an item counts. `said.py` is the tolerant counterpart: it
tells what an agent may have brought in itself.
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

TEXT_MAX = 16_384  # characters of one value; a longer one has no form
# A mark of money may touch a numeral: `EUR1,200`. Other letters make an id of it: `INV12`.
# fmt: off
_CODES: Final = frozenset((
    "AED", "AUD", "BGN", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "IDR", "ILS", "INR",
    "ISK", "JPY", "KRW", "MXN", "NOK", "NZD", "PLN", "RON", "SAR", "SEK", "SGD", "THB", "TRY", "USD", "ZAR",
))
_MONTHS: Final = {name: number for number, names in enumerate((
    ("january", "jan"), ("february", "feb"), ("march", "mar"), ("april", "apr"), ("may",), ("june", "jun"),
    ("july", "jul"), ("august", "aug"), ("september", "sep", "sept"), ("october", "oct"), ("november", "nov"),
    ("december", "dec"),
), start=1) for name in names}
# fmt: on


class Normal(StrEnum):
    """How two values are made comparable; whole items of one type, never substrings."""

    EXACT = "exact"
    NUMBER = "number"
    DATE = "date"
    TEXT = "text"
    IBAN = "iban"


def form(value: Any, how: Normal) -> Hashable | None:
    """Return what equals for equal values, None where the value has no such form and so matches nothing.

    `exact` keeps types and signs apart, `1` from `"1"` and from `true`. `number` also reads a text that is one
    numeral, `date` a text that is one calendar date; `text` folds case and white space, `iban` spaces and case.
    """
    if isinstance(value, str):
        return _text_form(value, how) if len(value) <= TEXT_MAX else None
    if isinstance(value, bool):
        return ("truth", value) if how is Normal.EXACT else None
    if isinstance(value, int | float):
        return ("number", _decimal(value)) if how in (Normal.EXACT, Normal.NUMBER) else None
    if how is not Normal.EXACT or not value:
        return None
    if isinstance(value, dict):
        return "map", frozenset((name, _member(one)) for name, one in value.items())
    return "list", tuple(_member(one) for one in value)


def _text_form(value: str, how: Normal) -> Hashable | None:
    if how is Normal.NUMBER:
        number = numeral(value)
        return None if number is None else ("number", number)
    found = _READ[how](value)
    return (str(how), found) if found else None


def _member(value: Any) -> Hashable:
    found = form(value, Normal.EXACT)
    return ("empty", repr(value)) if found is None else found


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


_PLAIN = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_WRITTEN = (
    (_PLAIN, "", "."),
    (re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?"), ",", "."),
    (re.compile(r"[1-9][0-9]{0,2}(?:['’][0-9]{3})+(?:\.[0-9]+)?"), "'’", "."),
    (re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+"), ".", ","),
    (re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}"), ".", ","),
    (re.compile(r"(?:0|[1-9][0-9]*),(?:[0-9]{1,2}|[0-9]{4,})"), "", ","),
)


def numeral(text: str) -> Decimal | None:
    """Return the number that a text is, if it is one numeral in ASCII digits and nothing else.

    A comma before exactly three digits groups thousands, as in `1,200`; a dot there does not: `1.200` is 1.2, as in
    JSON. A leading zero makes an id of it.
    """
    sign, digits = ("-", text[1:]) if text[:1] in ("-", "−") else ("", text)
    for shape, groups, point in _WRITTEN:
        if shape.fullmatch(digits):
            bare = "".join(one for one in digits if one not in groups)
            return Decimal(sign + bare.replace(point, "."))
    return None


_DATES = (
    re.compile(r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})"),
    re.compile(r"(?P<d>[0-9]{1,2})\.(?P<m>[0-9]{1,2})\.(?P<y>[0-9]{4})"),
    re.compile(r"(?P<d>[0-9]{1,2}) (?P<m>[A-Za-z]{3,9}) (?P<y>[0-9]{4})"),
    re.compile(r"(?P<m>[A-Za-z]{3,9}) (?P<d>[0-9]{1,2})(?:st|nd|rd|th)?,? (?P<y>[0-9]{4})"),
)


def calendar_date(text: str) -> str | None:
    """Return the ISO form of a text that is one calendar date; `03/04/2026` is none, for it may be two."""
    return next((day for shape in _DATES if (match := shape.fullmatch(text)) and (day := _day(match))), None)


def _day(match: re.Match[str]) -> str | None:
    month = int(match["m"]) if match["m"].isdigit() else _MONTHS.get(match["m"].lower(), 0)
    try:
        return date(int(match["y"]), month, int(match["d"])).isoformat()
    except ValueError:
        return None


def iban(text: str) -> str:
    """Return an IBAN without spaces in upper case, '' for what is none by its check digits (ISO 13616)."""
    bare = text.replace(" ", "").replace("\u00a0", "")
    if not bare.isascii() or not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", bare := bare.upper()):
        return ""
    return bare if int("".join(str(int(one, 36)) for one in bare[4:] + bare[:4])) % 97 == 1 else ""


def folded_text(text: str) -> str:
    """Return a text in lower case with single spaces, '' where it holds a sign that only looks like another.

    Signs that normalisation would turn into others (full width, ligatures, the Kelvin sign), invisible and control
    characters have no form.
    """
    found = " ".join(text.split())
    if not found.isascii():
        if any(_is_disguised(one) for one in found):
            return ""
        found = unicodedata.normalize("NFC", found)
    elif not found.isprintable():
        return ""
    return found.lower()


def _is_disguised(one: str) -> bool:
    decomposed = unicodedata.decomposition(one)
    is_other = decomposed.startswith("<") or (bool(decomposed) and " " not in decomposed)
    return is_other or (unicodedata.category(one)[0] == "C")


_READ: Final[Mapping[Normal, Callable[[str], str | None]]] = {
    Normal.EXACT: str,
    Normal.DATE: calendar_date,
    Normal.TEXT: folded_text,
    Normal.IBAN: iban,
}

# --- whole items of a text ------------------------------------------------------------------------------------------

_JOINERS: Final = frozenset("-‐‑‒–−/\\.@+#&'’")  # between two words they make one item of them
_DIGIT_JOINERS: Final = frozenset(",:")  # between two digits
_CHUNK = re.compile(r"[0-9](?:[0-9.,'’]*[0-9])?")
_GROUPED = re.compile(r"[ \u00a0\u202f][0-9]+(?!\w|[-/.,'’]\w)")
_GROUP_BEFORE = re.compile(r"(?:^|[\s+(])[0-9]+[ \u00a0\u202f]$")
_DATED = tuple(re.compile(shape.pattern) for shape in _DATES)


class Told:
    """A text that a person wrote, such as a run's task, read once for the items that stand in it."""

    __slots__ = ("_dates", "_folded", "_numerals", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._folded: str | None = None
        self._numerals: tuple[frozenset[Decimal], frozenset[Decimal]] | None = None
        self._dates: frozenset[str] | None = None

    def holds(self, value: Any, how: Normal) -> bool:
        """Tell whether a value stands in the text as a whole item: `INV-1` does not stand in `INV-12`.

        A number stands there as a numeral of its own, which a currency mark or code may touch; plain digits where
        nothing else is declared.
        """
        found = form(value, how)
        if found is None or isinstance(value, bool | list | dict):
            return False
        if isinstance(value, str) and how in (Normal.EXACT, Normal.TEXT):
            text, wanted = (self.text, value) if how is Normal.EXACT else (self.folded, folded_text(value))
            return stands_in(text, wanted)
        if how is Normal.DATE:
            return calendar_date(value) in self._all_dates()
        if how is Normal.IBAN:
            return self._has_iban(iban(value))
        number = _decimal(value) if isinstance(value, int | float) else numeral(value)
        return number in self._all_numerals()[how is Normal.NUMBER]

    @property
    def folded(self) -> str:
        """The text in lower case with single spaces; a sign that only looks like another stays what it is."""
        if self._folded is None:
            kept = (one if not one.isascii() and _is_disguised(one) else one.lower() for one in self.text)
            self._folded = unicodedata.normalize("NFC", " ".join("".join(kept).split()))
        return self._folded

    def _all_numerals(self) -> tuple[frozenset[Decimal], frozenset[Decimal]]:
        if self._numerals is None:
            plain: set[Decimal] = set()
            written: set[Decimal] = set()
            for chunk, number in _numerals(self.text):
                written.add(number)
                if _PLAIN.fullmatch(chunk):
                    plain.add(number)
            self._numerals = frozenset(plain), frozenset(written)
        return self._numerals

    def _all_dates(self) -> frozenset[str]:
        if self._dates is None:
            found = (match for shape in _DATED for match in shape.finditer(self.text))
            self._dates = frozenset(
                day for match in found if is_whole(self.text, *match.span()) and (day := _day(match))
            )
        return self._dates

    def _has_iban(self, wanted: str) -> bool:
        spaced = re.compile("[ \u00a0]?".join(wanted), re.IGNORECASE | re.ASCII)
        return any(is_whole(self.text, *match.span()) for match in spaced.finditer(self.text))


def stands_in(text: str, wanted: str) -> bool:
    """Tell whether `wanted` stands in a text with an end of a word or item on both its sides."""
    if not any(one.isalnum() for one in wanted):
        return False
    at = text.find(wanted)
    while at >= 0:
        if is_whole(text, at, at + len(wanted)):
            return True
        at = text.find(wanted, at + 1)
    return False


def is_whole(text: str, start: int, end: int) -> bool:
    """Tell whether nothing of the same item goes on before `start` or from `end` on."""
    return not (_goes_on(text, start - 1, -1) or (_goes_on(text, end, 1) and not _is_possessive(text, end)))


def _goes_on(text: str, at: int, step: int) -> bool:
    joined: set[str] = set()
    for place in range(at, at + 4 * step, step):
        if not 0 <= place < len(text):
            return False
        one = text[place]
        if _is_of_word(one):
            # What a comma or a colon joins are digits; any other joiner joins whatever it touches.
            is_weak = bool(joined) and joined <= _DIGIT_JOINERS
            return not is_weak or (one.isdigit() and text[at - step].isdigit())
        if one not in _JOINERS and one not in _DIGIT_JOINERS:
            return False
        joined.add(one)
    return True


def _is_of_word(one: str) -> bool:
    return one.isalnum() or one == "_" or unicodedata.category(one) in ("Mn", "Mc", "Me", "Cf", "Co", "Cn")


def _is_possessive(text: str, end: int) -> bool:
    after = text[end + 2 : end + 3]
    return text[end : end + 2] in ("'s", "’s") and not (after and _is_of_word(after))


def _numerals(text: str) -> Iterator[tuple[str, Decimal]]:
    """Yield the numerals of a text that stand for themselves, each as it is written and as a number.

    The day and the year of a date do not, nor do groups of digits in a row, as in a telephone number.
    """
    is_date = bytearray(len(text))
    for match in (match for shape in _DATED for match in shape.finditer(text) if _day(match)):
        is_date[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    for match in _CHUNK.finditer(text):
        start, end = match.span()
        if is_date[start] or is_date[end - 1] or _GROUPED.match(text, end):
            continue
        if _GROUP_BEFORE.search(text, max(0, start - 24), start):
            continue
        sign = ""
        if text[start - 1 : start] in ("-", "−") and start:
            sign, start = "-", start - 1
        if start >= 3 and text[start - 3 : start] in _CODES:
            start -= 3
        if text[end : end + 3] in _CODES:
            end += 3
        number = numeral(sign + match[0])
        if number is not None and is_whole(text, start, end):
            yield match[0], number
