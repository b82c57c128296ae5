# SPDX-License-Identifier: Apache-2.0
"""Render the read-only pages: pure functions from plain values to HTML text.

Whatever stands in a document is hostile: the agent's arguments, an invoice's note, a target's error. Every expression
of a template passes one gate (`visible`, then escaping), so that no value is ever markup and no character that
reorders, hides or joins text goes unseen. The pages need no script, no inline style and nothing from elsewhere.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, NotRequired, TypedDict
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from signoff.core.errors import NotFound
from signoff.core.money import MICROS, dollars

# --- the models: members marked NotRequired may be absent, times are RFC 3339, money is integer micro-dollars ------


class Installation(TypedDict):
    """What runs here: `storage` is `SQLite` or `PostgreSQL`, `name` what the operator called it."""

    name: str
    tenant: str
    version: str
    storage: str


class Control(TypedDict):
    """One control. `inert`: an envelope asks for it and nothing does it; `note` says why, `fix` how to mend it."""

    name: str
    state: Literal["on", "off", "inert"]
    note: str
    fix: NotRequired[str]


class ActionLine(TypedDict):
    """One action in a list; `why` is one line of plain text."""

    action_id: str
    at: str
    workflow: str
    agent: str
    tool: str
    state: str
    why: str


class Waiting(TypedDict):
    """What waits for a person, and for whom: `state` is pending_approval, held or needs_person."""

    action_id: str
    state: str
    tool: str
    workflow: str
    summary: str
    since: str
    roles: Sequence[str]
    expires: NotRequired[str | None]


class HaltLine(TypedDict):
    """A halt in force; `in_flight` counts what was sent before it and is not concluded."""

    halt_id: str
    scope: str
    reason: str
    by: str
    since: str
    in_flight: NotRequired[int]


class LedgerHead(TypedDict):
    """The last published checkpoint; `mirror` tells whether each is also kept outside the database."""

    origin: str
    size: int
    root: str
    at: str
    mirror: bool


class SpendLine(TypedDict):
    """One budget in its present period; a cap of None counts without limiting."""

    scope: str
    window: str
    settled_usd_micros: int
    reserved_usd_micros: int
    cap_usd_micros: int | None


class Home(TypedDict):
    """The model of `/`. `next_cursor` leads to older actions; `cursor` is the one this page was asked with."""

    installation: Installation
    as_of: str
    controls: Sequence[Control]
    actions: Sequence[ActionLine]
    next_cursor: str | None
    cursor: NotRequired[str | None]
    waiting: Sequence[Waiting]
    halts: Sequence[HaltLine]
    ledger: LedgerHead | None
    spend: Sequence[SpendLine]


class Check(TypedDict):
    """One check as recorded; `detail` is for people and left out for an agent's token."""

    check: str
    outcome: str
    reason: str
    detail: NotRequired[Any]


class Decision(TypedDict):
    verdict: str
    checks: Sequence[Check]


class Change(TypedDict):
    """One value of the target; None for what does not exist."""

    path: str
    before: Any
    after: Any


class Preview(TypedDict):
    digest: str
    summary: str
    changes: Sequence[Change]


class Duty(TypedDict):
    """An approval that is owed: `count` people, each holding one of `roles`."""

    roles: Sequence[str]
    count: int
    reason: NotRequired[str]


class Vote(TypedDict):
    """A person's word on one digest; the receipt gives no reason, which is a payload."""

    person: str
    role: str
    at: str
    decision: NotRequired[str]
    digest: str
    assurance: NotRequired[str]
    reason: NotRequired[str | None]


class Approval(TypedDict):
    owed: NotRequired[Sequence[Duty]]
    votes: Sequence[Vote]
    expires: NotRequired[str | None]
    self_approved: NotRequired[bool]


