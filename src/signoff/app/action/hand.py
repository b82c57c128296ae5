# SPDX-License-Identifier: Apache-2.0
"""What a leg has in hand when it ends: enough to tell whoever proposed, without reading back what was just written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.core.action.lifecycle import Action
from signoff.core.principal import Agent
from signoff.core.run import Run


@dataclass(slots=True)
class Hand:
    """One new action as the last transaction of its leg left it.

    It belongs to one call and goes with it, so that no payload stays in memory. It is filled after a commit and never
    within a body, which may run twice.
    """

    action: Action | None = None
    run: Run | None = None
    agent: Agent | None = None  # who proposed, as that transaction saw it: tells whether a token holds
    outcome: Mapping[str, Any] | None = None  # `{"result": ...}` or `{"error": ...}`, as it was sealed

    def hold(self, action: Action, run: Run, agent: Agent | None, outcome: Mapping[str, Any] | None = None) -> None:
        self.action, self.run, self.agent, self.outcome = action, run, agent, outcome
