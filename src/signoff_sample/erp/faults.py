# SPDX-License-Identifier: Apache-2.0
"""Faults on command: what real systems do to a caller, switched on in the ERP's own database.

A running server sees a fault at its next call, because it asks at each call. Every firing is recorded before it
takes effect, so that a test can tell a fault that fired from one that waited.
"""

from dataclasses import dataclass
from typing import Any

from signoff_sample.erp.store import MICROS, Store, Tx, now_us

FOREVER = 0  # as `times`: until it is cleared


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: where it may be set, and what holds when nothing else is said.

    `place` is `any` tool, a `write`, a `look_up` (erp.find_...), or the `journal` (erp.create_journal_entry).
    """

    about: str
    place: str = "any"
    times: int = 1
    delay_s: float = 0.0


KINDS: dict[str, Kind] = {
    "timeout_after_write": Kind("does its work, then does not answer for DELAY seconds", delay_s=30),
    "error_before_write": Kind("answers an internal error, having written nothing"),
    "slow": Kind("waits DELAY seconds, then works as usual; a call cancelled meanwhile writes nothing", delay_s=3),
    "write_after_timeout": Kind("writes DELAY seconds later, whether or not the caller still listens", "write", 1, 8),
    "answer_lost": Kind("does its work, then the server's process ends without an answer"),
    "bad_answer": Kind("does its work, then answers what breaks its output schema"),
    "lookup_lags": Kind("does not find a write for DELAY seconds after it", "look_up", FOREVER, 3),
    "lookup_fails": Kind("answers an internal error", "look_up"),
    "lookup_wrong": Kind("answers another's write", "look_up"),
    "schema_change": Kind("its description and input schema are not what they were", times=FOREVER),
    "duplicates_pass": Kind("a document may be posted twice, as in an ERP without that check", "journal", FOREVER),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is set; `times_left` is `None` when it holds until it is cleared."""

    fault_id: int
    tool: str
    kind: str
    times_left: int | None
    delay_s: float


class NoSuchFault(ValueError):
    """The kind does not exist, or not for that tool; the message says what to use instead."""


def set_fault(
    store: Store, tool: str, kind: str, *, times: int | None = None, delay_s: float | None = None
) -> Fault | None:
    """Set a fault on a tool; kind `lookup_ok` takes the tool's look-up faults away and returns `None`.

    Args:
        times: how often it fires; 0 until it is cleared; `None` for the kind's own default.
        delay_s: seconds; `None` for the kind's own default.

    Raises:
        NoSuchFault: see the message.
    """
    from signoff_sample.erp.tools import TOOLS

    if tool not in TOOLS:
        raise NoSuchFault(f"There is no tool {tool!r}. Use one of: {', '.join(TOOLS)}.")
    if kind == "lookup_ok":
        with store.writing() as tx:
            tx.run("DELETE FROM faults WHERE tool = ? AND kind LIKE 'lookup!_%' ESCAPE '!'", tool)
        return None
    if kind not in KINDS:
        raise NoSuchFault(f"There is no fault {kind!r}. Use one of: {', '.join(KINDS)}, lookup_ok.")
    place = KINDS[kind].place
    fits = {
        "any": True,
        "write": TOOLS[tool].writes,
        "look_up": TOOLS[tool].finds is not None,
        "journal": tool == "erp.create_journal_entry",
    }
    if not fits[place]:
        wanted = {"write": "a tool that writes", "look_up": "a look-up (erp.find_...)"}
        raise NoSuchFault(f"{kind} is set on {wanted.get(place, 'erp.create_journal_entry')}, not on {tool}.")
    times = KINDS[kind].times if times is None else times
    delay_s = KINDS[kind].delay_s if delay_s is None else delay_s
    if times < 0 or not 0 <= delay_s <= 3600:
        raise NoSuchFault("`times` is 0 (until cleared) or more; `delay` is 0 to 3600 seconds.")
    with store.writing() as tx:
        row = tx.one(
            "INSERT INTO faults (tool, kind, times_left, delay_s) VALUES (?, ?, ?, ?) RETURNING *",
            tool,
            kind,
            times or None,
            float(delay_s),
        )
    assert row is not None, "an insert returns its row"
    return Fault(**row)


def clear(store: Store) -> int:
    """Take every fault away; return how many could still have fired."""
    with store.writing() as tx:
        live = tx.one("SELECT count(*) AS n FROM faults WHERE times_left IS NULL OR times_left > 0")
        tx.run("DELETE FROM faults")
    return int(live["n"]) if live else 0


def listed(store: Store) -> list[dict[str, Any]]:
    """Return every fault that is set, spent ones too, with how often it has fired."""
    with store.reading() as tx:
        return tx.all(
            "SELECT f.*, (SELECT count(*) FROM fault_firings g WHERE g.fault_id = f.fault_id) AS fired"
            " FROM faults f ORDER BY fault_id"
        )


def waiting(tx: Tx, tool: str) -> list[Fault]:
    """Return the faults of a tool that may still fire, oldest first."""
    return [
        Fault(**row)
        for row in tx.all(
            "SELECT * FROM faults WHERE tool = ? AND (times_left IS NULL OR times_left > 0) ORDER BY fault_id", tool
        )
    ]


def fire(store: Store, fault: Fault, key: str) -> bool:
    """Count the fault down and record the firing; false if another call took its last one."""
    with store.writing() as tx:
        return fire_in(tx, fault, key)


def fire_in(tx: Tx, fault: Fault, key: str) -> bool:
    """As `fire`, within a transaction that is open for writing."""
    if not tx.run(
        "UPDATE faults SET times_left = times_left - 1 WHERE fault_id = ? AND (times_left IS NULL OR times_left > 0)",
        fault.fault_id,
    ):
        return False
    tx.insert(
        "fault_firings",
        {"fault_id": fault.fault_id, "tool": fault.tool, "kind": fault.kind, "idempotency_key": key}
        | {"at_us": tx.at_us},
    )
    return True


def hides(fault: Fault, written_us: int) -> bool:
    """Say whether `lookup_lags` still hides a write of that instant."""
    return now_us() < written_us + int(fault.delay_s * MICROS)


def duplicates_pass(tx: Tx, key: str) -> bool:
    """Say whether a document may be posted twice; a preview asks too, and only a write counts as a firing."""
    for fault in waiting(tx, "erp.create_journal_entry"):
        if fault.kind == "duplicates_pass" and (not tx.at_us or fire_in(tx, fault, key)):
            return True
    return False
