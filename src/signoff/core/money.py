# SPDX-License-Identifier: Apache-2.0
"""Money is integer micro-dollars; decimals are read from their text, never from a float."""

import re

from signoff.core.errors import Malformed

MICROS = 1_000_000
INT_MAX = 2**53 - 1
_DECIMAL = re.compile(r"([0-9]{1,10})(?:\.([0-9]+))?")


def usd_micros(text: str) -> int:
    """Return micro-dollars for a plain decimal such as `1.25`.

    Raises:
        Malformed: it is no plain non-negative decimal, has more than six places, or is too large.
    """
    match = _DECIMAL.fullmatch(text.strip())
    if not match:
        raise Malformed(
            what=f"{text[:40]!r} is no amount in dollars.",
            why="An amount is a plain decimal: digits, and at most six after a point.",
            fix="Write it like 1.25 or 0.002, without sign, exponent or separators.",
        )
    whole, places = match[1], match[2] or ""
    if len(places.rstrip("0")) > 6:
        raise Malformed(
            what=f"{text[:40]!r} has more than six decimal places.",
            why="Money is kept in micro-dollars, so that sums are exact.",
            fix="Round it to six places.",
        )
    return int(whole) * MICROS + int((places[:6]).ljust(6, "0"))


def dollars(micros: int) -> str:
    """Return `1.25` for 1250000: at least two places, and no more than needed."""
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    places = f"{micros % MICROS:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{micros // MICROS}.{places}"
