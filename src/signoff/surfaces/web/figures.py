# SPDX-License-Identifier: Apache-2.0
"""Times, digests, money and ids in the forms that people can read and compare."""

import re
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import quote

from markupsafe import Markup

from signoff.core.money import MICROS, dollars
from signoff.surfaces.web.hostile import shown, text, visible
from signoff.surfaces.web.models import SpendLine

_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def when(value: str, form: Literal["full", "row"] = "full") -> Markup:
    """Return a time in UTC for people, with the exact text in `datetime`; what is no RFC 3339 time is shown as text."""
    found = _parsed(value)
    if found is None:
        return shown(value)
    day = f"{found.day} {_MONTHS[found.month - 1]}"
    inner = f"{day} {found.year}, {found:%H:%M:%S} UTC"
    if form == "row":
        return Markup(
            '<time datetime="{}" title="{}"><span class="clock">{}</span> <span class="day">{}</span></time>'
        ).format(visible(value), inner, f"{found:%H:%M:%S}", day)
    return Markup('<time datetime="{}">{}</time>').format(visible(value), inner)


def elapsed(start: str | None, end: str | None) -> str:
    """Return how long from one time to another, in two units at most; empty where either is missing or they are one."""
    one, other = _parsed(start), _parsed(end)
    if one is None or other is None or other < one:
        return ""
    seconds = (other - one).total_seconds()
    if seconds < 0.01:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    sizes = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    rest, units = int(seconds), []
    for name, size in sizes:
        units.append((rest // size, name))
        rest %= size
    first = next(place for place, (count, _) in enumerate(units) if count)
    return " ".join(f"{count} {name}" for count, name in units[first : first + 2] if count)


def digest(value: str) -> Markup:
    """Return a digest in full, its short form set off and the rest in groups of eight, so that eyes can compare."""
    kind, colon, hexed = value.rpartition(":")
    if re.fullmatch(r"[0-9a-f]{32,128}", hexed) is None:
        return Markup('<code class="digest">{}</code>').format(text(value))
    first, rest = hexed[:12], hexed[12:]
    groups = Markup().join(Markup("<span>{}</span>").format(rest[i : i + 8]) for i in range(0, len(rest), 8))
    return Markup('<code class="digest"><span class="alg">{}</span><strong>{}</strong>{}</code>').format(
        kind + colon, first, groups
    )


def short(value: str) -> str:
    """Return the short form of a digest: its first twelve hex digits."""
    return value.rpartition(":")[2][:12]


def segment(value: str) -> str:
    """Return an id or cursor for an address, where it can end neither its path segment nor its query value."""
    return quote(value, safe="", errors="replace")


def usd(micros: int) -> str:
    """Return exact dollars with the thousands grouped: `1,284.3312`."""
    whole, _, places = dollars(micros).partition(".")
    return f"{int(whole):,}.{places}" if abs(micros) >= MICROS else f"{whole}.{places}"


def bar(line: SpendLine) -> tuple[int, int]:
    """Return settled and reserved in thousandths of the cap, together at most 1,000."""
    cap = line["cap_usd_micros"] or 0
    if cap <= 0:
        return 0, 0
    settled = min(1000, line["settled_usd_micros"] * 1000 // cap)
    return settled, min(1000 - settled, -(-line["reserved_usd_micros"] * 1000 // cap))


def _parsed(value: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(value or "")
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None
