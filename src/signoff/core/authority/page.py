# SPDX-License-Identifier: Apache-2.0
"""Turn the text of a YAML page into a tree that knows its positions, or into findings.

A page is for people and is hashed byte for byte, so it may say each thing in one way only: no anchors, aliases, tags,
merge keys, duplicate keys or second documents; at most 256 KiB and 32 levels (contract, section 7). Scalars stay text:
what `2026-03-01` or `1.25` means is decided by the key under which it stands, and money never passes a float.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

BYTES_MAX = 256 * 1024
DEPTH_MAX = 32
FINDINGS_MAX = 100


class Severity(StrEnum):
    """An error keeps the page from loading; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend in a page; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    severity: Severity
    code: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.what} {self.why} {self.fix} [{self.code}]"
        )


Kind = Literal["scalar", "list", "map"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the page and where it begins; `line` and `column` count from 1.

    A map has `pairs`, a list has `items`, a scalar has `text` and its `style` (`''` is plain, else the opening mark).
    """

    kind: Kind
    line: int
    column: int
    text: str = ""
    style: str = ""
    items: "tuple[Node, ...]" = ()
    pairs: "tuple[tuple[Node, Node], ...]" = ()

    @property
    def is_plain(self) -> bool:
        return self.kind == "scalar" and self.style == ""


@dataclass(frozen=True, slots=True)
class Page:
    """The tree of a page, its text, its lines without a byte order mark, and the digest of its exact bytes."""

    file: str
    text: str
    digest: str
    lines: tuple[str, ...]
    root: Node


def read_page(source: str | bytes, file: str) -> tuple[Page | None, list[Finding]]:
    """Return the tree of `source`, or findings alone if it cannot be read as one. Raises nothing.

    Duplicate keys, anchors and tags are findings beside a tree, so that one reading tells everything.
    """
    text, finding = _decoded(source, file)
    if finding:
        return None, [finding]
    raw = source if isinstance(source, bytes) else source.encode()
    builder = _Builder(file)
    for match in _REORDERS.finditer(text):
        builder.find(
            *_place(text, match.start()),
            "page.control",
            f"A character here (U+{ord(match[0]):04X}) changes the order in which text is shown.",
            "A person would read another page than the machine.",
            "Remove it.",
        )
    try:
        root = builder.build(_events(text.removeprefix("\ufeff")))
    except _Stop:
        root = None
    except (YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError, AssertionError) as error:
        builder.findings.append(_syntax(file, text, error))
        root = None
    except RecursionError:
        builder.findings.append(_too_deep(file, 1, 1))
        root = None
    if root is None:
        if not builder.findings:
            builder.find(1, 1, "page.empty", "The page is empty.", "It holds no document.", "Write the page's keys.")
        return None, builder.findings
    return Page(file, text, digest(raw), tuple(text.removeprefix("\ufeff").split("\n")), root), builder.findings


def digest(raw: bytes) -> str:
    """Return `sha256:<hex>` over the exact bytes."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def quoted(text: str) -> str:
    """Return `text` as it may stand in a message: at most 40 characters, control characters made visible."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def visible(text: str) -> str:
    """Return `text` on one line, with what does not print made visible."""
    return text if text.isprintable() else "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


# Text that a person would not see, or would see in another order than the machine reads it.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_REORDERS = re.compile("[\u202a-\u202e\u2066-\u2069]")


class _Stop(Exception):
    """What follows cannot be read any more; the finding was made."""


def _events(text: str) -> Iterator[Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = "1.2"
    yield from yaml.parse(text)


def _decoded(source: str | bytes, file: str) -> tuple[str, Finding | None]:
    """Return the text, or why the bytes are none."""
    if isinstance(source, str):
        given = source
        try:
            source = given.encode()
        except UnicodeEncodeError as error:
            line, column = _place(given, error.start)
            return "", _error(
                file,
                line,
                column,
                "page.encoding",
                "The page holds a lone surrogate.",
                "It cannot be written as UTF-8.",
                "Remove the character.",
            )
    if len(source) > BYTES_MAX:
        return "", _error(
            file,
            1,
            1,
            "page.too_large",
            f"The page has {len(source)} bytes.",
            f"At most {BYTES_MAX} are read.",
            "Split it: one page a workflow, one file a system.",
        )
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        column = len(source[source.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        return "", _error(
            file,
            line,
            column,
            "page.encoding",
            f"The page is not UTF-8 at byte {error.start}.",
            "Other encodings are not guessed, as two readers could read two things.",
            "Save it as UTF-8.",
        )
    return text, None


@dataclass(slots=True)
class _Open:
    """A collection being built: what was gathered, and for a map the key that waits for its value."""

    kind: Kind
    line: int
    column: int
    items: list[Node]
    pairs: list[tuple[Node, Node]]
    seen: dict[str, int]
    key: Node | None = None


class _Builder:
    """Builds the tree from parser events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.findings: list[Finding] = []

    def find(self, line: int, column: int, code: str, what: str, why: str, fix: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(_error(self.file, line, column, code, what, why, fix))

    def build(self, events: Iterator[Any]) -> Node | None:
        root: Node | None = None
        documents = 0
        stack: list[_Open] = []
        for event in events:
            name = type(event).__name__
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            if name == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self.find(
                        line,
                        column,
                        "page.documents",
                        "A second document begins here.",
                        "A file is one page, so that its digest names one thing.",
                        "Put it into a file of its own.",
                    )
                    raise _Stop
                if event.version or event.tags:
                    self.find(
                        line,
                        column,
                        "page.directive",
                        "The page has a YAML directive.",
                        "Directives change what the rest means.",
                        "Remove the line that begins with `%`.",
                    )
            elif name == "AliasEvent":
                self.find(
                    line,
                    column,
                    "page.alias",
                    "The page uses a YAML alias.",
                    "A page says each thing where it stands; aliases can also multiply without bound.",
                    "Write the value out.",
                )
                root = self._add(stack, Node("scalar", line, column, "", "*"), root)
            elif name in ("MappingStartEvent", "SequenceStartEvent"):
                self._plain(event, line, column)
                if len(stack) >= DEPTH_MAX:
                    self.findings.append(_too_deep(self.file, line, column))
                    raise _Stop
                kind: Kind = "map" if name == "MappingStartEvent" else "list"
                stack.append(_Open(kind, line, column, [], [], {}))
            elif name in ("MappingEndEvent", "SequenceEndEvent"):
                done = stack.pop()
                node = Node(done.kind, done.line, done.column, items=tuple(done.items), pairs=tuple(done.pairs))
                root = self._add(stack, node, root)
            elif name == "ScalarEvent":
                self._plain(event, line, column)
                style = event.style or ""
                if hidden := _UNSEEN.search(event.value):
                    self.find(
                        line,
                        column,
                        "page.control",
                        f"This text holds a character that is not shown (U+{ord(hidden[0]):04X}).",
                        "What a person signs must be what the machine reads.",
                        "Remove the escape; write characters beyond U+FFFF as they are, or as `\\U0001F98A`.",
                    )
                root = self._add(stack, Node("scalar", line, column, event.value, style), root)
        return root

    def _plain(self, event: Any, line: int, column: int) -> None:
        """Find an anchor or a tag on this event."""
        if event.anchor is not None:
            self.find(
                line,
                column,
                "page.anchor",
                "The page sets a YAML anchor.",
                "A page says each thing where it stands.",
                "Remove the `&name`.",
            )
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) not in ("None", "!"):
            self.find(
                line,
                column,
                "page.tag",
                "The page uses a YAML tag.",
                "The key alone says what type its value has.",
                "Remove the `!tag`.",
            )

    def _add(self, stack: list[_Open], node: Node, root: Node | None) -> Node | None:
        """Put `node` where it belongs; return the root, which is `node` if no collection is open."""
        if not stack:
            return node
        top = stack[-1]
        if top.kind == "list":
            top.items.append(node)
        elif top.key is None:
            top.key = node
            if node.kind != "scalar":
                self.find(
                    node.line,
                    node.column,
                    "page.key",
                    "A key is a list or a map.",
                    "Keys are plain words.",
                    "Put text in quotes if it begins with `[` or `{`.",
                )
        else:
            key, top.key = top.key, None
            if node.is_plain and not node.text:  # nothing stands there; the parser places it where it gave up looking
                node = Node("scalar", key.line, key.column)
            if key.kind != "scalar":
                return root
            if key.text in top.seen:
                self.find(
                    key.line,
                    key.column,
                    "page.duplicate_key",
                    f"The key {quoted(key.text)} stands twice.",
                    f"It stood first on line {top.seen[key.text]}; which of the two counts would be a guess.",
                    "Keep one of them.",
                )
            else:
                top.seen[key.text] = key.line
                top.pairs.append((key, node))
        return root


def _syntax(file: str, text: str, error: Exception) -> Finding:
    """Return the finding for an error of the YAML parser."""
    line = column = 1
    problem = "it cannot be parsed"
    if isinstance(error, ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        line, column = _place(text, position)
        problem = "it holds a control character that YAML does not allow"
    elif isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        problem = re.sub(r"\s+", " ", str(error.problem or error.context or problem))[:160]
    fix = "Mend the line, or quote the value."
    rows = text.split("\n")
    if line <= len(rows) and "\t" in rows[line - 1][: column + 1]:
        problem, fix = "a tab stands where YAML wants spaces", "Indent with spaces."
    return _error(
        file, line, column, "page.syntax", "The page is not well-formed YAML.", f"At this place: {problem}.", fix
    )


def _too_deep(file: str, line: int, column: int) -> Finding:
    return _error(
        file,
        line,
        column,
        "page.too_deep",
        f"The page is nested deeper than {DEPTH_MAX} levels.",
        "Nothing that a page says needs it.",
        "Flatten it.",
    )


def _place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, from 1, of the character at `offset`."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _error(file: str, line: int, column: int, code: str, what: str, why: str, fix: str) -> Finding:
    return Finding(file, max(line, 1), max(column, 1), Severity.ERROR, code, visible(what), visible(why), visible(fix))
