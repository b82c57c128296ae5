# SPDX-License-Identifier: Apache-2.0
"""Step-up: an approval for which a person proves anew who they are; one that is owed and not shown is refused."""

from collections.abc import Sequence

from signoff.core.action.approval import STEPPED_UP, counts_for
from signoff.core.action.lifecycle import Action
from signoff.core.authority.decision import Duty
from signoff.core.errors import Forbidden
from signoff.core.principal import Person
from signoff.core.run import Run


def require_shown(action: Action, run: Run, duties: Sequence[Duty], person: Person, assurance: str) -> None:
    """Refuse a yes to what owes step-up of this person, if they have not shown it (contract, section 3, "votes").

    A no needs none: whoever may stop something must not be held up.

    Args:
        assurance: how the person proved who they are, for this very vote.

    Raises:
        Forbidden: code `approval.step_up_missing`.
    """
    if assurance in STEPPED_UP or not any(one.step_up and counts_for(one, person, action, run) for one in duties):
        return
    raise Forbidden(
        what="Your yes was not counted.",
        why="It is owed with a fresh proof of who you are, and none was shown.",
        fix="Prove it with the step-up provider of this installation; `signoff doctor` says whether there is one.",
        code="approval.step_up_missing",
    )
