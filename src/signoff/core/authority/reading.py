# SPDX-License-Identifier: Apache-2.0
"""Read typed values off a page, gathering every finding instead of stopping at the first.

Each method returns the value, or `default` with a finding; so a loader reads the whole page and only then asks whether
it may keep the result. The meaning of a scalar comes from its key: the number 1.25 is read from its text.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TypeVar, overload

from signoff.core.authority.page import FINDINGS_MAX, Finding, Node, Page, Severity, quoted, visible
from signoff.core.authority.rule import CannotCompile, Expression, Names, compile_expression
from signoff.core.errors import Malformed
from signoff.core.money import MICROS, dollars, usd_micros

T = TypeVar("T")
UNITS_US: Mapping[str, int] = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
TEXT_MAX = 2_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,127}")
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_INTEGER = re.compile(r"[-+]?\d{1,17}")
_NOT_TEXT = re.compile(
    r"true|false|null|~|[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|0x[0-9a-f]+|0o[0-7]+|[-+]?\.inf|\.nan", re.I
)


class Reader:
    """Gathers findings on one page, and by path the line of each key that was read and its node."""

    def __init__(self, page: Page, findings: Collection[Finding]) -> None:
        self.page = page
        self.findings: list[Finding] = list(findings)
        self.lines: dict[str, int] = {}
        self.nodes: dict[str, Node] = {}

    @property
    def has_errors(self) -> bool:
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    def sorted_findings(self) -> list[Finding]:
        """Return what was found, in the order of the page."""
        return sorted(self.findings, key=lambda finding: (finding.line, finding.column))

    def error(self, at: Node, code: str, what: str, why: str, fix: str) -> None:
        self._find(at.line, at.column, Severity.ERROR, code, what, why, fix)

    def warn(self, at: Node, code: str, what: str, why: str, fix: str) -> None:
        self._find(at.line, at.column, Severity.WARNING, code, what, why, fix)

    def _find(self, line: int, column: int, severity: Severity, code: str, what: str, why: str, fix: str) -> None:
        # Warnings give way, so that a page drowned in them still shows why it does not load.
        if len(self.findings) >= FINDINGS_MAX and (severity is Severity.WARNING or self.has_errors):
            return
        self.findings.append(
            Finding(self.page.file, line, column, severity, code, visible(what), visible(why), visible(fix))
        )

    def wrong(self, at: Node, where: str, wanted: str, fix: str) -> None:
        """Find a value of the wrong type."""
        if is_null(at):
            self.error(at, "page.empty_value", f"`{where}` is empty.", f"It takes {wanted}.", f"{fix} Or leave it out.")
            return
        shown = {"map": "a map", "list": "a list"}.get(at.kind, quoted(at.text))
        self.error(at, "page.type", f"`{where}` is {shown}.", f"It takes {wanted}.", fix)

    def fields(
        self, node: Node | None, where: str, known: Collection[str], required: Collection[str] = ()
    ) -> dict[str, Node]:
        """Return the values of a map by key; unknown and missing keys are findings."""
        if node is None:
            return {}
        if node.kind != "map":
            self.wrong(node, where or "the page", "keys and values", f"Write keys, such as `{next(iter(known))}:`.")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.pairs:
            path = f"{where}.{key.text}" if where else key.text
            if key.text in known:
                found[key.text] = value
                self.lines[path] = key.line
                self.nodes[path] = value
                continue
            near = get_close_matches(key.text, known, 1, 0.6)
            self.error(
                key,
                "page.unknown_key",
                f"There is no key {quoted(key.text)} {f'in `{where}`' if where else 'at the top of this page'}.",
                "Keys that are not known would be rules that nobody keeps.",
                f"Did you mean `{near[0]}`?" if near else f"Known here: {', '.join(known)}.",
            )
        for name in required:
            if name not in found and not (node.pairs and any(key.text == name for key, _ in node.pairs)):
                path = f"{where}.{name}" if where else name
                self.error(
                    node,
                    "page.missing_key",
                    f"`{path}` is missing.",
                    "It has no default that would be safe.",
                    f"Add `{name}:`.",
                )
        return found

    @overload
    def text(self, node: Node | None, where: str, default: T, *, numbers: bool = ...) -> str | T: ...
    @overload
    def text(self, node: Node | None, where: str, *, numbers: bool = ...) -> str | None: ...
    def text(self, node: Node | None, where: str, default: object = None, *, numbers: bool = False) -> object:
        """Return a text; a plain number or truth value is none, unless `numbers` are read as they are written."""
        if node is None:
            return default
        looks_else = node.is_plain and _NOT_TEXT.fullmatch(node.text) and not (numbers and node.text[:1].isdigit())
        if node.kind != "scalar" or looks_else or is_null(node) or not node.text.strip():
            self.wrong(node, where, "a text", "Put it in quotes if it is meant as text.")
            return default
        if len(node.text) > TEXT_MAX:
            self.error(
                node,
                "page.too_long",
                f"`{where}` has {len(node.text)} characters.",
                f"At most {TEXT_MAX} are kept.",
                "Say it in fewer words.",
            )
            return default
        return node.text

    def name(self, node: Node | None, where: str) -> str | None:
        """Return a name: a letter, then letters, digits and `_ . : / -`, at most 128."""
        text = self.text(node, where)
        if text is None or node is None:
            return None
        if not NAME.fullmatch(text):
            self.error(
                node,
                "page.name",
                f"`{where}` is {quoted(text)}, which is no name.",
                "A name is a letter and then letters, digits and _ . : / -, at most 128 in all.",
                "Rename it, without spaces.",
            )
            return None
        return text

    def texts(self, node: Node | None, where: str, *, names: bool = True) -> tuple[str, ...]:
        """Return a list of names (or texts), each once; a text of several words stands in quotes."""
        if node is None:
            return ()
        if node.kind != "list":
            self.wrong(node, where, "a list", 'Write `[first, second]`, or one `- "name"` a line.')
            return ()
        found: dict[str, int] = {}
        for index, item in enumerate(node.items):
            path = f"{where}[{index}]"
            text = self.name(item, path) if names else self.text(item, path)
            if text is None:
                continue
            if item.is_plain and len(text.split()) > 1:
                # A comma that was lost would make one entry of two, which nobody sees.
                self.wrong(
                    item, path, "one word, or several in quotes", f'Write `["{text[:40]}"]`, or a comma between.'
                )
                continue
            if text in found:
                self.warn(
                    item,
                    "page.twice",
                    f"{quoted(text)} stands twice in `{where}`.",
                    f"It stood on line {found[text]} already and counts once.",
                    "Remove one.",
                )
            found.setdefault(text, item.line)
        return tuple(found)

    def boolean(self, node: Node | None, where: str, default: bool) -> bool:
        if node is None:
            return default
        if node.is_plain and node.text in ("true", "True", "TRUE"):
            return True
        if node.is_plain and node.text in ("false", "False", "FALSE"):
            return False
        self.wrong(
            node, where, "true or false, without quotes", f"Write `{where.rsplit('.', 1)[-1]}: true` or `false`."
        )
        return default

    @overload
    def integer(self, node: Node | None, where: str, low: int, high: int, default: T) -> int | T: ...
    @overload
    def integer(self, node: Node | None, where: str, low: int, high: int) -> int | None: ...
    def integer(self, node: Node | None, where: str, low: int, high: int, default: object = None) -> object:
        """Return an integer within `low` and `high`, both included."""
        if node is None:
            return default
        if not node.is_plain or not _INTEGER.fullmatch(node.text):
            self.wrong(node, where, f"a whole number from {low} to {high}", "Write digits only, without quotes.")
            return default
        if not low <= (value := int(node.text)) <= high:
            self._range(node, where, str(low), str(high))
            return default
        return value

    @overload
    def word(self, node: Node | None, where: str, known: Collection[str], default: T) -> str | T: ...
    @overload
    def word(self, node: Node | None, where: str, known: Collection[str]) -> str | None: ...
    def word(self, node: Node | None, where: str, known: Collection[str], default: object = None) -> object:
        """Return one of the `known` words."""
        if node is None:
            return default
        if node.kind == "scalar" and node.text in known:
            return node.text
        near = get_close_matches(node.text, known, 1) if node.kind == "scalar" else []
        fix = f"Did you mean `{near[0]}`?" if near else f"Write `{next(iter(known))}`, for instance."
        self.wrong(node, where, f"one of: {', '.join(known)}", fix)
        return default

    @overload
    def duration(self, node: Node | None, where: str, low: str, high: str, default: T) -> int | T: ...
    @overload
    def duration(self, node: Node | None, where: str, low: str, high: str) -> int | None: ...
    def duration(self, node: Node | None, where: str, low: str, high: str, default: object = None) -> object:
        """Return microseconds for a text such as `60s`, `4h` or `30d`, within `low` and `high`."""
        if node is None:
            return default
        value = duration_us(node.text) if node.kind == "scalar" else None
        if value is None:
            self.wrong(node, where, "a duration", "Write a whole number and ms, s, m, h or d: `60s`, `4h`, `30d`.")
            return default
        if not (duration_us(low) or 0) <= value <= (duration_us(high) or 0):
            self._range(node, where, low, high)
            return default
        return value

    @overload
    def money(self, node: Node | None, where: str, high: int, default: T) -> int | T: ...
    @overload
    def money(self, node: Node | None, where: str, high: int) -> int | None: ...
    def money(self, node: Node | None, where: str, high: int, default: object = None) -> object:
        """Return micro-dollars from a decimal's text; `high` is in micro-dollars."""
        if node is None:
            return default
        if not node.is_plain:
            self.wrong(node, where, "an amount in dollars, without quotes", "Write it like 1.25.")
            return default
        if is_null(node):
            self.wrong(node, where, "an amount in dollars", "Write it like 1.25.")
            return default
        try:
            value = usd_micros(node.text)
        except Malformed as refusal:
            self.error(node, "page.money", f"`{where}`: {refusal.what}", refusal.why, refusal.fix)
            return default
        if value > high:
            self._range(node, where, "0", f"{dollars(high)} USD")
            return default
        return value

    def fraction_ppm(self, node: Node | None, where: str) -> int | None:
        """Return millionths from a decimal from 0 to 1."""
        if node is None:
            return None
        try:
            value = usd_micros(node.text) if node.is_plain else -1
        except Malformed:
            value = -1
        if not 0 <= value <= MICROS:
            self.wrong(node, where, "a number from 0 to 1 with at most six places", "Write it like 0.7.")
            return None
        return value

    def expression(
        self, node: Node | None, where: str, names: Names, returns: Collection[str] = ()
    ) -> Expression | None:
        """Return a CEL expression over `names` that yields one of `returns` (or something dynamic)."""
        if node is None:
            return None
        if node.kind != "scalar" or is_null(node):
            self.wrong(
                node, where, "a CEL expression", "Write it as one text: `args.vendor_id`, or \"'vendor/' + args.id\"."
            )
            return None
        try:
            expression = compile_expression(node.text, names)
        except CannotCompile as refusal:
            line, column = self.place(node, refusal.line, refusal.column)
            self._find(
                line, column, Severity.ERROR, "page.expression", f"`{where}`: {refusal.what}", refusal.why, refusal.fix
            )
            return None
        if returns and expression.returns not in (*returns, "dyn"):
            self.error(
                node,
                "page.expression",
                f"`{where}` yields a {expression.returns}.",
                f"It takes a {' or '.join(returns)}.",
                "Compare it, or turn it into text with `string(...)`.",
            )
            return None
        return expression

    def expressions(self, node: Node | None, where: str, names: Names) -> dict[str, Expression]:
        """Return a map of names to CEL expressions."""
        if node is None:
            return {}
        if node.kind != "map":
            self.wrong(node, where, "names and CEL expressions", "Write `{vendor_id: args.vendor_id}`.")
            return {}
        found: dict[str, Expression] = {}
        for key, value in node.pairs:
            self.lines[f"{where}.{key.text}"] = key.line
            self.nodes[f"{where}.{key.text}"] = value
            if not key.text.strip() or len(key.text) > 200:
                self.error(
                    key,
                    "page.name",
                    f"A name in `{where}` is empty or longer than 200.",
                    "It names a field.",
                    "Write the field's name.",
                )
            elif (expression := self.expression(value, f"{where}.{key.text}", names)) is not None:
                found[key.text] = expression
        return found

    def place(self, node: Node, line: int, column: int) -> tuple[int, int]:
        """Return where in the file a character of a scalar's text stands, as near as is sure."""
        rows = self.page.lines
        if node.style.startswith("|") and node.line + line - 1 < len(rows):
            row = rows[node.line + line - 1]
            return node.line + line, len(row) - len(row.lstrip(" ")) + column
        return self._folded(node, column) or (node.line, node.column) if line == 1 else (node.line, node.column)

    def _folded(self, node: Node, column: int) -> tuple[int, int] | None:
        """Return where a character stands whose text runs over several rows of the page, joined by spaces.

        None where the rows are not just the text, as behind an escape or around an empty row.
        """
        offset, first = 0, node.line + (node.style == ">")
        for number, row in enumerate(self.page.lines[first - 1 :], first):
            begin = len(row) - len(row.lstrip(" "))
            if number == node.line:
                begin = node.column - 1 + (node.style in ("'", '"'))
            piece, rest = row[begin:].rstrip(), node.text[offset:]
            if not piece or not (rest.startswith(piece) or piece.startswith(rest)):
                return None
            offset += min(len(piece), len(rest))
            if column <= offset + 1:
                return number, begin + column - offset + min(len(piece), len(rest))
            offset += 1
        return None

    def _range(self, node: Node, where: str, low: str, high: str) -> None:
        self.error(
            node,
            "page.range",
            f"`{where}` is {quoted(node.text)}.",
            f"It is at least {low} and at most {high}.",
            "Choose a number in between.",
        )


def is_null(node: Node) -> bool:
    """Tell whether a plain scalar means nothing: empty, `~` or `null`."""
    return node.is_plain and node.text in ("", "~", "null", "Null", "NULL")


def duration_us(text: str) -> int | None:
    """Return microseconds for `60s`, `4h` or `30d`; None if it is no duration."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * UNITS_US[match[2]] if match else None
