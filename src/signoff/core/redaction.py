# SPDX-License-Identifier: Apache-2.0
"""Mask personal data and secrets in what people read back: e-mail, IBAN, card and phone numbers, keys and tokens.

What was said stays as it was said, sealed; this is how it is shown once nobody has to decide on it any more. A kind is
told by its shape and, where it has one, by its check digits, so that amounts, dates and numbers of invoices stay
readable. A name or an address in free text has no such shape, and is not found.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_WORD: Final = r"(?<![\w])"
_EMAIL: Final = re.compile(r"[\w.%+'-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w])")
_IBAN: Final = re.compile(_WORD + r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_CARD: Final = re.compile(r"(?<![\w.,])[2-6][0-9](?:[ -]?[0-9]){11,17}(?![\w])")
_PHONE: Final = re.compile(
    r"(?<![\w+.,])(?:"
    r"(?:\+|00(?=[1-9]))[ ]?[1-9](?:[ ./()-]{0,3}[0-9]){6,14}"  # E.164, as people write it
    r"|\(?0[1-9][0-9]{1,4}\)?[ /-]{1,3}[0-9]{3,8}(?:[ -][0-9]{1,5}){0,3}"  # national, with its area code told apart
    r"|\(?[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}"  # North American
    r")(?![\w])"
)
_DATE: Final = re.compile(r"0[1-9][/-][0-9]{1,2}[/-][0-9]{2,4}")
_SECRETS: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[^-]|-(?!----)){0,8192}(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
    r"|sgk_[0-9a-f]{8,}_?[0-9a-f]*"
    r"|(?<![\w.-])eyJ[\w-]{4,}(?:\.[\w-]*){1,2}"  # a compact JWT (RFC 7519, section 3.1): its header begins with `{"`
    r"|(?i:bearer|basic)[ ]+(?:[A-Za-z]{0,64}[0-9._~+/=-][^\s\"']{1,4096}|[A-Za-z]{20,4096})"
    r"|(?<![\w-])(?:sk|pk|rk)[-_](?:[a-z]{2,8}[-_])?[\w-]{16,}"
    r"|(?<!\w)(?:gh[pousr]_|github_pat_|glpat-|hf_|npm_|xox[abeoprs]-|AIza|ya29\.|SG\.|dop_v1_)[\w.-]{16,}"
    r"|(?<!\w)(?:AKIA|ASIA)[0-9A-Z]{16}(?!\w)"
)
_NAMED: Final = re.compile(
    r"""(?ix)(?<![a-z0-9])((?:pass(?:word|wd|phrase)|secret|token|api[ _-]?key|access[ _-]?key|client[ _-]?secret)
    ["']?\s{0,3}[=:]\s{0,3}["']?)([^\s"',;&]{4,512})"""
)
_URL: Final = re.compile(r"(?<=://)[^\s/@:]{1,128}:[^\s/@]{1,256}(?=@)")
_SECRET_NAMES: Final = re.compile(
    r"(?i)(?:^|[_-])(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization)$"
)


def mask(text: str) -> str:
    """Return `text` with each find replaced by its kind in brackets, such as `[e-mail]`."""
    if _SECRETS.search(text):
        text = _SECRETS.sub("[secret]", text)
    if "://" in text:
        text = _URL.sub("[secret]", text)
    text = _NAMED.sub(lambda found: found[0] if found[2].startswith("[") else f"{found[1]}[secret]", text)
    if "@" in text:
        text = _EMAIL.sub("[e-mail]", text)
    text = _IBAN.sub(_iban, text)
    text = _CARD.sub(_checked(is_card, "[card]"), text)
    return _PHONE.sub(_phone, text)


def redacted(value: Any) -> Any:
    """Return a JSON value with every text in it masked, names of members too; a member named as a secret is one.

    A whole number is masked where it is a card's.
    """
    match value:
        case str():
            return mask(value)
        case bool() | float() | None:
            return value
        case int():
            shown = mask(str(value)) if value >= 10**12 else ""
            return shown if shown == "[card]" else value
        case Mapping():
            found: dict[str, Any] = {}
            for name, one in value.items():
                is_secret = isinstance(one, str) and one != "" and _SECRET_NAMES.search(name) is not None
                found[_free(mask(name), found)] = "[secret]" if is_secret else redacted(one)
            return found
        case list() | tuple():
            return [redacted(one) for one in value]
        case _:
            return value


def is_card(text: str) -> bool:
    """Tell whether digits, with spaces or hyphens between them, are a card's (ISO/IEC 7812-1, annex B: Luhn)."""
    digits = [int(one) for one in text if one.isdecimal()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Tell whether a text, spaces and hyphens apart, is an account number (ISO 13616-1: its remainder by 97 is 1)."""
    plain = "".join(one for one in text if one.isalnum()).upper()
    if not (15 <= len(plain) <= 34 and plain.isascii() and plain[:2].isalpha() and plain[2:4].isdecimal()):
        return False
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1


def _iban(found: "re.Match[str]") -> str:
    """Mask the account number that a match begins with; words that follow it may have been taken along."""
    text = found[0]
    ends = [at for at in range(15, len(text) + 1) if at == len(text) or text[at] in " -"]
    end = next((at for at in ends if is_iban(text[:at])), None)
    return text if end is None else f"[iban]{text[end:]}"


def _phone(found: "re.Match[str]") -> str:
    digits = sum(one.isdecimal() for one in found[0])
    return found[0] if _DATE.match(found[0]) or not 8 <= digits <= 15 else "[phone]"


def _checked(is_one: Callable[[str], bool], word: str) -> "Callable[[re.Match[str]], str]":
    return lambda found: word if is_one(found[0]) else found[0]


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name that is not taken yet: two members may be masked to the same."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
