# SPDX-License-Identifier: Apache-2.0
"""Look once more, a day later, for a write under a natural key that failed as absent; a late find is alarmed.

`failed` is final and the receipt stays as it was signed: it says what was proved when it was issued. The find is an
entry of its own with its evidence, and an alarm until a person has said what they made of it.
"""

import logging
from typing import Any

from signoff.app import record
from signoff.app.action.case import Case, as_named, found, load
from signoff.app.action.gather import look_up
from signoff.app.world import World
from signoff.core.action.doubt import (
    LATE_LOOK_US,
    LATE_RETRY_US,
    Answer,
    Answered,
    Errored,
    Lost,
    NotSent,
    agrees,
    judge_late_look,
)
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, SignoffError
from signoff.ports.storage import SealedPayload, Transaction

log = logging.getLogger("signoff.late")
OPEN = frozenset({"found_late", "late_look_unanswered"})  # spelled in `adapters/sql/tables.py` too
FIND, SETTLED = "late_find", "late_settled"
AT_ONCE, SCANNED_MAX = 200, 4000
STANDING = (State.SUCCEEDED, State.REVERSAL_FAILED)


def is_open(action: Action) -> bool:
    """Tell whether a failed write was found late, or could not be looked for, and no person has settled that."""
    return action.state is State.FAILED and action.reason in OPEN


async def look_once_more(world: World, tenant: str, action_id: str) -> Action:
    """Take the look that is owed a day after a write failed as absent, and record what it shows.

    Without an answer it looks again every hour for a day, and then leaves the look to a person.
    """

    def look(tx: Transaction) -> Case | Action:
        action = found(tx.actions.get(action_id), action_id)
        is_due = action.state is State.FAILED and action.look_at is not None and tx.now >= action.look_at
        return load(world, tx, action_id) if is_due else action

    case = await world.storage.view(tenant, look)
    if isinstance(case, Action):
        return case
    await world.systems.look(case.contract.server)
    action, asked = case.action, world.clock.now()
    answer, is_found = await look_up(world, case.contract, case.tool, case.args, action.key)
    reason = judge_late_look(answer, is_found, asked, (action.ended_at or 0) + LATE_LOOK_US)
    twin = await _twin(world, case, answer) if reason == "found_late" else None
    if twin is not None:
        return await _recorded(world, case, "action.found_another", "proved_absent", _evidence(case, answer, twin))
    if reason == "found_late":
        after = await _recorded(world, case, "action.found_late", reason, _evidence(case, answer, None))
    elif reason == "late_look_unanswered":
        after = await _recorded(world, case, "action.late_look_unanswered", reason, _evidence(case, answer, None))
    else:
        return await _recorded(world, case, "action.looked_up", reason, None)
    if is_open(after):
        log.error("%s failed as absent, and a day later: %s. See it, and `signoff resolve` it.", action_id, reason)
        world.bell.ring(action_id)
    return after


async def settle_late(world: World, case: Case, said: dict[str, Any]) -> Action:
    """Record what a person made of a late find; it ends the alarm, and the action stays failed.

    Raises:
        Conflict: another person was faster.
    """
    kept = case.seal.seal(case.action.action_id, SETTLED, said)

    def body(tx: Transaction) -> Action:
        now = found(tx.actions.get(case.action.action_id), case.action.action_id)
        if not is_open(now):
            raise Conflict(
                what=f"Action {now.action_id} does not wait for a person's finding.",
                why="Somebody else has said what they found.",
                fix="Read the action again.",
                code="action.not_needing_person",
            )
        return record.move(tx, now, "action.late_find_settled", (kept,), reason="late_find_settled")

    return await world.storage.transact(case.action.tenant, body, guards=(case.action.action_id,))


def late_find(world: World, tx: Transaction, action: Action) -> dict[str, Any] | None:
    """Return what a look a day later found, with what a person said of it since; None where nothing was."""
    if action.state is not State.FAILED or action.ended_at is None:
        return None
    shown: dict[str, Any] | None = world.keyring.open(tx, action.action_id, FIND)
    if shown is None:
        return None
    return shown | {"is_open": is_open(action), "resolution": world.keyring.open(tx, action.action_id, SETTLED)}


async def _recorded(world: World, case: Case, type_: str, reason: str | None, evidence: SealedPayload | None) -> Action:
    """Record a look; one that was recorded meanwhile stands."""
    before = case.action

    def body(tx: Transaction) -> Action:
        now = found(tx.actions.get(before.action_id), before.action_id)
        if now.seq != before.seq:
            return now
        at = tx.now + LATE_RETRY_US if reason is None else None
        payloads = (evidence,) if evidence else ()
        return record.move(
            tx, now, type_, payloads, reason=reason or now.reason, looks=now.looks + 1, look_at=at
        )  # fmt: skip

    return await world.storage.transact(before.tenant, body, guards=(before.action_id,))


async def _twin(world: World, case: Case, answer: Answer) -> str | None:
    """Return another action that stands, proposed since, whose write under the same natural key this find is.

    An agent that is told `failed` proposes the same anew, and what is found is then that write. Where more was written
    since than is looked through, the find is alarmed: a person can tell the two apart.
    """
    mine = _natural_key(world, case, case.args)
    if mine is None:
        return None
    after = case.action.action_id
    for _ in range(0, SCANNED_MAX, AT_ONCE):
        page = await world.storage.view(
            case.action.tenant,
            lambda tx, after=after: tx.actions.in_states(STANDING, after, AT_ONCE),  # type: ignore[misc]
        )
        for other in page:
            if other.tool == case.action.tool:
                args = await world.storage.view(case.action.tenant, lambda tx, one=other: _args(world, tx, one))  # type: ignore[misc]
                if args is not None and _natural_key(world, case, args) == mine and agrees(answer, args):
                    return str(other.action_id)
        if len(page) < AT_ONCE:
            return None
        after = page[-1].action_id
    return None


def _args(world: World, tx: Transaction, action: Action) -> dict[str, Any] | None:
    try:
        return dict(world.keyring.open(tx, action.action_id, f"args.{action.revision}"))
    except SignoffError:
        return None  # erased: it cannot be told what it wrote


def _natural_key(world: World, case: Case, args: Any) -> list[Any] | None:
    names = {"args": as_named(world, case.contract, case.tool, args)}
    try:
        return [part.value(names) for part in case.tool.natural_key]
    except SignoffError:
        return None


def _evidence(case: Case, answer: Answer, twin: str | None) -> SealedPayload:
    """Return what the look showed, sealed: the target's words, if they fit what was sent, and whose write it is."""
    value: dict[str, Any] = {"result": None, "error": None, "agrees": agrees(answer, case.args), "written_by": twin}
    match answer:
        case Answered(result):
            value["result"] = dict(result)
        case Errored(code, message):
            value["error"] = {"code": code, "message": message[:2000]}
        case NotSent(why) | Lost(why):
            value["error"] = {"code": None, "message": why[:2000]}
    return case.seal.seal(case.action.action_id, FIND, value)
