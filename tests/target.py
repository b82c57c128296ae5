# SPDX-License-Identifier: Apache-2.0
"""A tiny book as a governed system: it fails on command, remembers each call, and keeps one write a key itself."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.core.action.doubt import Answer, Answered, Errored, Lost, NotSent
from signoff.core.authority.contract import Server, ToolDescription, schema_digest
from signoff.core.errors import Unavailable
from signoff.ports.connector import Call

SERVER = Server("mcp_stdio", ("book",))
TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def _tool(tool: str, required: Mapping[str, Any], result: Mapping[str, Any], **optional: Any) -> ToolDescription:
    return ToolDescription(
        tool,
        f"{tool} of the book.",
        {
            "type": "object",
            "additionalProperties": False,
            "required": sorted(required),
            "properties": {**required, **optional},
        },
        {"type": "object", "required": sorted(result), "properties": dict(result)},
    )


DESCRIBED = {
    tool.name: tool
    for tool in (
        _tool("book.create", {"shelf": TEXT, "amount": NUMBER, "key": TEXT, "version": NUMBER}, {"entry_id": TEXT}),
        _tool("book.note", {"text": TEXT, "key": TEXT}, {"entry_id": TEXT}),
        _tool("book.stamp", {"text": TEXT}, {"entry_id": TEXT}),
        _tool("book.register", {"name": TEXT}, {"entry_id": TEXT}),
        _tool("book.lend", {"shelf": TEXT, "key": TEXT}, {"entry_id": TEXT}, until=TEXT),
        _tool("book.erase", {"shelf": TEXT, "key": TEXT}, {"entry_id": TEXT}),
        _tool("book.pay", {"amount": NUMBER, "key": TEXT}, {"entry_id": TEXT}),
        _tool("book.reverse", {"entry_id": TEXT, "key": TEXT}, {"entry_id": TEXT}),
        _tool("book.return", {"entry_id": TEXT, "key": TEXT}, {"entry_id": TEXT}),
        _tool("book.mail", {"to": TEXT}, {}),
        _tool("book.preview", {"shelf": TEXT, "amount": NUMBER}, {"changes": {"type": "array"}}, version=NUMBER),
        _tool("book.find", {}, {"entry_id": TEXT}, key=TEXT, name=TEXT),
        _tool("book.get", {"entry_id": TEXT}, {"entry_id": TEXT, "status": TEXT, "amount": NUMBER}),
        _tool("book.shelf", {"shelf": TEXT}, {"is_open": {"type": "boolean"}, "room": NUMBER}),
    )
}

FIND = "look_up: {tool: book.find, args: {key: key}, found: \"result.entry_id != ''\", settles_after: 60s}"
KEY = "idempotency: {argument: key, keeps: 30d}"
UNDO = (
    "undo: {tool: book.reverse, args: {entry_id: result.entry_id},"
    " check: {read: book.get, args: {entry_id: result.entry_id}, unchanged: [status, amount]}}"
)
TOOLS: dict[str, list[str]] = {
    "book.create": [
        "effect: write", "risk: B", "reversibility: reversible", "resource: \"'shelf/' + args.shelf\"", KEY,
        "not_done: [shelf_closed]", FIND, UNDO, "cost: {usd: 0.25}",
        "preview: {tool: book.preview, args: {shelf: args.shelf, amount: args.amount}, ignore: [seen]}",
        "precondition: {argument: version, value: preview.version}",
    ],
    "book.note": [
        "effect: write", "risk: A", "reversibility: reversible", KEY, "not_done: [shelf_closed]", FIND, UNDO,
        "cost: {usd: 0.25}",
    ],
    "book.stamp": ["effect: write", "risk: A", "reversibility: irreversible", "reversal_note: ink stays"],
    "book.register": [
        "effect: write", "risk: A", "reversibility: manual", "reversal_note: strike it out by hand",
        "idempotency: {natural_key: [args.name]}",
        "look_up: {tool: book.find, args: {name: args.name}, found: \"result.entry_id != ''\", settles_after: 60s}",
    ],
    "book.lend": [
        "effect: write", "risk: C", "reversibility: reversible", "resource: \"'loan/' + args.until\"", KEY, FIND,
        "undo: {tool: book.return, args: {entry_id: result.entry_id}}",
    ],
    "book.erase": [
        "effect: write", "risk: D", "reversibility: manual", "reversal_note: write it anew", KEY, FIND,
    ],
    "book.pay": ["effect: write", "risk: C", "reversibility: manual", "reversal_note: ask for it back", KEY, FIND],
    "book.reverse": [
        "effect: write", "risk: B", "reversibility: irreversible", "reversal_note: create it anew", KEY, FIND,
        "not_done: [already_reversed]", "cost: {usd: 0.01}",
    ],
    "book.return": [
        "effect: write", "risk: D", "reversibility: irreversible", "reversal_note: lend it anew", KEY, FIND,
    ],
    "book.mail": ["effect: egress", "risk: B"],
    "book.preview": ["effect: read"],
    "book.find": ["effect: read"],
    "book.get": ["effect: read", "cost: {usd: 0.01}"],
    "book.shelf": ["effect: read", "output: {trust: trusted}"],
}  # fmt: skip


def contract(described: Mapping[str, ToolDescription] = DESCRIBED, **changed: list[str]) -> str:
    """Return the text of the book's contract, every tool pinned as it is described.

    Args:
        changed: lines that replace those of a tool, under its name with `_` for the dot; no lines leave it out.
    """
    lines = ["format: 1", 'server: {mcp: {command: ["book"]}}', "tools:"]
    for name, rows in TOOLS.items():
        rows = changed.get(name.replace(".", "_"), rows)
        if rows:
            lines += [f"  {name}:", f"    schema_digest: {schema_digest(described[name])}"]
            lines += [f"    {row}" for row in rows]
    return "\n".join(lines) + "\n"


def without(tool: str, *starts: str) -> list[str]:
    """Return a tool's lines without those that start so."""
    return [row for row in TOOLS[tool] if not row.startswith(starts)]


