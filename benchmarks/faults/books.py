# SPDX-License-Identifier: Apache-2.0
"""Read what a life left behind: Signoff's raw tables, its log, its mirror, what people were told, the ERP's books.

Part of the checker: it imports nothing of Signoff but the ledger, and reads tables by their names in the database.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signoff.ledger.checkpoint import VerifierKey, parse_keys
from signoff.ledger.entry import Entry
from signoff.ledger.fold import Fold, Report, verify_log
from signoff.ledger.merkle import leaf_hash
from signoff_sample.erp.audit import audit

Row = dict[str, Any]


@dataclass(slots=True)
class Step:
    """An action right after one of its entries: what the fold says by then."""

    at: int
    type: str
    told: Mapping[str, Any]
    state: dict[str, Any]


@dataclass(slots=True)
class Books:
    """Everything there is to compare."""

    keys: tuple[VerifierKey, ...]
    tools: Mapping[str, Mapping[str, int]]
    tables: Mapping[str, list[Row]]
    log: list[tuple[int | None, bytes]]
    notes: list[str]
    mirrored: list[str]
    report: Report
    fold: Fold
    steps: Mapping[str, list[Step]]  # by action
    heads: Mapping[tuple[str, int], str]  # leaf hash by stream and sequence number
    told: list[Row]
    erp: Row
    erp_calls: list[Row]
    by_key: Mapping[str, str] = field(default_factory=dict)  # the target's key -> action


TABLES = ("actions", "runs", "halts", "publications", "votes", "receipts", "leases", "checkpoints")


def read(life: Path) -> Books:
    """Return the books of a life whose node has ended."""
    keys = parse_keys((life / "keys.txt").read_text())
    tables = _tables(life / "data" / "signoff.db")
    entries = tables.pop("entries")
    log = [(row["idx"], row["entry"]) for row in entries]
    notes = [row["note"] for row in tables["checkpoints"]]
    mirrored = [json.loads(line)["note"] for line in _mirror(life).read_bytes().splitlines()]
    fold, steps, heads = Fold(), dict[str, list[Step]](), dict[tuple[str, int], str]()

    def each(_: int | None, entry: Entry) -> None:
        fold.add(entry)
        if entry["stream"].startswith("act_"):
            after = dict(fold.states[entry["stream"]])
            steps.setdefault(entry["stream"], []).append(Step(entry["at"], entry["type"], entry["set"], after))

    report = verify_log(log, [*notes, *mirrored], keys, each=each)
    for row in entries:
        heads[row["stream"], row["seq"]] = leaf_hash(row["entry"]).hex()
    erp = audit(life / "erp.db")
    by_key = {state["key"]: name for name, state in fold.states.items() if name.startswith("act_")}
    tools = json.loads((life / "tools.json").read_text())
    calls = _rows(life / "erp.db", "SELECT * FROM calls ORDER BY number")
    return Books(keys, tools, tables, log, notes, mirrored, report, fold, steps, heads, _told(life), erp, calls, by_key)


def _tables(path: Path) -> dict[str, list[Row]]:
    found = {name: _rows(path, f"SELECT * FROM {name}") for name in TABLES}
    order = "ORDER BY idx IS NULL, idx, at, stream, seq"
    return found | {"entries": _rows(path, f"SELECT stream, seq, idx, entry FROM entries {order}")}


def _rows(path: Path, sql: str) -> list[Row]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()


def _mirror(life: Path) -> Path:
    (found,) = (life / "data" / "mirror").glob("*.checkpoints")
    return found


def _told(life: Path) -> list[Row]:
    """Return what people and agents were told; a torn line was never finished, so that nobody was told it."""
    path = life / "told.jsonl"
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