class Document(TypedDict):
    """The action document of the HTTP API (contract, section 4).

    `timestamps` knows proposed, decided, approved, sent, concluded and expires, with or without `_at`. The members
    after `explain` are not in the contract's list; they are shown where the API gives them.
    """

    action_id: str
    run_id: str
    tool: str
    state: str
    decision: Decision | None
    args: Mapping[str, Any]
    digest: str | None
    revision: int
    reverses: NotRequired[str | None]
    reversed_by: NotRequired[str | None]
    preview: Preview | None
    approval: NotRequired[Approval | None]
    hold: NotRequired[Mapping[str, Any] | None]
    result: NotRequired[Any]
    error: NotRequired[Any]
    receipt_id: NotRequired[str | None]
    cost: Mapping[str, int] | None
    timestamps: Mapping[str, str | None]
    explain: str | None
    workflow: NotRequired[str]
    environment: NotRequired[str]
    agent: NotRequired[str]
    principal: NotRequired[str]
    claims: NotRequired[Mapping[str, Any] | None]


class Event(TypedDict):
    """One ledger entry of the action, oldest first; `index` is its place in the log once integrated."""

    at: str
    type: str
    by: NotRequired[str | None]
    note: NotRequired[Any]
    seq: NotRequired[int]
    index: NotRequired[int | None]


class Inclusion(TypedDict):
    """Proof that the receipt's entry stands in the log: `path` is the audit path, leaf to root (RFC 9162, 2.1.3)."""

    index: int
    size: int
    root: str
    path: Sequence[str]
    at: NotRequired[str]


class ReceiptLink(TypedDict):
    receipt_id: str
    at: NotRequired[str]
    inclusion: NotRequired[Inclusion | None]


class ReceiptView(TypedDict):
    """A signed receipt for people: members of its statement, the opened payloads, and the proof if it has come.

    `inclusion` is None while the entry is promised: it must stand in the log by `due`. `changes` and `result` are
    openings that match their commitments; None where none rides along.
    """

    receipt_id: str
    action_id: str
    run_id: str
    workflow: str
    environment: str
    agent: str
    principal: str
    tool: str
    tool_contract: str
    envelope: str
    revision: int
    digest: str | None
    state: str
    at: str
    attempts: int
    voters: Sequence[Vote]
    self_approved: bool
    cost_usd_micros: int
    commitments: Mapping[str, str]
    key_id: str
    log: str
    leaf: str
    due: str
    inclusion: Inclusion | None
    reverses: NotRequired[str | None]
    executed_by: NotRequired[str]
    changes: NotRequired[Sequence[Change] | None]
    result: NotRequired[Any]


# --- the pages ----------------------------------------------------------------------------------------------------


def home(model: Home) -> str:
    """Return the page for `/`."""
    return _page("home.html", m=model)


def action(document: Document, timeline: Sequence[Event], receipt: ReceiptLink | None) -> str:
    """Return the page for `/actions/{id}`: one action as a straight walk from proposal to undo."""
    args, preview = document["args"], document["preview"]
    return _page(
        "action.html",
        d=document,
        timeline=timeline,
        receipt=receipt,
        arguments=_arguments(args),
        changes=_changes(preview["changes"]) if preview else [],
        at={name.removesuffix("_at"): at for name, at in document["timestamps"].items()},
    )


def receipt(bundle_view: ReceiptView) -> str:
    """Return the page for `/receipts/{id}`: what was done, on whose approval, and how to prove it offline."""
    return _page("receipt.html", r=bundle_view, changes=_changes(bundle_view.get("changes") or []))


def sign_in(error: str | None = None) -> str:
    """Return the page for `/login`; `error` says why the last key was refused, never the key."""
    return _page("sign_in.html", error=error)


def problem(status: int, what: str, why: str, fix: str) -> str:
    """Return the page of an error."""
    return _page("problem.html", status=status, what=what, why=why, fix=fix)


def static_file(name: str) -> tuple[bytes, str, str]:
    """Return bytes, content type and strong ETag of a static file by its hashed name, good for ever once fetched.

    Raises:
        NotFound: no such file, or one of another release.
    """
    found = _statics()[1].get(name)
    if found is None:
        raise NotFound(
            what="There is no such static file.",
            why="Static files carry a digest of their content in their name, and this one is of no file here.",
            fix="Load the page again; it names the files of this release.",
        )
    return found


# --- hostile text -------------------------------------------------------------------------------------------------

