# SPDX-License-Identifier: Apache-2.0
"""Decide on truly similar actions with one word: each is still bound to its own digest and counted as its own vote.

What differs in tool, workflow or duties is refused as a whole, so that nothing unlike the rest rides along.
"""

from collections.abc import Sequence
from typing import Final

from signoff.app.action.approve import vote
from signoff.app.action.documents import Document
from signoff.app.action.explain import explain
from signoff.app.action.lists import decided_on, is_said_already
from signoff.app.world import World
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Malformed, SignoffError
from signoff.core.principal import Caller, require_person
from signoff.ports.storage import Transaction

ITEMS_MAX: Final = 50


async def vote_on_all(
    world: World, caller: Caller, items: Sequence[tuple[str, str]], decision: str, reason: str
) -> list[Document]:
    """Count a person's word on each of several actions, one after the other; returns what became of each.

    What is refused of one (too late, another digest) says nothing of the others, and is told with its item.

    Args:
        items: the approval's id, or its action's, each with the digest that the person saw.
        decision: `approve` or `reject`.

    Raises:
        Forbidden: an agent asked.
        Malformed: none, more than 50, or one of them twice.
        NotFound: there is no approval of one of these ids; then none was decided on.
        Conflict: they are not all of one tool, one workflow and one set of duties; then none was decided on.
    """
    require_person(caller)
    if not 1 <= len(items) <= ITEMS_MAX:
        raise Malformed(
            what=f"{len(items)} approvals cannot be decided on with one word.",
            why=f"It takes at least one and at most {ITEMS_MAX}, so that a person can have looked at each.",
            fix="Send fewer at once.",
            path="items",
        )
    ids = [await decided_on(world, caller, approval_id) for approval_id, _ in items]
    if len(set(ids)) != len(ids):
        raise Malformed(
            what="An action is named twice.",
            why="A person has one vote on each.",
            fix="Name each action once.",
            path="items",
        )
    await world.storage.view(caller.tenant, lambda tx: _require_alike(tx, ids))
    return [
        await _one(world, caller, action_id, asked, decision, reason)
        for action_id, asked in zip(ids, items, strict=True)
    ]


async def _one(
    world: World, caller: Caller, action_id: str, asked: tuple[str, str], decision: str, reason: str
) -> Document:
    named, digest = asked
    error: SignoffError | None = None
    try:
        await vote(world, caller, action_id, decision, digest, reason)
    except SignoffError as refused:
        is_repeat = isinstance(refused, Conflict) and await is_said_already(world, caller, action_id, decision, digest)
        error = None if is_repeat else refused

    def shown(tx: Transaction) -> Document:
        action = tx.actions.get(action_id)
        assert action is not None
        run = tx.runs.get(action.run_id)
        return {"state": str(action.state), "explain": explain(action, run), "receipt_id": action.receipt_id}

    told = {"approval_id": named, "action_id": action_id, "is_counted": error is None}
    problem = error and {"code": error.code, "what": error.what, "why": error.why, "fix": error.fix}
    return told | await world.storage.view(caller.tenant, shown) | {"error": problem}


def _require_alike(tx: Transaction, ids: Sequence[str]) -> None:
    actions = [action for action_id in ids if (action := tx.actions.get(action_id)) is not None]
    first = _likeness(tx, actions[0])
    for action in actions:
        differs = [name for name, value in _likeness(tx, action).items() if value != first[name]]
        if action.plan_id is not None or action.state is State.HELD:
            why = f"{action.action_id} is {'a step of a plan' if action.plan_id is not None else 'on hold'}."
        elif differs:
            why = f"{action.action_id} has {' and '.join(differs)} other than {actions[0].action_id}."
        else:
            continue
        raise Conflict(
            what="Nothing was decided: these cannot be decided on with one word.",
            why=why,
            fix="Decide with one word on what is of one tool, one workflow and one set of duties, and on others alone.",
            code="approval.batch_differs",
        )


def _likeness(tx: Transaction, action: Action) -> dict[str, str | None]:
    run = tx.runs.get(action.run_id)
    return {"a tool": action.tool, "a workflow": run.workflow if run else None, "duties": action.owed}
