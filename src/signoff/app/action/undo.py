# SPDX-License-Identifier: Apache-2.0
"""The fourth leg: take a write back by a governed action of its own, refused where its target has moved."""

from dataclasses import dataclass

from signoff.app import record
from signoff.app.action.case import Case, bearing, found, load, reversal_of
from signoff.app.action.gather import Seen, as_named, evaluated, gather, needs_gathering, read_back
from signoff.app.action.propose import decided, ids_for_action, judged, resource_tag
from signoff.app.world import World
from signoff.core.action import undo as rules
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.policy import Check, Decision, Outcome, Verdict, decide
from signoff.core.errors import Conflict, Forbidden, NotFound, SignoffError
from signoff.core.principal import Caller
from signoff.ports.storage import Transaction


@dataclass(frozen=True, slots=True)
class Left:
    """What an undo of a run left alone, and why."""

    action_id: str
    why: str


async def undo(world: World, caller: Caller, action_id: str) -> Action:
    """Propose the reversal of an action; what is owed for it is then decided like any approval.

    Raises:
        Conflict: it cannot be undone, or its reversal is under way.
        Forbidden: an agent asked for another agent's action.
    """
    case = await world.storage.view(caller.tenant, lambda tx: load(world, tx, action_id))
    original, tool = case.action, case.tool
    _require_own(caller, case)
    rules.require_reversible(original, tool)
    assert tool.undo is not None
    reverser = case.contract.tools.get(tool.undo.tool)
    outcome = await world.storage.view(caller.tenant, lambda tx: _outcome(world, tx, original))
    names = {"args": as_named(world, case.contract, tool, case.args), "key": original.key, "result": outcome}
    if reverser is None:
        raise NotFound(
            "The undo tool is not in the contract.", f"{tool.undo.tool} is missing.", "Mend the tool contract."
        )
    args = evaluated(tool.undo.args, names)
    minted = ids_for_action(world)
    conflict = await conflict_of(world, caller.tenant, action_id)
    seen = await gather(world, case.contract, reverser, args, minted.key) if needs_gathering(reverser) else Seen()
    tag = case.seal.tag([reverser.name, args, action_id])
    kept = case.seal.seal(minted.action, "args.1", args)
    preview = case.seal.seal(minted.action, "preview.1", seen.preview.as_value()) if seen.preview else None

    def body(tx: Transaction) -> Action:
        now = found(tx.actions.get(action_id), action_id)
        rules.require_reversible(now, tool)
        if now.reversed_by and (earlier := tx.actions.get(now.reversed_by)) and not _is_over(earlier):
            raise Conflict(
                what=f"Action {action_id} is being undone already.",
                why=f"Its reversal {earlier.action_id} is {earlier.state}; one reversal at a time.",
                fix="Decide or cancel that reversal first.",
                code="undo.underway",
                reversal=earlier.action_id,
            )
        run = tx.runs.get(now.run_id)
        assert run is not None
        action = Action(
            tenant=tx.tenant,
            action_id=minted.action,
            seq=0,
            head="",
            run_id=now.run_id,
            state=State.PROPOSED,
            tool=reverser.name,
            effect=str(reverser.effect),
            risk=str(reverser.risk),
            contract=case.contract.digest,
            by=caller.id,
            key=minted.key,
            proposed_at=tx.now,
            content_tag=tag,
            args_proposed=kept.commitment,
            args_effective=kept.commitment,
            resource=resource_tag(world, tx.tenant, reverser, args) or now.resource,
            reverses=action_id,
        )
        b = bearing(world, tx, run, action.tool, tag, action.action_id, None, reversal_of(action, case.envelope))
        decision = judged(decide(b, args), seen)
        if conflict and decision.verdict is not Verdict.DENY:
            refused = Check("conflict", Outcome.DENY, "conflict", f"The target moved since the write: {conflict}.")
            decision = Decision(Verdict.DENY, (*decision.checks, refused))
        row, more = decided(tx, run, action, decision, minted, case.seal, preview)
        if row.state is not State.DENIED:
            record.move(tx, now, "action.reversal_proposed", reversed_by=minted.action)
        return record.begin(tx, row, "action.proposed", [kept, *more])

    action = await world.storage.transact(caller.tenant, body, guards=(case.run.run_id, action_id))
    world.bell.ring(action.action_id)
    return action


