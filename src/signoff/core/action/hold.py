# SPDX-License-Identifier: Apache-2.0
"""Review windows: who may release, cancel or move what is on hold, and what comes when the window is over.

A timer never stands in for an approval: where both are owed, the approval comes first and the window begins after it.
Time alone sends something only if its page says so (`on_timeout: proceed`).
"""

from collections.abc import Iterable

from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.hold import HoldEnd
from signoff.core.errors import Conflict, Forbidden, Malformed
from signoff.core.principal import Person
from signoff.core.run import Run

MOVED_MAX_US = 30 * 86_400_000_000  # from the moment it was put on hold: what waits a month is nobody's business


def is_owed(action: Action) -> bool:
    """Tell whether a review window is owed that has not begun."""
    return action.hold_us is not None and action.hold_until is None


def is_let_go(action: Action) -> bool:
    """Tell whether nothing but time keeps a held action: a person released it, or its window ends by itself."""
    return action.released_by is not None or action.hold_end == HoldEnd.PROCEED


def is_kept(action: Action, now: int) -> bool:
    """Tell whether the window of a held action is not over; the moment at which it ends is after it."""
    return action.released_by is None and (action.hold_until is None or now < action.hold_until)


def is_asking(action: Action, now: int) -> bool:
    """Tell whether a window is over that time alone does not end, so that something comes next.

    What nobody approved is then put before people; what was approved waits for one of them until its deadline.
    """
    if is_let_go(action) or is_kept(action, now):
        return False
    return action.args_approved is None or (action.expires_at is not None and now >= action.expires_at)


def may_decide(action: Action, roles: Iterable[str], person: Person, shown: str) -> None:
    """Refuse whoever may not decide what is on hold, or looked at something else.

    Args:
        roles: those who approve under the action's page.
        shown: the digest of what this person saw.

    Raises:
        Conflict: it is not on hold, or another digest is.
        Forbidden: the person holds none of the roles.
    """
    if action.state is not State.HELD:
        raise Conflict(
            what="There is nothing to release, cancel or move.",
            why=f"The action is {action.state}.",
            fix="Read the action again; it says what became of it.",
            code="approval.not_pending",
        )
    if shown != action.digest:
        raise Conflict(
            what="This is about something else than what is on hold.",
            why=f"It names digest {shown[:80]!r}; what is on hold is {action.digest}, revision {action.revision}.",
            fix="Look at the action again and decide on what you then see.",
            code="approval.digest_mismatch",
            field="digest",
        )
    asked = sorted(roles)
    if set(asked).isdisjoint(person.roles):
        raise Forbidden(
            what="This is not yours to decide.",
            why=f"What is on hold is decided by {', '.join(asked)}; you hold none of these roles.",
            fix="Ask someone who holds one, or an admin to give you the role.",
            code="approval.role_missing",
        )


def require_other(action: Action, run: Run, person: Person) -> None:
    """Refuse to let the requester release: the window is there for others to look.

    Raises:
        Forbidden: code `approval.own_request`.
    """
    if person.person_id in (run.principal_id, run.started_by, action.by):
        raise Forbidden(
            what="You cannot release what was asked in your own name.",
            why="Separation of duties: the run's principal, and whoever started it, are the requester.",
            fix="Ask another holder of the role, or wait until the window is over. You may cancel it.",
            code="approval.own_request",
        )


def moved_to(action: Action, until: int | None, now: int) -> int:
    """Return the new end of a review window, which only ever becomes longer.

    Args:
        until: microseconds since 1970.

    Raises:
        Malformed: none is given, or it does not lie between the present end and 30 days from when the hold began.
    """
    last = (action.waiting_since or now) + MOVED_MAX_US
    if until is None or not max(now, action.hold_until or now) < until <= last:
        raise Malformed(
            what="The review window was not moved.",
            why="It ends later than before, and at most 30 days after the action was put on hold.",
            fix="Give such a time in `until`; to let it go earlier, release it, and to end it, cancel it.",
            code="approval.until",
            path="$.until",
        )
    return until
