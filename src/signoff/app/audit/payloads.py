# SPDX-License-Identifier: Apache-2.0
"""Payloads against commitments: each payload opens to what an entry commits to, and each commitment has its payload.

`COMMITTED` names the columns that hold commitments and the payloads they are to; a payload that no column holds is
committed to by name in its entry (`app/record.py`). Only an entry that tells of an erasure, of a subject or of a run
that reached its age, explains that a key is gone; then its payloads are gone too, and any that is left is a finding.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from signoff.app.audit.findings import Findings
from signoff.app.audit.state import TABLES, Rows, Told
from signoff.app.payloads import Keyring
from signoff.app.setup import TAGS
from signoff.core.action.lifecycle import Action
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.errors import Corrupt, SignoffError
from signoff.core.principal import Person
from signoff.core.run import Run
from signoff.core.subject import Subject
from signoff.ledger.entry import Entry
from signoff.ports.storage import Transaction

COMMITTED: Final[dict[type, dict[str, str]]] = {
    Action: {
        "args_proposed": "args",
        "args_effective": "args",
        "args_approved": "args",
        "claims": "claims",
        "decision": "decision",
        "preview": "preview",
        "outcome": "outcome",
        "image": "image",
    },
    Run: {"task": "task", "summary": "summary", "turned": "turn"},
    Person: {"profile": "profile"},
    Halt: {"reason": "reason"},
    Clearance: {"reason": "reason"},
    Delegation: {"purpose": "purpose", "condition": "condition"},
    Subject: {"reason": "reason"},
}
"""Columns that hold a commitment, and the first part of the name of the payload it is to."""
KEYED: Final = (Run, Person, Halt, Clearance, Delegation, Subject)
"""What has a payload key of its own."""
REMEMBERED: Final = 1024  # runs, which come with their actions; subjects are asked for only where one is named


class Payloads:
    """Looks at the payloads of each stream, and at the keys that seal them."""

    def __init__(self, tx: Transaction, keyring: Keyring | None, found: Findings) -> None:
        self._tx, self._found = tx, found
        self._keyring = None if keyring is None else keyring.fresh()
        self._payloads = Rows(tx.stored, "payloads", found)
        self._of: str | None = None
        self._committed: dict[str, str] = {}
        self._lost: str | None = None
        self._keys = 0
        self.opened = self.erased = 0
        self._erased_runs: OrderedDict[str, bool] = OrderedDict()

    def step(self, told: Told, entry: Entry, _: Mapping[str, Any]) -> None:
        """Remember what one entry commits to."""
        if self._of != told.stream:
            self._of, self._committed = told.stream, {}
        columns = COMMITTED.get(told.kind, {})
        for name, value in entry["set"].items():
            if name in columns and value is not None:
                self._committed[value] = columns[name]
        for vote in entry.get("rows", {}).get("votes", []):
            if vote.get("reason") is not None:
                self._committed[vote["reason"]] = "vote"

    def end(self, told: Told) -> None:
        """Open every payload of a stream, and find those that are missing."""
        committed = self._committed if self._of == told.stream else {}
        if told.kind is Run and told.get("erased_at") is not None:
            self._check_no_key(told, told.get("payload_key"))
        elif told.kind in KEYED:
            self._check_key(told, told.get("payload_key"))
        if (why := self._why_erased(told)) is not None:
            self._end_erased(told, why, {**committed, **told.payloads})
            return
        seen, is_lost = set(), False
        for _, _, name, key_id, sealed in self._payloads.of(told.stream):
            if self._keyring is None:
                continue
            try:
                commitment = self._keyring.commitment(self._tx, told.stream, name, key_id, sealed)
            except Corrupt as error:
                self._refuse(told, f"The payload {name} of {told.stream} does not open.", error.why, "sealed")
                continue
            if commitment is None:
                is_lost = True
                if not self._is_known_lost(told, key_id):
                    why = f"It names the key {key_id[:64]}, and there is none."
                    self._refuse(told, f"The payload {name} of {told.stream} does not open.", why, "key_id")
                continue
            self.opened += 1
            if committed.get(commitment) == name.partition(".")[0] or told.payloads.get(commitment) == name:
                seen.add(commitment)
            else:
                why = "No entry of its stream commits to what it holds, under this name."
                self._refuse(told, f"The payload {name} of {told.stream} is not what was kept.", why, "sealed")
        if self._keyring is None or is_lost:
            return
        for commitment, name in {**committed, **told.payloads}.items():
            if commitment not in seen:
                what = f"A payload {name} of {told.stream} is missing."
                self._refuse(told, what, "An entry commits to it, and none tells that it was erased.", "name")

    def _end_erased(self, told: Told, why: str, committed: Mapping[str, str]) -> None:
        """Count what an erasure took from a stream, and find what it left."""
        rows = self._payloads.of(told.stream)
        for _, _, name, *_ in rows:
            what = f"The payload {name[:64]} of {told.stream} is still there."
            self._refuse(told, what, f"{why}, and an erasure takes everything.", "name")
        self.erased += len(committed)

    def _why_erased(self, told: Told) -> str | None:
        """Return which entry explains that nothing is kept of a stream, None where something must be.

        The rows that are asked are compared with their own entries when their streams pass by.
        """
        if told.kind is Run:
            return "Its run was erased" if told.get("erased_at") is not None else None
        if told.kind is not Action:
            return None
        subject_id, stored = told.get("subject"), self._tx.stored
        if subject_id is not None:
            row = stored.find("subjects", subject_id)
            if row is not None and row[stored.columns("subjects").index("erased_at")] is not None:
                return f"{subject_id} was erased"
        run_id = told.get("run_id")
        if run_id not in self._erased_runs:
            row = stored.find("runs", run_id)
            is_erased = row is not None and row[stored.columns("runs").index("erased_at")] is not None
            self._erased_runs[run_id] = is_erased
            if len(self._erased_runs) > REMEMBERED:
                self._erased_runs.popitem(last=False)
        return f"{run_id} was erased" if self._erased_runs[run_id] else None

    def finish(self, is_empty: bool) -> None:
        """Find payloads and keys that belong to nothing.

        Args:
            is_empty: the log has no entry, so that the tenant was never opened.
        """
        self._payloads.end()
        try:
            if not is_empty:
                self._check_key(None, TAGS)
            if self._tx.stored.count("payload_keys") != self._keys:
                self._name_extra_keys()
        except Corrupt as error:
            self._found.add("payload_keys", error.what, error.why, error.fix)

    def counts(self) -> dict[str, int]:
        """Return how many rows were compared, by table."""
        return {"payloads": self._payloads.count, "payload_keys": self._keys}

    def _check_key(self, told: Told | None, key_id: str) -> None:
        of, stream = (told.stream, told.stream) if told else ("the tenant's keyed digests", None)
        row = self._tx.payloads.key(key_id)
        if row is None:
            self._lost = key_id
            what, why = f"The payload key of {of} is missing.", "No entry says that it was destroyed."
            self._found.add("payload_keys", what, why, stream=stream, column="key_id")
            return
        self._keys += 1
        if self._keyring is None:
            return
        try:
            self._keyring.seal(self._tx, key_id)
        except SignoffError as error:
            what = f"The payload key of {of} does not unwrap."
            self._found.add("payload_keys", what, error.why, stream=stream, column="sealed")

    def _check_no_key(self, told: Told, key_id: str) -> None:
        if self._tx.payloads.key(key_id) is not None:
            what, why = f"The payload key of {told.stream} is still there.", "Its entries tell that it was destroyed."
            self._found.add("payload_keys", what, why, stream=told.stream, column="key_id")

    def _is_known_lost(self, told: Told, key_id: str) -> bool:
        """Tell whether a missing key is the stream's own, which is a finding already or will be one with its run."""
        if told.kind is Action and told.get("subject") is not None:
            row = self._tx.stored.find("subjects", told.get("subject"))
            return row is not None and row[self._tx.stored.columns("subjects").index("payload_key")] == key_id
        if told.kind is Action:
            row = self._tx.stored.find("runs", told.get("run_id"))
            return row is not None and row[self._tx.stored.columns("runs").index("payload_key")] == key_id
        return self._lost == key_id

    def _name_extra_keys(self) -> None:
        owned = {TAGS}
        for kind in KEYED:
            columns = self._tx.stored.columns(TABLES[kind])
            at, gone = columns.index("payload_key"), columns.index("erased_at") if kind is Run else None
            rows = self._tx.stored.rows(TABLES[kind])
            owned |= {row[at] for row in rows if gone is None or row[gone] is None}
        for row in self._tx.stored.rows("payload_keys"):
            if row[1] not in owned:
                what = f"The payload key {row[1][:64]} belongs to nothing."
                self._found.add(
                    "payload_keys",
                    what,
                    "No run, subject, person or halt names it: one that was destroyed was put back, or never went.",
                    column="key_id",
                )

    def _refuse(self, told: Told, what: str, why: str, column: str) -> None:
        self._found.add("payloads", what, why, stream=told.stream, seq=told.seq, index=told.index, column=column)
