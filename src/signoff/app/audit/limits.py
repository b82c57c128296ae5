# SPDX-License-Identifier: Apache-2.0
"""What actions count for in impact limits, against the entries that tell of it; and each limit that was passed."""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from signoff.app.audit.findings import Findings
from signoff.app.audit.state import Rows, Told
from signoff.app.pages import Shelf
from signoff.core.action import checks
from signoff.core.action.lifecycle import WITHOUT_EFFECT, State
from signoff.core.authority.decision import Outcome
from signoff.core.authority.limit import Limit
from signoff.core.authority.rules import Then
from signoff.core.errors import Corrupt, SignoffError
from signoff.ledger.entry import Entry
from signoff.ports.storage import Transaction

# What failed as absent and was found a day later counts only since: it was no part of what others were decided on.
_SURELY_COUNTED = frozenset(State) - WITHOUT_EFFECT - {State.FAILED}
RUNS_REMEMBERED = 4096


class Limits:
    """Looks at the rows of `impacts`: each is told by its action's entries, at a place that it could be given."""

    def __init__(self, tx: Transaction, shelf: Shelf, found: Findings) -> None:
        self._tx, self._shelf, self._found = tx, shelf, found
        self._pages: dict[str, tuple[Limit, ...]] = {}  # limits by run
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
        self._check_complete(told)
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

    def _check_complete(self, told: Told) -> None:
        """Look whether an action counts in each limit of its page about its tool; a reversal by a person in none."""
        run_id, state = told.get("run_id"), told.get("state")
        limits = self._of_run(run_id)
        if not limits or state in WITHOUT_EFFECT:
            return
        is_limited = told.get("reverses") is None or not str(told.get("by")).startswith("prs_")
        owed = {nth for nth, limit in enumerate(limits) if limit.tool == told.get("tool") and is_limited}
        if owed != {one["nth"] for one in told.impacts}:
            self._add(told, "nth", "It does not count in just those limits of its page that are about its tool.")

    def _of_run(self, run_id: str) -> tuple[Limit, ...]:
        known = self._pages.get(run_id)
        if known is None:
            if len(self._pages) >= RUNS_REMEMBERED:
                self._pages.clear()
            row = self._tx.stored.find("runs", run_id)
            page = row[self._tx.stored.columns("runs").index("envelope")] if row else None
            known = self._pages[run_id] = self._of_page(page) if page is not None else ()
        return known

    def _of_page(self, digest: str) -> tuple[Limit, ...]:
        try:
            return self._shelf.envelope(self._tx, digest).limits
        except SignoffError:
            return ()  # that a page cannot be read is a finding of its own

    def finish(self) -> None:
        """Find rows that belong to no action, and limits that were passed."""
        self._rows.end()
        try:
            for _, rows in groupby(self._tx.stored.counted(), key=lambda row: row[0]):
                self._check_windows(rows)
        except Corrupt as error:
            self._found.add("impacts", error.what, error.why, error.fix)

    def _check_windows(self, rows: Any) -> None:
        """Sum the window of each action anew, by its place.

        What counts now counted when the action was decided, for an end without effect is never left: a sum that is
        above the limit now was above it then.
        """
        places: list[int] = []
        sums = [0]
        for _, at, amount, nth, action_id, state, line, page in rows:
            is_counted = state in _SURELY_COUNTED
            places.append(at)
            sums.append(sums[-1] + (amount if is_counted else 0))
            limits = self._of_page(page)
            if not is_counted or not 0 <= nth < len(limits):
                continue
            limit = limits[nth]
            total = sums[-1] - sums[bisect_right(places, at - limit.window_us)]
            if total > limit.most and line is not None and (limit.then is Then.DENY or not _has_asked(line)):
                what = f"{action_id} has passed the limit {limit.limit_id} of its page."
                why = f"With it {total} stand in the window, at most {limit.most} may, and nobody was asked for it."
                self._found.add("impacts", what, why, stream=action_id, column="amount")

    def counts(self) -> dict[str, int]:
        """Return how many rows were compared, by table."""
        return {"impacts": self._rows.count}

    def _add(self, told: Told, column: str | None, why: str) -> None:
        what = f"What {told.stream} counts for in limits is not what its entries tell."
        self._found.add("impacts", what, why, stream=told.stream, seq=told.seq, index=told.index, column=column)


def _has_asked(line: str) -> bool:
    """Tell whether the check of limits asked people, by the line of an action's checks."""
    return any(name == "limits" and outcome == Outcome.ASK for name, outcome, _ in checks.read(line))
