# SPDX-License-Identifier: Apache-2.0
"""What a period has spent, added up once and kept up to date, so that its millionth action costs what its first did."""

from collections.abc import Iterable

from signoff.core.action.lifecycle import Action
from signoff.core.authority.spend import Amounts, Scope
from signoff.core.run import Run


class Spending:
    """What one period has spent, by scope and whose it is; a zero is no entry."""

    def __init__(self, since: int, until: int, rows: Iterable[tuple[str, str, str, int, int]]) -> None:
        """Add up `rows`: user, agent, workflow, settled, reserved.

        Args:
            since: when the period begins; it ends before `until`.
        """
        self.since, self.until = since, until
        self.sums: dict[tuple[str, str], Amounts] = {}
        for user, agent, workflow, settled, reserved in rows:
            self._add(user, agent, workflow, settled, reserved)

    def put(self, run: Run, was: Action | None, row: Action) -> None:
        """Take in an action as it was written; whose it is, and when it was proposed, never changes."""
        settled = row.settled_usd_micros - (was.settled_usd_micros if was else 0)
        reserved = row.reserved_usd_micros - (was.reserved_usd_micros if was else 0)
        self._add(run.principal_id, run.agent_id, run.workflow, settled, reserved)

    def _add(self, user: str, agent: str, workflow: str, settled: int, reserved: int) -> None:
        sums = self.sums
        for key in ((Scope.USER.value, user), (Scope.AGENT.value, agent), (Scope.WORKFLOW.value, workflow), _ALL):
            had = sums.get(key, (0, 0))
            sums[key] = now = had[0] + settled, had[1] + reserved
            if now == (0, 0):
                del sums[key]


_ALL = (Scope.TENANT.value, "")
