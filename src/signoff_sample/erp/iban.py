# SPDX-License-Identifier: Apache-2.0
"""IBANs by their check digits (ISO 13616-1; ISO 7064, MOD 97-10)."""

import re

_SHAPE = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


def is_iban(text: str) -> bool:
    """Say whether `text`, without spaces, is a well-formed IBAN; lengths by country are not looked at."""
    if not _SHAPE.fullmatch(text):
        return False
    digits = "".join(str(int(sign, 36)) for sign in text[4:] + text[:4])
    return int(digits) % 97 == 1
