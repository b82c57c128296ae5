# SPDX-License-Identifier: Apache-2.0
"""States of an action and the legal moves between them, as one table; the documentation draws from it.

An `Action` is one proposed tool call and everything that becomes of it. It holds ids, digests, enums, integers and
times only: whatever an agent, a person or a target said is a payload beside the log, of which the action keeps a
salted commitment. Its row is the fold of its entries, so that no column can be edited silently.
"""

from dataclasses import dataclass
from enum import StrEnum

from signoff.core.errors import Conflict


class State(StrEnum):
    """Where an action stands (contract, section 3)."""

    PROPOSED = "proposed"
    HELD = "held"
    PENDING_APPROVAL = "pending_approval"
    APPROVED = "approved"
    DISPATCHING = "dispatching"
    IN_DOUBT = "in_doubt"
    NEEDS_PERSON = "needs_person"
    SUCCEEDED = "succeeded"
    REVERSING = "reversing"
    REVERSAL_FAILED = "reversal_failed"
    DENIED = "denied"
    SUGGESTED = "suggested"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOIDED = "voided"
    STOPPED = "stopped"
    FAILED = "failed"
    REVERSED = "reversed"


S = State
MOVES: dict[State, frozenset[State]] = {
    S.PROPOSED: frozenset({S.DENIED, S.SUGGESTED, S.HELD, S.PENDING_APPROVAL, S.DISPATCHING, S.CANCELLED, S.STOPPED}),
    S.HELD: frozenset({S.DISPATCHING, S.PENDING_APPROVAL, S.CANCELLED, S.VOIDED, S.STOPPED}),
    S.PENDING_APPROVAL: frozenset({S.APPROVED, S.REJECTED, S.EXPIRED, S.VOIDED, S.CANCELLED, S.STOPPED}),
    S.APPROVED: frozenset({S.DISPATCHING, S.HELD, S.EXPIRED, S.VOIDED, S.STOPPED, S.CANCELLED}),
    S.DISPATCHING: frozenset({S.SUCCEEDED, S.FAILED, S.IN_DOUBT}),
    S.IN_DOUBT: frozenset({S.SUCCEEDED, S.FAILED, S.DISPATCHING, S.NEEDS_PERSON}),
    S.NEEDS_PERSON: frozenset({S.SUCCEEDED, S.FAILED}),
    S.SUCCEEDED: frozenset({S.REVERSING}),
    S.REVERSING: frozenset({S.REVERSED, S.REVERSAL_FAILED}),
    S.REVERSAL_FAILED: frozenset({S.REVERSING}),
}
FINAL = frozenset(State) - frozenset(MOVES)
CONCLUDED = FINAL | {S.SUCCEEDED, S.REVERSAL_FAILED}
NOT_SENT = frozenset({S.PROPOSED, S.HELD, S.PENDING_APPROVAL, S.APPROVED})
IN_FLIGHT = frozenset({S.DISPATCHING, S.IN_DOUBT, S.NEEDS_PERSON})
AWAITING_PEOPLE = frozenset({S.PENDING_APPROVAL, S.HELD})
WITHOUT_EFFECT = FINAL - {S.FAILED, S.REVERSED}
"""How an action ends of which nothing was sent."""
MAY_BE_DONE = frozenset({"found_late", "late_look_unanswered", "late_find_settled"})
"""Why a write that failed as absent may have been done all the same."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action as it stands. Times are microseconds since 1970; digests and commitments are `sha256:<hex>`.

    Fields may be added at the end only, with a default: entries written before are folded by name.
    """

    tenant: str
    action_id: str
    seq: int  # number of its last entry; 0 before the first
    head: str  # leaf hash of its last entry
    run_id: str
    state: State
    tool: str
    effect: str
    risk: str
    contract: str  # digest of the tool contract it was decided under
    by: str  # who proposed: an agent, or the person who asked for a reversal
    key: str  # what the target knows it by: 128 random bits, the same in every attempt
    proposed_at: int
    content_tag: str  # keyed digest of tool and arguments: finds the same write, tells nothing
    args_proposed: str
    args_effective: str
    args_approved: str | None = None
    claims: str | None = None  # commitment to rationale, confidence and citations
    request_key: str | None = None
    request_tag: str | None = None
    resource: str | None = None  # keyed digest of the resource it writes to
    verdict: str | None = None
    checks: str | None = None  # one line, see `checks.py`
    decision: str | None = None  # commitment to the checks' details
    decided_at: int | None = None
    revision: int = 1
    preview: str | None = None
    digest: str | None = None  # what an approval binds
    approval_id: str | None = None
    owed: str | None = None  # canonical JSON list of duties
    expires_at: int | None = None
    waited_us: int = 0  # how long people were waited for
    waiting_since: int | None = None  # begin of that wait, also once it is over
    reserved_usd_micros: int = 0
    settled_usd_micros: int = 0
    fence: int = 0  # number of the last claim
    claimed_at: int | None = None
    doubt_since: int | None = None
    proof: str | None = None  # why a write in doubt is known not to have happened, if it is
    look_at: int | None = None  # when to look again
    looks: int = 0
    outcome: str | None = None  # commitment to the result or error
    image: str | None = None  # commitment to the target as read right after the write
    reason: str | None = None  # code of why it ended, or why it stands where it does
    ended_at: int | None = None
    receipt_id: str | None = None
    reverses: str | None = None
    reversed_by: str | None = None
    epoch: int | None = None  # of the token with which an agent asked; raising the agent's voids what is not sent
    claimed_by: str | None = None  # the node that sends it
    subject: str | None = None  # whom its payloads are about, and under whose key they are sealed; None: its run's
    hold_us: int | None = None  # the review window it owes, and what comes at its end
    hold_end: str | None = None
    hold_until: int | None = None  # when that is; None before the window has begun
    released_by: str | None = None  # the person who let it go
    seen_by: str | None = None  # who put its approval off last, when, and until when they want to see no more
    seen_at: int | None = None
    deferred_until: int | None = None
    escalated_at: int | None = None  # when it was told that nobody looks
    plan_id: str | None = None  # the plan it is a step of; also the approval under which that is decided as one
    plan_step: int | None = None  # from 1
    plan: str | None = None  # the digests of all steps in order, see `plan.py`

    @property
    def is_concluded(self) -> bool:
        return self.state in CONCLUDED

    @property
    def is_undecided(self) -> bool:
        return self.state is State.PROPOSED and self.verdict is None

    @property
    def is_write(self) -> bool:
        return self.effect == "write"

    @property
    def may_have_effect(self) -> bool:
        """Whether it is done or may still be; what was reversed was done (contract, section 1, "Limits").

        A failed egress may have left, unless it was not sent. `adapters/sql/sums.py` says the same in SQL.
        """
        if self.state is State.FAILED:
            return self.reason in MAY_BE_DONE or (self.effect == "egress" and self.reason != "not_sent")
        return self.state not in WITHOUT_EFFECT


def check_move(before: State, after: State) -> None:
    """Refuse a move that is not in the table.

    Raises:
        Conflict: code `action.illegal_move`.
    """
    if after not in MOVES.get(before, frozenset()):
        raise Conflict(
            what=f"An action cannot go from {before} to {after}.",
            why="The table of states has no such move; somebody else was probably faster.",
            fix="Read the action again and act on the state it is in now.",
            code="action.illegal_move",
        )


def edges() -> list[tuple[State, State]]:
    """Return every legal move, in the order of the table."""
    return [(before, after) for before, afters in MOVES.items() for after in sorted(afters)]
