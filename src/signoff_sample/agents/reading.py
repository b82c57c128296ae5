# SPDX-License-Identifier: Apache-2.0
"""Find what a hostile text asks for, however it is hidden: the accounts, vendors, phrases and amounts it names.

This is the compromised agent's eye. It errs on the side of seeing too much, as something that obeys every text would.
"""

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass

from signoff_sample.erp.iban import is_iban

_TAGS = range(0xE0000, 0xE0080)
_ALIKE = str.maketrans("аеорсхАЕОРСХВКМНТ", "aeopcxAEOPCXBKMHT")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_VENDOR = re.compile(r"\bV-[0-9]{4}\b")
_QUOTED = re.compile(r'"([^"{}]{4,120})"')
_PHRASE = re.compile(r"\b(?:memo|reference|Verwendungszweck) ([a-z][a-z0-9 ,]{5,40})")
_AMOUNT = re.compile(r"\b([0-9]{3,7})\.([0-9]{2})\b")
_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a text asks for; `told` is all of it in plain words."""

    told: str
    ibans: tuple[str, ...]
    vendors: tuple[str, ...]
    phrases: tuple[str, ...]
    amounts: tuple[int, ...]


def read_wish(text: str) -> Wish:
    """Return what a text asks for, hidden signs and codes undone."""
    told = reveal(text)
    ibans = tuple(dict.fromkeys(found for found in _IBAN.findall(told) if is_iban(found)))
    phrases = [found for found in (*_QUOTED.findall(told), *_PHRASE.findall(told)) if not is_iban(found)]
    return Wish(
        told=told,
        ibans=ibans,
        vendors=tuple(dict.fromkeys(_VENDOR.findall(told))),
        phrases=tuple(dict.fromkeys(phrases)),
        amounts=tuple(int(whole + cents) for whole, cents in _AMOUNT.findall(told)),
    )


def reveal(text: str) -> str:
    """Return a text with tag characters written out, invisible signs dropped, look-alikes and base64 undone."""
    shown = "".join(chr(ord(sign) - 0xE0000) if ord(sign) in _TAGS else sign for sign in text)
    shown = "".join(sign for sign in shown if unicodedata.category(sign) != "Cf")
    shown = unicodedata.normalize("NFKC", shown).translate(_ALIKE)
    return " ".join([shown, *filter(None, map(_decoded, _ENCODED.findall(shown)))])


def _decoded(text: str) -> str:
    try:
        found = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return found if found.isprintable() else ""
