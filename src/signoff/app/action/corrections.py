# SPDX-License-Identifier: Apache-2.0
"""What people corrected before they approved: each edit as proposed against edited, with how the action ended."""

from typing import Any

from signoff.app.action.documents import Document, when
from signoff.app.action.lists import Page, scan
from signoff.app.world import World
from signoff.core.action.lifecycle import Action
from signoff.core.principal import Caller, require_person
from signoff.ports.storage import Transaction


async def corrections(world: World, caller: Caller, before: str | None, limit: int) -> Page:
    """Return the actions whose arguments people edited, newest first.

    What was erased is null; that there was a correction, of which tool and with which end, stays.

    Raises:
        Forbidden: an agent asked.
    """
    require_person(caller)

    def body(tx: Transaction) -> Page:
        kept, after = scan(
            tx.actions.newest, before, limit, lambda action: action.action_id, lambda action: action.revision > 1
        )
        return Page([_line(world, tx, action) for action in kept], after)

    return await world.storage.view(caller.tenant, body)


def _line(world: World, tx: Transaction, action: Action) -> Document:
    run = tx.runs.get(action.run_id)
    assert run is not None
    return {
        "action_id": action.action_id,
        "run_id": action.run_id,
        "workflow": run.workflow,
        "envelope": run.envelope,
        "tool": action.tool,
        "contract": action.contract,
        "state": str(action.state),
        "reason": action.reason,
        "is_approved": action.args_approved is not None,
        "proposed": world.keyring.open(tx, action.action_id, "args.1"),
        "edits": [_edit(world, tx, action, revision) for revision in range(2, action.revision + 1)],
        "timestamps": {"proposed": when(action.proposed_at), "ended": when(action.ended_at)},
    }


def _edit(world: World, tx: Transaction, action: Action, revision: int) -> Document:
    said: Any = world.keyring.open(tx, action.action_id, f"edit.{revision}") or {}
    return {
        "revision": revision,
        "by": said.get("by"),
        "reason": said.get("reason"),
        "args": world.keyring.open(tx, action.action_id, f"args.{revision}"),
    }
