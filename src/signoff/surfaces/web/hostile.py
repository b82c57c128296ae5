# SPDX-License-Identifier: Apache-2.0
"""Make untrusted text visible and harmless: nothing in it reorders, hides or poses as something else.

Whatever stands in a document is hostile: the agent's arguments, an invoice's note, a target's error.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from markupsafe import Markup, escape

CLIP: Final = 280  # characters of a value that are shown at once
LINES: Final = 8
CONTEXT: Final = 48  # characters that are kept on each side of what is cut or marked
_PATH: Final = 120

# Printable by category, yet drawn as nothing or as a blank: fillers, joiners, variation selectors, empty Braille.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MARKS_MAX = 3  # no script stacks more on one letter; a pile of them paints over the lines around it
_LOOKS_LIKE_DATA: Final = re.compile(
    r'-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|null|none|absent|nothing|[{\["].*', re.DOTALL | re.IGNORECASE
)


class Absent:
    """No value at all, unlike null."""

    def __init__(self, word: str) -> None:
        self.word = word


ABSENT, NOTHING = Absent("absent"), Absent("nothing")


def visible(value: str) -> str:
    """Return the text with every character that reorders, hides or imitates a blank written as `⟨U+202E⟩`."""
    return "".join(f"⟨U+{ord(part):04X}⟩" if is_hidden else part for part, is_hidden in _parts(value))


def text(value: str) -> Markup:
    """Return the escaped text as `visible` shows it, with each named character set apart from a typed imitation."""
    return Markup().join(
        Markup('<span class="hidden-char">{}</span>').format(f"⟨U+{ord(part):04X}⟩") if is_hidden else escape(part)
        for part, is_hidden in _parts(value)
    )


def _parts(value: str) -> Iterator[tuple[str, bool]]:
    """Split into runs of honest text and single characters to be named."""
    if value.isascii() and value.isprintable():
        yield value, False
        return
    start = marks = 0
    for place, char in enumerate(value):
        # `isprintable` is false for controls, formats (bidi, zero width), surrogates, private use and odd spaces.
        is_hidden = (not char.isprintable() and char not in "\n\t") or _BLANK.match(char) is not None
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if is_hidden or marks > _MARKS_MAX:
            if start < place:
                yield value[start:place], False
            yield char, True
            start = place + 1
    if start < len(value):
        yield value[start:], False


def written(value: Any) -> str:
    """Return a value as text; a string that could be taken for something else keeps its quotes."""
    if isinstance(value, str):
        is_ambiguous = not value or value != value.strip() or _LOOKS_LIKE_DATA.fullmatch(value) is not None
        return json.dumps(value, ensure_ascii=False) if is_ambiguous else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # `1.0` is `1` (contract, section 7)
    return json.dumps(value, ensure_ascii=False, default=str)


def clip(value: str, most: int = 140) -> str:
    """Return the text with its middle left out beyond `most` characters; for lines that link to the whole."""
    if len(value) <= most:
        return value
    return f"{value[: most * 2 // 3]} … {value[-(most // 3) :]}"


def shown(value: Any) -> Markup:
    """Return a value for a table or a paragraph: isolated, visible, clipped in the middle, whole on request."""
    if isinstance(value, Absent):
        return Markup('<span class="absent">{}</span>').format(value.word)
    whole = written(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Markup('<bdi class="num">{}</bdi>').format(_thousands(whole))
    if len(whole) <= CLIP and whole.count("\n") < LINES:
        return Markup('<bdi class="val">{}</bdi>').format(text(whole))
    head, tail = whole[: CLIP // 2], whole[-CLIP // 3 :]
    if whole.count("\n") >= LINES:
        head, tail = "\n".join(head.split("\n")[:4]), "\n".join(tail.split("\n")[-3:])
    return details(Markup("{}{}{}").format(text(head), gap(len(whole) - len(head) - len(tail)), text(tail)), whole)


def prose(value: str) -> Markup:
    """Return a message with what stands between backticks set as code, as messages of ours are written."""
    parts = value.split("`")
    if len(parts) % 2 == 0 or len(value) > CLIP:
        return shown(value)
    said = (Markup("<code>{}</code>").format(text(part)) if at % 2 else text(part) for at, part in enumerate(parts))
    return Markup('<bdi class="val">{}</bdi>').format(Markup().join(said))


def _thousands(written: str) -> Markup:
    """Set the thousands of a long integer apart by elements, not characters: what is copied stays the number."""
    digits = written.lstrip("-")
    sign = written[: len(written) - len(digits)]
    if not digits.isdecimal() or len(digits) < 5:
        return text(written)
    first = len(digits) % 3 or 3
    rest = Markup().join(Markup("<span>{}</span>").format(digits[i : i + 3]) for i in range(first, len(digits), 3))
    return Markup("{}{}{}").format(sign, digits[:first], rest)


def path(value: str) -> Markup:
    """Return a field's path, whose steps are not broken; a very long one is clipped, or it would push values away."""
    if len(value) > _PATH:
        return details(
            Markup("{}{}{}").format(text(value[:CONTEXT]), gap(len(value) - 2 * CONTEXT), text(value[-CONTEXT:])),
            value,
        )
    return Markup().join(Markup("<span>{}</span>").format(text(part)) for part in re.split(r"(?<=[./\]])", value))


def gap(count: int) -> Markup:
    return Markup(' <span class="gap">… {} characters …</span> ').format(f"{count:,}") if count > 0 else Markup("")


def details(summary: Markup, whole: str) -> Markup:
    return Markup(
        '<details class="clip"><summary><bdi class="val">{}</bdi></summary>'
        '<div class="whole"><bdi class="val">{}</bdi></div></details>'
    ).format(summary, text(whole))
