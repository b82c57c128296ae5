# SPDX-License-Identifier: Apache-2.0
"""What was spent, added up anew in the order of proposals: each cap beyond the task that was passed is named."""

from collections import defaultdict
from itertools import groupby
from typing import Any

from signoff.app.audit.findings import Findings
from signoff.app.pages import Shelf
from signoff.core.authority.spend import Scope, SpendCap, began
from signoff.core.errors import Corrupt, SignoffError
from signoff.core.money import dollars
from signoff.ports.storage import Transaction

SUMS_HELD = 65_536
Key = tuple[Scope, str, int, int]  # scope, whose, window, begin of the period


class Spend:
    """Sums by scope and period, grown by the instant; one pass, and only where a page has caps."""

    def __init__(self, tx: Transaction, shelf: Shelf, found: Findings) -> None:
        self._tx, self._shelf, self._found = tx, shelf, found
        self._caps: dict[str, tuple[SpendCap, ...]] = {}
        self._sums: defaultdict[Key, int] = defaultdict(int)

    def finish(self) -> None:
        """Add everything up; what is wrong with the rows themselves is found elsewhere."""
        try:
            windows = self._windows()
            if windows:
                for _, rows in groupby(self._tx.stored.spending(), key=lambda row: row[0]):
                    self._instant(list(rows), windows)
        except Corrupt as error:
            self._found.add("actions", error.what, error.why, error.fix)

    def _windows(self) -> set[tuple[Scope, int]]:
        """Return each scope and window of which some page has a cap."""
        at = self._tx.stored.columns("publications").index("digest")
        kind = self._tx.stored.columns("publications").index("kind")
        digests = {row[at] for row in self._tx.stored.rows("publications") if row[kind] == "envelope"}
        return {(cap.per, cap.window_us) for digest in digests for cap in self._of_page(digest)}

    def _of_page(self, digest: str) -> tuple[SpendCap, ...]:
        known = self._caps.get(digest)
        if known is None:
            try:
                known = self._shelf.envelope(self._tx, digest).spend
            except SignoffError:
                known = ()  # that a page cannot be read is a finding of its own
            self._caps[digest] = known
        return known

    def _instant(self, rows: list[tuple[Any, ...]], windows: set[tuple[Scope, int]]) -> None:
        """Take in what was proposed at one instant, in which nobody knows any more who came first.

        Whoever came last saw all others, and its own cap held: so those whose caps are no larger than one cap fit under
        it together with everything before, whatever the order. What they have now is no more than they had then.
        """
        grown: defaultdict[Key, list[tuple[int | None, int, str]]] = defaultdict(list)
        for at, action_id, amount, user, agent, workflow, page in rows:
            mine = {(cap.per, cap.window_us): cap.cap_usd_micros for cap in self._of_page(page)}
            whose = {Scope.USER: user, Scope.AGENT: agent, Scope.WORKFLOW: workflow, Scope.TENANT: ""}
            for per, window in windows:
                key = per, whose[per], window, began(at, window)
                grown[key].append((mine.get((per, window)), amount, action_id))
        if len(self._sums) > SUMS_HELD:  # periods that are over get no more
            going_on = {key: total for key, total in self._sums.items() if key[3] + key[2] > rows[0][0]}
            self._sums = defaultdict(int, going_on)
        for key, ones in grown.items():
            for most in {cap for cap, _, _ in ones if cap is not None}:
                under = [(amount, action_id) for cap, amount, action_id in ones if cap is not None and cap <= most]
                total = self._sums[key] + sum(amount for amount, _ in under)
                if total > most:
                    self._passed(key[0], under[-1][1], total, most)
            self._sums[key] += sum(amount for _, amount, _ in ones)

    def _passed(self, per: Scope, action_id: str, total: int, most: int) -> None:
        what = f"{action_id} has passed the cap of its {per}."
        why = f"With it USD {dollars(total)} are settled or set aside in the period, the cap is {dollars(most)}."
        self._found.add("entries", what, why, stream=action_id, column="settled_usd_micros")