# Printable by category, yet drawn as nothing or as a blank: fillers, joiners, variation selectors, empty Braille.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MARKS_MAX = 3  # no script stacks more on one letter; a pile of them paints over the lines around it
_LOOKS_LIKE_DATA: Final = re.compile(
    r'-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|null|none|absent|nothing|[{\["].*', re.DOTALL | re.IGNORECASE
)
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_CLIP, _LINES, _CONTEXT, _PATH, _WORD = 280, 8, 48, 120, 24


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


def _written(value: Any) -> str:
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
    if isinstance(value, _Absent):
        return Markup('<span class="absent">{}</span>').format(value.word)
    written = _written(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Markup('<bdi class="num">{}</bdi>').format(_thousands(written))
    if len(written) <= _CLIP and written.count("\n") < _LINES:
        return Markup('<bdi class="val">{}</bdi>').format(text(written))
    head, tail = written[: _CLIP // 2], written[-_CLIP // 3 :]
    if written.count("\n") >= _LINES:
        head, tail = "\n".join(head.split("\n")[:4]), "\n".join(tail.split("\n")[-3:])
    return _details(
        Markup("{}{}{}").format(text(head), _gap(len(written) - len(head) - len(tail)), text(tail)), written
    )


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
    """Return a field's path, breakable at its dots; a very long one is clipped, so that it cannot push values away."""
    if len(value) > _PATH:
        return _details(
            Markup("{}{}{}").format(text(value[:_CONTEXT]), _gap(len(value) - 2 * _CONTEXT), text(value[-_CONTEXT:])),
            value,
        )
    return Markup("<wbr>").join(text(part) for part in re.split(r"(?<=[.\]])", value))


def _gap(count: int) -> Markup:
    return Markup(' <span class="gap">… {} characters …</span> ').format(f"{count:,}") if count > 0 else Markup("")


def _details(summary: Markup, whole: str) -> Markup:
    return Markup(
        '<details class="clip"><summary><bdi class="val">{}</bdi></summary>'
        '<div class="whole"><bdi class="val">{}</bdi></div></details>'
    ).format(summary, text(whole))


def _pair(before: str, after: str) -> tuple[Markup, Markup]:
    """Return two texts with what differs marked; a long common part is cut, never the difference's place."""
    size = min(len(before), len(after))
    head = next((i for i in range(size) if before[i] != after[i]), size)
    tail = next((i for i in range(size - head) if before[-1 - i] != after[-1 - i]), size - head)
    # Whole words are marked, as people read them.
    head -= _word_end(before[:head][::-1])
    tail -= _word_end(before[len(before) - tail :])
    return _marked(before, head, tail), _marked(after, head, tail)


def _word_end(common: str) -> int:
    """Return how far a word reaches into what both texts share; 0 where it is longer than a word."""
    reach = next((i for i, char in enumerate(common) if not char.isalnum()), len(common))
    return reach if reach <= _WORD else 0


def _marked(whole: str, head: int, tail: int) -> Markup:
    end = len(whole) - tail
    lead, middle, trail = whole[:head], whole[head:end], whole[end:]
    if len(whole) <= _CLIP and whole.count("\n") < _LINES:
        return Markup('<bdi class="val">{}<mark>{}</mark>{}</bdi>').format(text(lead), text(middle), text(trail))
    near, far = lead[-_CONTEXT:], trail[:_CONTEXT]
    cut = _gap(len(middle) - _CLIP)
    core = text(middle) if not cut else text(middle[: _CLIP // 2]) + cut + text(middle[-_CLIP // 2 :])
    parts = (_gap(len(lead) - len(near)), text(near), core, text(far), _gap(len(trail) - len(far)))
    return _details(Markup("{}{}<mark>{}</mark>{}{}").format(*parts), whole)


# --- arguments and changes, flattened to rows ---------------------------------------------------------------------


class _Absent:
    """No value at all, unlike null."""

    def __init__(self, word: str) -> None:
        self.word = word


_ABSENT, _NOTHING = _Absent("absent"), _Absent("nothing")


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its path; a key that is no plain name is quoted, so that none can pose as a path."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            plain = _PLAIN_KEY.fullmatch(str(key)) is not None
            step = (f".{key}" if path else str(key)) if plain else f"[{json.dumps(str(key), ensure_ascii=False)}]"
            yield from _leaves(item, path + step)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}[{place}]")
    else:
        yield path, value


def _same(one: Any, other: Any) -> bool:
    # 1 equals True in Python; in a target it does not.
    return (
        type(one) is type(other) and one == other
        if isinstance(one, bool | _Absent) or isinstance(other, bool | _Absent)
        else bool(one == other)
    )


def _arguments(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the three records side by side: `names` of those that exist, and a row for every value in any."""
    names = [name for name in ("proposed", "approved", "effective") if args.get(name) is not None]
    flat = [dict(_leaves(args[name])) if args[name] else {} for name in names]
    rows = []
    for path in dict.fromkeys(path for record in flat for path in record):
        found = [record.get(path, _ABSENT) for record in flat]
        rows.append({"path": path, "cells": found, "differs": any(not _same(found[0], other) for other in found)})
    return {"names": names, "rows": rows, "differing": sum(row["differs"] for row in rows)}


def _changes(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return the rows of a diff: what kind of change, and both sides ready to show."""
    rows: list[dict[str, Any]] = []
    for change in changes:
        before, after = (
            dict(_leaves(change[side])) if change[side] is not None else {} for side in ("before", "after")
        )
        for path in dict.fromkeys([*before, *after]) or [""]:
            was, new = before.get(path), after.get(path)
            is_same = _same(was, new)
            kind = "same" if is_same else "added" if was is None else "removed" if new is None else "changed"
            shown_was, shown_new = (shown(_NOTHING if side is None else side) for side in (was, new))
            if kind == "changed" and isinstance(was, str) and isinstance(new, str):
                shown_was, shown_new = _pair(_written(was), _written(new))
            joint = "." if path and not path.startswith("[") and change["path"] else ""
            rows.append({"path": change["path"] + joint + path, "kind": kind, "before": shown_was, "after": shown_new})
    return rows


# --- small forms --------------------------------------------------------------------------------------------------

_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _parsed(value: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(value or "")
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


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
    """Return how long from one time to another, in two units at most; empty where either is missing."""
    one, other = _parsed(start), _parsed(end)
    if one is None or other is None or other < one:
        return ""
    seconds = (other - one).total_seconds()
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


def _bar(line: SpendLine) -> tuple[int, int]:
    """Return settled and reserved in thousandths of the cap, together at most 1,000."""
    cap = line["cap_usd_micros"] or 0
    if cap <= 0:
        return 0, 0
    settled = min(1000, line["settled_usd_micros"] * 1000 // cap)
    return settled, min(1000 - settled, -(-line["reserved_usd_micros"] * 1000 // cap))


# --- the machinery ------------------------------------------------------------------------------------------------


def _gate(value: Any) -> Any:
    """Pass every expression of every template: markup of ours as it is, all else made visible, then escaped."""
    return value if isinstance(value, Markup) else visible(str(value))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("signoff.surfaces.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_gate,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        text=text,
        shown=shown,
        clip=clip,
        when=when,
        digest=digest,
        short=short,
        leaves=_leaves,
        usd=usd,
        segment=segment,
        path=path,
        bar=_bar,
    )
    made.globals.update(elapsed=elapsed, statics=_statics()[0])
    return made


def _page(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values)


_TYPES: Final = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


@cache
def _statics() -> tuple[dict[str, str], dict[str, tuple[bytes, str, str]]]:
    """Return the address of each static file by plain name, and the files by hashed name."""
    addresses, files = {}, {}
    for entry in (resources.files("signoff.surfaces.web") / "static").iterdir():
        stem, _, suffix = entry.name.rpartition(".")
        if suffix not in _TYPES:
            continue
        content = entry.read_bytes()
        mark = hashlib.sha256(content).hexdigest()[:16]
        hashed = f"{stem}.{mark}.{suffix}"
        addresses[entry.name] = f"/static/{hashed}"
        files[hashed] = (content, _TYPES[suffix], f'"{mark}"')
    return addresses, files