CONTRACT = contract()


@dataclass
class Row:
    """One entry of the book."""

    entry_id: str
    key: str
    shelf: str = ""
    amount: int = 0
    status: str = "posted"
    name: str = ""


@dataclass
class Target:
    """The book. `plan` says how the next writes go, one word each; `reading` how a read goes until changed.

    Plans: `ok`, `error:<code>`, `lost_before`, `lost_after`, `late` (written when `land()` is called), `bad_answer`,
    `not_sent`, `hang` (written, but answered only after `restart()`, that is never).
    Readings: `ok`, `fail`, `lost`, `unreachable`, `absent` (a look-up that lags), `wrong` (finds another's write),
    `garbage`, `hang` (answered only after `restart()`).
    """

    described: dict[str, ToolDescription] = field(default_factory=lambda: dict(DESCRIBED))
    plan: deque[str] = field(default_factory=deque)
    reading: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    reads: list[Call] = field(default_factory=list)
    written: dict[str, Row] = field(default_factory=dict)
    landing: list[Call] = field(default_factory=list)
    hanging: list[asyncio.Event] = field(default_factory=list)
    sending: int = 0
    sending_most: int = 0
    reading_now: int = 0
    most_reading: int = 0
    versions: Counter[str] = field(default_factory=lambda: Counter("abcdef"))
    shelves: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # what `book.shelf` says of one: open, room for 100
    double_writes: int = 0
    is_down: bool = False
    pause: float = 0.0  # real seconds that each call takes at least

    async def describe(self) -> Mapping[str, ToolDescription]:
        if self.is_down:
            raise Unavailable("The book is shut.", "The test shut it.", "Open it.")
        return dict(self.described)

    async def close(self) -> None:
        return None

    async def read(self, call: Call) -> Answer:
        self.reads.append(call)
        self.reading_now += 1
        self.most_reading = max(self.most_reading, self.reading_now)
        await asyncio.sleep(self.pause)
        self.reading_now -= 1
        match "unreachable" if self.is_down else self.reading.get(call.name, "ok"):
            case "fail":
                return Errored("broken", "The page is torn.")
            case "lost":
                return Lost("No answer within 10 s.")
            case "unreachable":
                return NotSent("Connection refused.")
            case "absent":
                return Answered({"entry_id": ""})
            case "wrong":
                return Answered({"entry_id": "E-999", "amount": 1, "shelf": "z", "text": "other"})
            case "garbage":
                return Answered({"nonsense": 1})
            case "hang":
                event = asyncio.Event()
                self.hanging.append(event)
                await event.wait()
                return Lost("The process ended.")
        return self._answered(call)

    async def execute(self, call: Call) -> Answer:
        how = self.plan.popleft() if self.plan else "ok"
        if self.is_down or how == "not_sent":
            return NotSent("Connection refused.")
        self.calls.append(call)
        self.sending += 1
        self.sending_most = max(self.sending_most, self.sending)
        try:
            await asyncio.sleep(self.pause)
            return await self._written(call, how)
        finally:
            self.sending -= 1

    def restart(self) -> None:
        """Let go of whoever hangs on an answer."""
        for event in self.hanging:
            event.set()
        self.hanging.clear()

    def land(self) -> None:
        """Write what was sent `late`."""
        for call in self.landing:
            self.write(call)
        self.landing.clear()

    def write(self, call: Call) -> Row | Errored:
        """Write a call's effect, once a key."""
        key = str(call.args.get("key", call.args.get("name", "")))
        if key and key in self.written:
            return self.written[key]
        if "entry_id" in call.args:
            row = self.rows.get(str(call.args["entry_id"]))
            if row is None or row.status == "reversed":
                return Errored("already_reversed", "It is reversed already.")
            row.status = "reversed"
        else:
            row = Row(
                f"E-{len(self.rows) + 1}", key, str(call.args.get("shelf", "")), int(call.args.get("amount", 0)),
                name=str(call.args.get("name", "")),
            )  # fmt: skip
            self.rows[row.entry_id] = row
        if key:
            self.written[key] = row
        self.versions[row.shelf] += 1
        return row

    def total(self, shelf: str) -> int:
        """Return what stands on a shelf."""
        return sum(row.amount for row in self.rows.values() if row.shelf == shelf and row.status == "posted")

    async def _written(self, call: Call, how: str) -> Answer:
        kind, _, code = how.partition(":")
        if kind == "error":
            return Errored(code or None, "The book says no.")
        if kind == "lost_before":
            return Lost("No answer within 10 s.")
        if kind == "late":
            self.landing.append(call)
            return Lost("No answer within 10 s.")
        row = self.write(call)
        if isinstance(row, Errored):
            return row
        if kind == "lost_after":
            return Lost("The connection was cut.")
        if kind == "bad_answer":
            return Answered({"nonsense": 1})
        if kind == "hang":
            event = asyncio.Event()
            self.hanging.append(event)
            await event.wait()
            return Lost("The process ended.")
        return Answered({} if call.name == "book.mail" else {"entry_id": row.entry_id})

    def _answered(self, call: Call) -> Answer:
        args = call.args
        if call.name == "book.preview":
            shelf, total = str(args["shelf"]), self.total(str(args["shelf"]))
            changes = [{"path": f"{shelf}.total", "before": total, "after": total + int(args["amount"])}]
            changes.append({"path": "seen", "before": None, "after": len(self.reads)})
            return Answered({"changes": changes, "version": self.versions[shelf]})
        if call.name == "book.find":
            row = self.written.get(str(args.get("key", args.get("name", ""))))
            if row is None:
                return Answered({"entry_id": ""})
            found = {"entry_id": row.entry_id}
            if row.key == args.get("key") and row.shelf:
                found |= {"shelf": row.shelf, "amount": row.amount}  # type: ignore[dict-item]
            return Answered(found)
        if call.name == "book.get":
            row = self.rows.get(str(args["entry_id"]))
            if row is None:
                return Errored("unknown", "No such entry.")
            return Answered({"entry_id": row.entry_id, "status": row.status, "amount": row.amount})
        if call.name == "book.shelf":
            return Answered({"is_open": True, "room": 100} | self.shelves.get(str(args["shelf"]), {}))
        return Errored("unknown_tool", call.name)
