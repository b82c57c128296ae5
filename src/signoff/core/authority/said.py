# SPDX-License-Identifier: Apache-2.0
"""What an agent has said: whether it may itself have brought a value in that a result then shows.

Tolerant on purpose, for whatever is found here endorses nothing: case, spaces, marks, look-alike signs, full width,
usual encodings and numerals in any notation are read through, and a value counts as said inside a longer text, in
another unit of money, or put together from several arguments of one call.
"""

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final
from urllib.parse import unquote

from signoff.core.authority.normal import calendar_date

_INSIDE_MIN: Final = 4  # letters and digits from which a value counts wherever it stands, not only as a word
_DIGITS_INSIDE_MIN: Final = 9
_ROUNDS: Final = 3  # of encodings within encodings
_PIECES_MAX: Final = 64
_PUT_TOGETHER_MAX: Final = 512  # letters and digits of a value that may be put together from pieces
_READ_MAX: Final = 100_000  # characters of all readings of one call, and
_NUMERALS_MAX: Final = 20_000  # its numerals; who says more may have said anything
# Signs of other scripts that look like a Latin letter, capitals and small ones apart: H and η look like different ones.
_CAPITALS: Final = dict(
    zip("АВСЕНІЈКМОРЅТХѴԜԚҮГЗΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺꓐꓑꓔꓕ", "ABCEHIJKMOPSTXVWQYREABEZHIKMNOPTYXCMBPTT", strict=True)
)
_SMALL: Final = {
    "a": "аαɑ", "b": "ьвβ", "c": "сϲ", "d": "ԁđ", "e": "еεєз", "g": "ɡ", "h": "һнħ", "i": "іιıɩ", "j": "јϳ",
    "k": "кκ", "l": "ӏłʟ", "m": "мμ", "n": "пηи", "o": "оοσøө", "p": "рρ", "q": "ԛ", "r": "г", "s": "ѕ",
    "t": "тτ", "u": "υцʋ", "v": "νѵ", "w": "ԝωш", "x": "хχ", "y": "уγү", "z": "ζ",
}  # fmt: skip
_LOOKS: Final = str.maketrans(_CAPITALS | {look: plain for plain, alike in _SMALL.items() for look in alike})
_WORD = re.compile(r"[^\W_]+")
_NUMERAL = re.compile(r"[0-9](?:[0-9.,'’ \u00a0\u202f]*[0-9])?")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{6,}={0,2}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[ :]?){4,}")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
_DATE = re.compile(r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}")


class Said:
    """The arguments of one call, read for everything that could be taken from them."""

    __slots__ = ("_dates", "_folded", "_numbers", "_pieces", "_read", "_truths", "_words", "size")

    def __init__(self, args: Mapping[str, Any]) -> None:
        """Read every text and number of `args`, however deep; the names of arguments are the tool's and say nothing."""
        self._truths: set[bool] = set()
        self._numbers: set[Decimal] = set()
        self._words: set[str] = set()
        self._dates: set[str] = set()
        self._pieces: set[str] = set()
        self.size = self._read = 0
        folded: list[str] = []
        for leaf in leaves(args, keys=False):
            if isinstance(leaf, bool):
                self._truths.add(leaf)
            elif isinstance(leaf, int | float):
                self._take_number(abs(Decimal(repr(leaf))))
                self._take_text(repr(leaf), folded)
            elif isinstance(leaf, str):
                self._take_text(leaf, folded)
        self._folded = "\0".join(folded)

    def holds(self, value: Any) -> bool:
        """Tell whether a value may come from these arguments; of a list or map, whether any member may."""
        if self._read > _READ_MAX or len(self._numbers) > 5 * _NUMERALS_MAX:
            return True
        if isinstance(value, bool):
            return value in self._truths
        if isinstance(value, int | float):
            number = abs(Decimal(repr(value)))
            return number in self._numbers or digits_of(number) in self._words
        if isinstance(value, str):
            return any(self._holds_text(one) for one in readings(value))
        return any(self.holds(one) for one in leaves(value))

    def _holds_text(self, value: str) -> bool:
        sought = fold(value)
        if not sought:
            return False
        if sought in self._words or _any_date(value) in self._dates:
            return True
        least = _DIGITS_INSIDE_MIN if sought.isdigit() else _INSIDE_MIN
        if len(sought) >= least and sought in self._folded:
            return True
        if sought.isdigit() and any(Decimal(one) in self._numbers for one in _spellings(value)):
            return True
        return self._is_put_together(sought)

    def _is_put_together(self, sought: str) -> bool:
        """Tell whether whole arguments of the call, one behind the other, make the value."""
        if len(sought) > _PUT_TOGETHER_MAX:
            return False
        reached = {0: 0}  # length that is covered, by how many pieces
        for end in range(1, len(sought) + 1):
            found = [
                reached[start] + 1
                for piece in self._pieces
                if (start := end - len(piece)) in reached and sought.startswith(piece, start)
            ]
            if found:
                reached[end] = min(found)
        return reached.get(len(sought), 0) > 1

    def _take_text(self, text: str, folded: list[str]) -> None:
        self.size += len(text)
        for reading in readings(text):
            self._read += len(reading)
            if self._read > _READ_MAX:
                return
            whole = fold(reading)
            folded.append(whole)
            self._words.add(whole)
            if 0 < len(whole) <= 256 and len(self._pieces) < _PIECES_MAX:
                self._pieces.add(whole)
            words = [fold(word) for word in _WORD.findall(reading)]
            self._words.update(words)
            self._words.update(map("".join, pairwise(words)))  # `A-1`, however the two are set apart
            for match in _NUMERAL.finditer(unicodedata.normalize("NFKC", reading)):
                if len(self._numbers) > 5 * _NUMERALS_MAX:
                    return
                for written in {match[0], *match[0].split()}:
                    self._words.add(fold(written))
                    for spelled in _spellings(written):
                        self._take_number(Decimal(spelled))
            for match in _DATE.finditer(reading):
                self._dates.update(day for day in (_any_date(match[0]),) if day)
            if day := calendar_date(reading.strip()):
                self._dates.add(day)

    def _take_number(self, number: Decimal) -> None:
        # A system may answer in cents what it was asked in dollars, and the other way round.
        self._numbers.update((number, number * 100, number / 100, number * 1000, number / 1000))