async def undo_run(world: World, caller: Caller, run_id: str) -> tuple[list[Action], list[Left]]:
    """Propose the reversal of everything a run wrote, newest first; returns the reversals, and what was left and why.

    Where one cannot be undone, older ones on the same resource are left alone too, so that no order is broken.
    """

    def newest_first(tx: Transaction) -> list[Action]:
        if tx.runs.get(run_id) is None:
            raise NotFound(
                what=f"There is no run {run_id[:48]}.",
                why="No run of this tenant has this id.",
                fix="List runs with `signoff runs`.",
                code="run.unknown",
            )
        return [action for action in reversed(tx.actions.of_run(run_id)) if action.is_write and not action.reverses]

    reversals: list[Action] = []
    left: list[Left] = []
    blocked: dict[str, str] = {}
    for action in await world.storage.view(caller.tenant, newest_first):
        if action.state in (State.REVERSED, *_NOTHING_WRITTEN):
            continue
        if action.resource and (culprit := blocked.get(action.resource)):
            left.append(Left(action.action_id, f"A newer write on the same resource, {culprit}, could not be undone."))
            continue
        try:
            reversal = await undo(world, caller, action.action_id)
        except SignoffError as error:
            left.append(Left(action.action_id, error.why))
        else:
            if reversal.state is not State.DENIED:
                reversals.append(reversal)
                continue
            left.append(Left(action.action_id, f"Its reversal {reversal.action_id} was denied: {reversal.reason}."))
        if action.resource:
            blocked[action.resource] = action.action_id
    return reversals, left


async def conflict_of(world: World, tenant: str, action_id: str) -> str | None:
    """Return what moved in the target since an action's write, naming both values; None if nothing did."""
    case = await world.storage.view(tenant, lambda tx: load(world, tx, action_id))
    check = case.tool.undo.check if case.tool.undo else None
    if check is None:
        return None

    def kept(tx: Transaction) -> tuple[object, object]:
        return _outcome(world, tx, case.action), world.keyring.open(tx, action_id, f"image.{case.action.fence}")

    outcome, image = await world.storage.view(tenant, kept)
    await world.systems.look(case.contract.server)
    names = {"args": case.args, "key": case.action.key, "result": outcome}
    now, problem = await read_back(world, case.contract, check.read, check.args, names)
    if now is None:
        return f"it cannot be read now ({problem})"
    return rules.conflict(image if isinstance(image, dict) else None, now, check.unchanged)


_NOTHING_WRITTEN = (
    State.DENIED, State.SUGGESTED, State.CANCELLED, State.REJECTED, State.EXPIRED, State.VOIDED, State.STOPPED, State.FAILED,
)  # fmt: skip


def _is_over(reversal: Action) -> bool:
    """Tell whether a reversal ended without taking anything back, so that another may be tried."""
    return reversal.state in _NOTHING_WRITTEN


def _outcome(world: World, tx: Transaction, action: Action) -> object:
    """Return the result that an action's target answered; `{}` where a person said it was done."""
    return (outcome_of(world, tx, action) or {}).get("result", {})


def outcome_of(world: World, tx: Transaction, action: Action) -> dict[str, object] | None:
    """Return the last outcome kept of an action: `{"result": ...}` or `{"error": ...}`, None before any."""
    if action.outcome is None:
        return None
    for fence in range(action.fence, 0, -1):
        for looks in range(action.looks, -1, -1):
            value = world.keyring.open(tx, action.action_id, f"outcome.{fence}.{looks}")
            if isinstance(value, dict):
                return value
    return None


def _require_own(caller: Caller, case: Case) -> None:
    if caller.is_agent and caller.id != case.run.agent_id:
        raise Forbidden(
            what="This action is not yours to undo.",
            why="An agent may ask only for the reversal of its own writes.",
            fix="Ask a person to undo it.",
        )
