# SPDX-License-Identifier: Apache-2.0
"""Typed views of what Signoff answers; the whole document stays at hand in `document`.

Members that these views do not know are left alone: within `/v1` the server may add some at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DONE = frozenset({"succeeded", "reversing", "reversed", "reversal_failed"})
CONCLUDED = frozenset(
    {"succeeded", "reversal_failed", "denied", "suggested", "cancelled", "rejected", "expired", "voided", "stopped"}
    | {"failed", "reversed"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action was not done: a value to act on, not an error.

    Attributes:
        state: who said no: `denied` policy, `rejected` a person, `stopped` the kill switch, `failed` the target, ...
        reason: a code for programs, such as `tool_not_allowed`; "" where there is none.
        explain: one sentence for people.
        said: what the person who rejected it wrote, "" where nobody did.
    """

    state: str
    reason: str
    explain: str
    said: str = ""

    def __str__(self) -> str:
        return f"{self.explain} ({self.said})" if self.said else self.explain


@dataclass(frozen=True, slots=True)
class Action:
    """One proposed tool call, and what became of it.

    Example:
        >>> action = run.propose("erp.lookup_vendor", {"name": "Brisk Paper B.V."})
        >>> action.result["vendor_id"] if action.is_done else str(action.refusal)
        'V-1001'
    """

    document: Mapping[str, Any]

    @property
    def action_id(self) -> str:
        return str(self.document["action_id"])

    @property
    def run_id(self) -> str:
        return str(self.document["run_id"])

    @property
    def tool(self) -> str:
        return str(self.document["tool"])

    @property
    def state(self) -> str:
        return str(self.document["state"])

    @property
    def reason(self) -> str:
        """The code of why it ended, or why it stands where it does; "" where there is none."""
        return str(self.document.get("reason") or "")

    @property
    def is_concluded(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state in CONCLUDED

    @property
    def is_done(self) -> bool:
        """Whether the tool did it; it may have been undone since."""
        return self.state in DONE

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for people."""
        return self.state in ("pending_approval", "held", "needs_person")

    @property
    def result(self) -> Mapping[str, Any]:
        """What the tool answered; empty until it is done."""
        found = self.document.get("result")
        return found if isinstance(found, Mapping) else {}

    @property
    def refusal(self) -> Refusal | None:
        """Why it was not done; None while that is open, and where it was."""
        if self.is_done or not self.is_concluded:
            return None
        said = [vote.get("reason") for vote in self.votes if vote.get("decision") == "reject"]
        return Refusal(
            self.state,
            self.reason,
            str(self.document.get("explain") or self.state),
            str(said[-1] or "") if said else "",
        )

    @property
    def digest(self) -> str:
        """What an approval binds: send it back with a vote; "" where nothing is to be approved."""
        return str(self.document.get("digest") or "")

    @property
    def approval_id(self) -> str:
        return str(self._approval.get("approval_id") or "")

    @property
    def votes(self) -> list[Mapping[str, Any]]:
        return list(self._approval.get("votes") or [])

    @property
    def receipt_id(self) -> str | None:
        found = self.document.get("receipt_id")
        return str(found) if found else None

    @property
    def args(self) -> Mapping[str, Any]:
        """The arguments in force: as proposed, or as a person has edited them."""
        kept = self.document.get("args") or {}
        found = kept.get("effective") or kept.get("proposed")
        return found if isinstance(found, Mapping) else {}

    @property
    def _approval(self) -> Mapping[str, Any]:
        found = self.document.get("approval")
        return found if isinstance(found, Mapping) else {}
