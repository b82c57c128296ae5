# SPDX-License-Identifier: Apache-2.0
"""What actions count for in impact limits, against the entries that tell of it."""

from collections.abc import Mapping
from typing import Any

from signoff.app.audit.findings import Findings
from signoff.app.audit.state import Rows, Told
from signoff.ledger.entry import Entry
from signoff.ports.storage import Transaction


class Limits:
    """Looks at the rows of `impacts`: each is told by its action's entries, at a place that it could be given."""

    def __init__(self, tx: Transaction, found: Findings) -> None:
        self._tx, self._found = tx, found
        self._rows = Rows(tx.stored, "impacts", found)
        self._columns = tx.stored.columns("impacts")
        self._told: tuple[str, set[tuple[Any, ...]]] = "", set()

    def step(self, told: Told, entry: Entry, _: Mapping[str, Any]) -> None:
        """Look at one entry of an action: what it counts for anew has no place before the entry."""
        ones = entry.get("rows", {}).get("impacts")
        if ones is None:
            return
        before = self._told[1] if self._told[0] == told.stream else set()
        now = {(one["key"], one["amount"], one["at"]) for one in ones}
        for _key, _amount, at in now - before:
            if at < entry["at"]:
                why = f"It was given the place {at}, before the entry that gave it."
                self._add(told, "at", why)
        self._told = told.stream, now

    def end(self, told: Told) -> None:
        """Compare the rows of an action with what its entries tell."""
        rows = self._rows.of(told.stream)
        if not rows and not told.impacts:
            return
        names = {"tenant": self._tx.tenant, "action_id": told.stream}
        want = {one["key"]: tuple((names | one).get(name) for name in self._columns) for one in told.impacts}
        key = self._columns.index("key")
        for row in rows:
            expected = want.pop(row[key], None)
            if expected is None:
                self._add(told, "key", "They tell of none under this key.")
            elif expected != row:
                odd = [name for name, mine, its in zip(self._columns, row, expected, strict=True) if mine != its]
                self._add(told, odd[0], f"They tell of another {', '.join(odd)}.")
        for _ in want:
            self._add(told, None, "A row of it is gone.")

    def finish(self) -> None:
        """Find rows that belong to no action."""
        self._rows.end()

    def counts(self) -> dict[str, int]:
        """Return how many rows were compared, by table."""
        return {"impacts": self._rows.count}

    def _add(self, told: Told, column: str | None, why: str) -> None:
        what = f"What {told.stream} counts for in limits is not what its entries tell."
        self._found.add("impacts", what, why, stream=told.stream, seq=told.seq, index=told.index, column=column)
