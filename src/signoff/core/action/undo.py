# SPDX-License-Identifier: Apache-2.0
"""Undo is a new governed action linked to the first, refused where its target has moved since.

`unchanged` compares the target with the image read right after the write; a difference is the reversal's own
`denied: conflict` and leaves the original alone. There is no undo of an undo: propose anew.
"""

from collections.abc import Mapping
from typing import Any

from signoff.core.action.lifecycle import Action, State
from signoff.core.action.preview import dig, same
from signoff.core.authority.contract import ToolContract
from signoff.core.errors import Conflict

REVERSIBLE = (State.SUCCEEDED, State.REVERSAL_FAILED)


def require_reversible(action: Action, contract: ToolContract | None) -> None:
    """Refuse what cannot be undone at all.

    Raises:
        Conflict: it says why, and what a person does instead.
    """
    if action.reverses:
        raise _refused("An undo cannot be undone.", "Propose the original write anew.", "undo.of_undo")
    if action.state not in REVERSIBLE:
        raise _refused(
            f"The action is {action.state}; only what succeeded can be undone.", "Read the action again.", "undo.state"
        )
    if contract is None or contract.undo is None:
        note = contract.reversal_note if contract and contract.reversal_note else "Its contract names no undo."
        raise _refused("Its tool has no undo.", note, "undo.none")


def conflict(image: Mapping[str, Any] | None, now: Mapping[str, Any], unchanged: tuple[str, ...]) -> str | None:
    """Return the first value that moved since the write, naming both, or None."""
    if image is None:
        return "the target could not be read right after the write, so that nothing can be compared"
    for path in unchanged:
        then, later = dig(image, path), dig(now, path)
        if not same(then, later):
            return f"{path} was {then!r} right after the write and is {later!r} now"
    return None


def _refused(why: str, fix: str, code: str) -> Conflict:
    return Conflict(what="This action cannot be undone.", why=why, fix=fix, code=code)
