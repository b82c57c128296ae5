# SPDX-License-Identifier: Apache-2.0
"""A plan: steps with literal arguments that people approve as one, by one digest over theirs in order.

Each step stays an action with its own claim (contract, section 3, "plan"). They run in order, the next only once the
one before has succeeded; the first that departs, drifts or fails ends the rest. Every step keeps the digests of all, so
that its own row tells what was approved with it.
"""

from collections.abc import Iterable, Sequence

from signoff.core.action.lifecycle import CONCLUDED, NOT_SENT, Action, State
from signoff.core.errors import Malformed
from signoff.ledger.canonical import canonical, sha256_hex

STEPS_MAX = 20
BROKEN = "plan_broken"
DONE = frozenset({State.SUCCEEDED, State.REVERSAL_FAILED})


def require_size(count: int) -> None:
    """Refuse a plan of no steps, or of more than people can look through.

    Raises:
        Malformed: code `plan.size`.
    """
    if not 1 <= count <= STEPS_MAX:
        raise Malformed(
            what=f"A plan of {count} steps was not taken.",
            why=f"People approve it as one, and look at each step: it has 1 to {STEPS_MAX}.",
            fix="Send fewer steps; what comes later is another plan.",
            code="plan.size",
            path="$.steps",
        )


def digest(tenant: str, plan_id: str, steps: Sequence[str]) -> str:
    """Return the SHA-256 of the canonical bytes that an approval of a plan binds.

    Args:
        steps: the digest of each step, in order.
    """
    bound = {"type": "signoff.plan/v1", "tenant": tenant, "plan": plan_id, "steps": list(steps)}
    return "sha256:" + sha256_hex(canonical(bound))


def text(steps: Iterable[str]) -> str:
    """Return the digests of all steps as they are kept on each."""
    return " ".join(steps)


def name_of_reason(action: Action, shown: str, person_id: str) -> str:
    """Return the name under which a vote's reason is kept with an action.

    A plan has another digest whenever any of its steps is edited, so that a step's revision does not tell votes apart.

    Args:
        shown: the digest that was voted on.
    """
    about = action.revision if action.plan_id is None else shown.removeprefix("sha256:")[:16]
    return f"vote.{about}.{person_id}"


def bound(action: Action, own: str) -> list[str]:
    """Return the digests that an approval of a step binds: those of all, with its own as it is now in its place."""
    steps = (action.plan or "").split(" ")
    place = (action.plan_step or 0) - 1
    return [own if number == place else one for number, one in enumerate(steps)]


def must_wait(step: Action, steps: Iterable[Action]) -> bool:
    """Tell whether a step may not be claimed yet.

    One before it has not succeeded, or any of the plan is not decided or approved: it is approved as one.
    """
    return any(
        one.is_undecided
        or one.state is State.PENDING_APPROVAL
        or ((one.plan_step or 0) < (step.plan_step or 0) and one.state not in DONE)
        for one in steps
        if one.action_id != step.action_id
    )


def is_departed(step: Action) -> bool:
    """Tell whether a step has ended in a way that ends the rest; doubt waits until it is resolved."""
    return step.plan_id is not None and step.state in CONCLUDED - DONE


def left_over(steps: Iterable[Action]) -> list[tuple[Action, State]]:
    """Return what of a broken plan was not sent, with how it ends."""
    return [
        (one, State.DENIED if one.state is State.PROPOSED else State.VOIDED) for one in steps if one.state in NOT_SENT
    ]
