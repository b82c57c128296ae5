# SPDX-License-Identifier: Apache-2.0
"""Approval binds bytes: who may vote on which digest, and when what is owed has been met.

A vote counts for the current digest only, once a person, while the voter holds the role, and never from the agent or
the requester. One no is enough. At `now >= expires` a vote is refused, timer or not.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from signoff.core.action import plan
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.decision import Duty
from signoff.core.errors import Conflict, Forbidden, Malformed, SignoffError
from signoff.core.principal import Person
from signoff.core.run import Run
from signoff.ledger.canonical import canonical, sha256_hex

STEPPED_UP = frozenset({"step_up"})
"""Assurances of a voter who proved anew, for this very vote, who they are. Nothing here can show one yet."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's word on one digest; `is_standing` until an edit voids it."""

    tenant: str
    action_id: str
    person_id: str
    digest: str
    decision: str  # approve | reject
    role: str  # under which it counted
    at: int
    reason: str | None = None  # commitment
    assurance: str = "api_key"


def duties_text(duties: Sequence[Duty]) -> str:
    """Return the canonical JSON under which duties are kept on an action."""
    return canonical([asdict(duty) | {"roles": list(duty.roles)} for duty in duties]).decode()


def duties_of(action: Action) -> tuple[Duty, ...]:
    """Return what is owed on an action."""
    return tuple(Duty(**(item | {"roles": tuple(item["roles"])})) for item in json.loads(action.owed or "[]"))


def digest(action: Action, run: Run) -> str:
    """Return what an approval binds: the digest of the action, or that of the plan it is a step of."""
    own = own_digest(action, run)
    if action.plan_id is None or action.plan is None:
        return own
    return plan.digest(action.tenant, action.plan_id, plan.bound(action, own))


def own_digest(action: Action, run: Run) -> str:
    """Return the SHA-256 of the canonical bytes of one action that an approval binds (contract, section 3)."""
    bound: dict[str, Any] = {
        "type": "signoff.approval/v1",
        "tenant": action.tenant,
        "action": action.action_id,
        "revision": action.revision,
        "run": action.run_id,
        "workflow": run.workflow,
        "envelope": run.envelope,
        "environment": run.environment,
        "agent": run.agent_id,
        "principal": run.principal_id,
        "tool": action.tool,
        "tool_contract": action.contract,
        "args": action.args_effective,
        "preview": action.preview,
        "reverses": action.reverses,
    }
    return "sha256:" + sha256_hex(canonical(bound))


def standing(votes: Iterable[Vote], action: Action, people: dict[str, Person]) -> list[Vote]:
    """Return the approving votes that count now: current digest, voter active and still holding the role."""
    counted = []
    for vote in votes:
        person = people.get(vote.person_id)
        is_yes = vote.digest == action.digest and vote.decision == "approve"
        if is_yes and person and person.is_active and vote.role in person.roles:
            counted.append(vote)
    return counted


def silent_until(now: int, expires_at: int) -> int:
    """Return until when nobody need have looked at what waits from `now` on: half of its time, on any page."""
    return now + (expires_at - now) // 2


def deferred_to(action: Action, until: int | None, now: int) -> int:
    """Return until when a person may put off an approval that waits.

    Args:
        until: microseconds since 1970.

    Raises:
        Malformed: none is given, or it does not lie before the approval's own deadline.
    """
    if until is None or action.expires_at is None or not now < until < action.expires_at:
        raise Malformed(
            what="It was not put off.",
            why="An approval is put off until a time before its deadline, which stays as it is.",
            fix="Give such a time in `until`; or reject it, if it shall not be done.",
            code="approval.until",
            path="$.until",
        )
    return until


def counts_for(duty: Duty, person: Person, action: Action, run: Run) -> bool:
    """Tell whether a person's yes serves a duty: they hold a role that is owed, and are not whoever asked for it.

    The requester is the run's principal and whoever started it. A person who asks for a reversal may approve it, if
    they could have approved the original; its requester could not (contract, section 3).
    """
    if set(duty.roles).isdisjoint(person.roles):
        return False
    if action.reverses:
        return person.person_id not in (run.principal_id, run.started_by)
    return not duty.distinct_from_requester or person.person_id not in (run.principal_id, run.started_by, action.by)


