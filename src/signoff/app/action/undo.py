# SPDX-License-Identifier: Apache-2.0
"""The fourth leg: take a write back by a governed action of its own, refused where its target has moved."""

from dataclasses import dataclass, replace

from signoff.app import record
from signoff.app.action.bearing import bearing_again, within_quotas
from signoff.app.action.case import (
    Case,
    erased_at,
    evaluated,
    found,
    load,
    names_of,
    require_standing,
    resource_tag,
    seen,
)
from signoff.app.action.execute import execute, is_ready
from signoff.app.action.facts import look, sealed_facts
from signoff.app.action.impacts import counted, with_sums
from signoff.app.action.outcome import conflict_of, result_of
from signoff.app.action.propose import decided, ids_for_action, judged
from signoff.app.action.subject import keep, meet, require_present, subject_tag
from signoff.app.world import World
from signoff.core.action import undo as rules
from signoff.core.action.lifecycle import NOT_SENT, Action, State
from signoff.core.authority.contract import Contract, ToolContract
from signoff.core.authority.decision import Check, Decision, Outcome, Verdict
from signoff.core.authority.policy import decide
from signoff.core.errors import Conflict, NotFound, SignoffError
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
        NotFound: there is none such, or it is another agent's and an agent asks.
    """
    case, outcome, present = await world.storage.view(caller.tenant, lambda tx: _original(world, tx, caller, action_id))
    tool = case.tool
    assert tool.undo is not None
    reverser, contract = present
    await world.systems.look(contract.server)
    args = evaluated(tool.undo.args, names_of(world, case, result=outcome))
    minted = ids_for_action(world)
    moved = await conflict_of(world, caller.tenant, action_id)
    gathered = await look(
        world, case.run, case.envelope, contract, reverser, args, minted.key, rules_apply=caller.is_agent
    )
    content_tag = case.run_seal.tag([reverser.name, args, action_id])
    # What it takes back is about the original's subject; where that has none, the undo tool's contract may name one.
    tag, is_subject_known = (
        (None, True) if case.action.subject else subject_tag(world, caller.tenant, contract, reverser, args)
    )
    met = await meet(world, caller.tenant, tag)
    seal = met.seal if met else case.seal
    facts = sealed_facts(seal, minted.action, "facts.1", gathered)
    kept = seal.seal(minted.action, "args.1", args)
    sight = gathered.preview
    preview = seal.seal(minted.action, "preview.1", sight.as_value()) if sight else None
    resource, is_known = resource_tag(world, caller.tenant, contract, reverser, args)

    def body(tx: Transaction) -> Action:
        now = found(tx.actions.get(action_id), action_id)
        require_standing(tx, caller)
        rules.require_reversible(now, tool)
        require_present(tx, now.subject)
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
            contract=contract.digest,
            by=caller.id,
            key=minted.key,
            proposed_at=tx.now,
            content_tag=content_tag,
            args_proposed=kept.commitment,
            args_effective=kept.commitment,
            resource=resource or now.resource,
            reverses=action_id,
            epoch=caller.epoch if caller.is_agent else None,
            subject=now.subject or keep(tx, met, tag),
        )
        b = bearing_again(world, tx, case, action, run, gathered.facts)
        b = replace(b, is_resource_known=is_known, is_subject_known=is_subject_known)
        b = with_sums(world, tx, b, args, action)
        decision = judged(decide(b, args), gathered)
        if moved and decision.verdict is not Verdict.DENY:
            decision = Decision(Verdict.DENY, (*decision.checks, Check("conflict", Outcome.DENY, *moved)))
        decision = within_quotas(world, tx, b, caller.id, decision)
        row, more = decided(tx, run, action, decision, minted, seal, preview)
        if row.state is not State.DENIED:
            record.move(tx, now, "action.reversal_proposed", reversed_by=minted.action)
        return record.begin(tx, row, "action.proposed", [kept, *more, *facts], counted(b, row))

    action = await world.storage.transact(caller.tenant, body, guards=(case.run.run_id, action_id))
    if is_ready(action):
        world.legs.start(action.action_id, execute(world, caller.tenant, action.action_id))
    world.bell.ring(action.action_id)
    return action


def _original(
    world: World, tx: Transaction, caller: Caller, action_id: str
) -> tuple[Case, object, tuple[ToolContract, Contract]]:
    """Return the case of what is to be undone, its result, and the undo tool under the contract in force now.

    What is undone was approved under its own contract, which says how; the tool that does it is governed like any
    other, by the newest pin.
    """
    require_standing(tx, caller)
    action, run = seen(tx, caller, action_id)
    if action.state not in rules.REVERSIBLE:
        # Asked before its contract is read: what was denied for want of one has none.
        rules.require_reversible(action, None)
    if (erased := erased_at(tx, action, run)) is not None:
        raise _erased(action, erased[1])
    case = load(world, tx, action_id)
    rules.require_reversible(case.action, case.tool)
    assert case.tool.undo is not None
    name = case.tool.undo.tool
    present = world.shelf.pages(tx).tool(name, run.environment) or (case.contract.tools[name], case.contract)
    return case, result_of(world, tx, case.action), present


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
        written = [action for action in tx.actions.of_run(run_id) if action.is_write and not action.reverses]
        # By when they were sent: whoever was proposed first may have waited longest for people.
        return sorted(written, key=lambda action: (action.claimed_at or 0, action.action_id), reverse=True)

    reversals: list[Action] = []
    left: list[Left] = []
    blocked: dict[str, str] = {}
    for action in await world.storage.view(caller.tenant, newest_first):
        if action.state in (State.REVERSED, *_NOTHING_WRITTEN):
            continue
        if action.state in NOT_SENT:
            left.append(Left(action.action_id, f"It is {action.state}; nothing was sent yet. Cancel it."))
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


_NOTHING_WRITTEN = (
    State.DENIED, State.SUGGESTED, State.CANCELLED, State.REJECTED, State.EXPIRED, State.VOIDED, State.STOPPED,
    State.FAILED,
)  # fmt: skip


def _erased(action: Action, by: str) -> Conflict:
    whys = {"subject": "Whom it was about was erased", "retention": "Its run reached the age at which it is erased"}
    return Conflict(
        what=f"Action {action.action_id} can no longer be undone by Signoff.",
        why=f"{whys[by]}: what it wrote, and the answer that names it in the target, are gone.",
        fix="Take it back in the target by hand, or propose the compensating write as an action of its own.",
        code="undo.erased",
    )


def _is_over(reversal: Action) -> bool:
    """Tell whether a reversal ended without taking anything back, so that another may be tried."""
    return reversal.state in _NOTHING_WRITTEN