def fold(text: str) -> str:
    """Return the letters and digits of a text without case, marks and look-alikes."""
    if not text.isascii():
        text = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
        text = text.translate(_LOOKS)
    text = text.casefold()
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(one, one)) for one in text)
    return "".join(one for one in text if one.isalnum())


def readings(text: str) -> set[str]:
    """Return a text as it is and as usual encodings of it, or of words in it, may be read."""
    found = {text}
    fresh = {text}
    for _ in range(_ROUNDS):
        fresh = {decoded for one in fresh for decoded in _decoded(one)} - found
        if not fresh or len(found) > _PIECES_MAX:
            break
        found |= fresh
    return found


def leaves(value: Any, *, keys: bool = True) -> Iterator[Any]:
    """Yield every scalar of a JSON value, and the names of its members; those at the top only with `keys`."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if keys:
                yield name
            yield from leaves(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from leaves(member)
    elif value is not None:
        yield value


def digits_of(number: Decimal) -> str:
    """Return the digits of a number without its point, as a folded numeral has them."""
    text = format(number.normalize() if number == number.to_integral_value() else number, "f")
    return text.replace(".", "")


def _decoded(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote(text, errors="ignore")
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        yield _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), text)
    if not text.isascii():
        yield unicodedata.normalize("NFKC", text)
    for match in _BASE64.finditer(text):
        bare = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        yield from _read(base64.b64decode, bare + "=" * (-len(bare) % 4))
    for match in _HEX.finditer(text):
        yield from _read(binascii.unhexlify, match[0].replace(" ", "").replace(":", ""))


def _read(decode: Any, text: str) -> Iterator[str]:
    try:
        found = decode(text).decode("utf-8")
    except (ValueError, UnicodeDecodeError):
        return
    if found.isprintable():
        yield found


def _spellings(text: str) -> Iterator[str]:
    """Yield what a numeral may mean, whichever sign is its decimal point."""
    bare = re.sub(r"[^0-9.,]", "", unicodedata.normalize("NFKC", text))
    digits = re.sub(r"[.,]", "", bare)
    if not digits or len(digits) > 30:
        return
    yield digits
    whole, mark, part = bare.rpartition(max(".", ",", key=bare.rfind))
    if mark and part:
        yield f"{re.sub(r'[.,]', '', whole) or '0'}.{part}"


def _any_date(text: str) -> str | None:
    """Return the date of a text in any order of day and month that makes one."""
    if found := calendar_date(text.strip()):
        return found
    parts = re.split(r"[-/.]", text.strip())
    if len(parts) == 3 and all(part.isdigit() for part in parts):
        first, middle, last = parts
        orders = ((first, middle, last), (last, middle, first), (last, first, middle))
        for year, month, day in orders:
            if len(year) == 4 and (found := calendar_date(f"{year}-{month:0>2}-{day:0>2}")):
                return found
    return None