def is_met(action: Action, run: Run, duties: Sequence[Duty], votes: Sequence[Vote], people: dict[str, Person]) -> bool:
    """Tell whether the standing votes meet every duty; a vote may serve several, a person counts once in each.

    Where people of different roles are owed, each counts under the role of their vote, which the receipt tells.
    """
    return all(
        _is_met(duty, [vote for vote in votes if counts_for(duty, people[vote.person_id], action, run)])
        for duty in duties
    )


def _is_met(duty: Duty, votes: Sequence[Vote]) -> bool:
    if duty.step_up:
        votes = [vote for vote in votes if vote.assurance in STEPPED_UP]
    if duty.distinct_roles:  # a person has one vote on a digest, so that as many roles are as many people
        return len({vote.role for vote in votes} & set(duty.roles)) >= duty.count
    return len({vote.person_id for vote in votes}) >= duty.count


def may_vote(
    action: Action, run: Run, duties: Sequence[Duty], person: Person, votes: Iterable[Vote], shown: str, now: int
) -> str:
    """Return the role under which this person's vote on the current digest counts.

    Args:
        shown: the digest of what the voter saw.
        now: microseconds since 1970; the deadline itself is too late.

    Raises:
        Conflict: not waiting, past its deadline, another digest, or a second vote.
        Forbidden: no role that is owed, or the requester where someone else is owed.
    """
    first = may_edit(action, duties, person, shown, now)
    cast = [vote for vote in votes if vote.digest == action.digest]
    if any(vote.person_id == person.person_id for vote in cast):
        raise _late("You have voted on this digest already.", "approval.already_voted")
    if not any(counts_for(duty, person, action, run) for duty in duties):
        raise Forbidden(
            what="You cannot approve what was asked in your own name.",
            why="Separation of duties: the run's principal, and whoever started it, are the requester.",
            fix="Ask another holder of the role.",
            code="approval.own_request",
        )
    return _role_for(action, run, duties, person, cast, first)


def _role_for(
    action: Action, run: Run, duties: Sequence[Duty], person: Person, cast: Sequence[Vote], first: str
) -> str:
    """Return the role under which a vote counts; where people of different roles are owed, one that has no vote yet."""
    apart = [duty for duty in duties if duty.distinct_roles and counts_for(duty, person, action, run)]
    taken = {vote.role for vote in cast if vote.decision == "approve"}
    mine = sorted(set(person.roles) & {role for duty in apart for role in duty.roles})
    return next((role for role in mine if role not in taken), first)


def may_edit(action: Action, duties: Sequence[Duty], person: Person, shown: str, now: int) -> str:
    """Return the role under which this person may decide what waits: vote on it, or edit it.

    Raises:
        Conflict: not waiting, past its deadline, or another digest than the one shown.
        Forbidden: the person holds no role that is owed.
    """
    if action.state is not State.PENDING_APPROVAL:
        raise _late(f"The action is {action.state}, so no vote can count.", "approval.not_pending")
    if action.expires_at is not None and now >= action.expires_at:
        raise _late("Its deadline has passed.", "approval.expired")
    if shown != action.digest:
        raise Conflict(
            what="This is about something else than what waits now.",
            why=f"It names digest {shown[:80]!r}; what waits is {action.digest}, revision {action.revision}.",
            fix="Look at the action again and decide on what you then see.",
            code="approval.digest_mismatch",
            field="digest",
        )
    roles = sorted({role for duty in duties for role in duty.roles} & set(person.roles))
    if not roles:
        owed = ", ".join(sorted({role for duty in duties for role in duty.roles}))
        raise Forbidden(
            what="This is not yours to decide.",
            why=f"An approval is owed from {owed}; you hold none of these roles.",
            fix="Ask someone who holds one, or an admin to give you the role.",
            code="approval.role_missing",
        )
    return roles[0]


def _late(why: str, code: str) -> SignoffError:
    return Conflict(
        what="The vote was not counted.", why=why, fix="Read the action again; it says what became of it.", code=code
    )
