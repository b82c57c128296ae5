# SPDX-License-Identifier: Apache-2.0
"""Plan Mode: steps that are proposed together, decided and previewed each like any proposal, and approved as one.

All are admitted in one transaction and decided in another. What denies one denies the plan. Nothing is claimed here:
each step is sent by its own claim (`execute.py`) once the ones before it have succeeded.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from signoff.app import record
from signoff.app.action.bearing import bearing_again
from signoff.app.action.case import Case, found, load, require_standing
from signoff.app.action.ending import break_plan, ended
from signoff.app.action.execute import execute, is_ready
from signoff.app.action.facts import look, sealed_facts
from signoff.app.action.gather import Seen
from signoff.app.action.impacts import counted, with_sums
from signoff.app.action.propose import (
    Ids,
    Said,
    _look,
    _run_of,
    _said,
    decided,
    differences,
    first_look,
    ids_for_action,
    judged,
    request_digest,
    same_or_clash,
)
from signoff.app.action.steps import steps_of
from signoff.app.action.subject import TRIES_MAX, Met, Moved, meet_of, too_busy
from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.action import approval, plan
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority import quota
from signoff.core.authority.decision import Decision, Verdict
from signoff.core.authority.policy import decide
from signoff.core.errors import Conflict
from signoff.core.principal import Caller
from signoff.core.proposal import Proposal
from signoff.core.run import Run, require_unerased
from signoff.core.values import changed
from signoff.ports.storage import SealedPayload, Transaction


async def propose_plan(
    world: World, caller: Caller, run_id: str, steps: Sequence[Proposal], idempotency_key: str | None = None
) -> list[Action]:
    """Take a plan as far as it can go without a human, and return its steps in order.

    The same idempotency key, or the same steps in the same run, collects it.

    Raises:
        Malformed: it has no steps, or too many.
        NotFound: the run is not this agent's.
        Conflict: the key was used with other content, or a step was proposed in this run before.
    """
    plan.require_size(len(steps))
    seal, run = await _run_of(world, caller, run_id)
    for tool in {step.tool for step in steps}:
        await _look(world, run, tool)
    minted = [ids_for_action(world) for _ in steps]
    tags = [seal.tag([step.tool, step.args]) for step in steps]
    request_key = request_digest(caller, f"/runs/{run_id}/plan", idempotency_key) if idempotency_key else None
    request_tag = (
        seal.tag([[step.tool, step.args, step.claims, step.again] for step in steps]) if idempotency_key else None
    )

    for _ in range(TRIES_MAX):
        said = await _sealed(world, run, seal, minted, steps)

        def admit(tx: Transaction, said: list[Said] = said) -> list[Action]:
            if request_key and (earlier := tx.actions.by_request(request_key)):
                require_standing(tx, caller)
                return steps_of(tx, same_or_clash(earlier, request_tag))
            now_run = tx.runs.get(run.run_id)
            assert now_run is not None
            require_unerased(now_run)
            if (known := _known(world, tx, now_run, steps, tags)) is not None:
                require_standing(tx, caller)
                return known
            return _admitted(world, tx, caller, now_run, steps, said, minted, tags, (request_key, request_tag))

        try:
            guards = (run.run_id, *tags, run.delegation_root or run.run_id)
            actions = await world.storage.transact(caller.tenant, admit, guards=guards)
            break
        except Moved:
            continue
    else:
        raise too_busy()
    if actions[0].is_undecided:
        # It goes on when the caller hangs up; and if this node dies here, the clock finds it.
        running = world.legs.start(actions[0].action_id, onward_plan(world, actions[0]))
        await asyncio.wait({running})
    return await world.storage.view(caller.tenant, lambda tx: steps_of(tx, _present(tx, actions[0])))


async def onward_plan(world: World, first: Action) -> Action:
    """Gather for every step of a plan that is not decided, decide them together, and begin with what was allowed.

    Args:
        first: its first step.
    """

    def begin(tx: Transaction) -> list[Case]:
        steps = steps_of(tx, _present(tx, first))
        return [load(world, tx, step.action_id) for step in steps] if _is_undecided(steps) else []

    cases = await world.storage.view(first.tenant, begin)
    for case in cases:
        await world.systems.look(case.contract.server)  # a node that goes on after another's end has asked none yet
    seen = await asyncio.gather(
        *(
            look(
                world, case.run, case.envelope, case.contract, case.tool, case.args, case.action.key,
                rules_apply=case.rules_apply,
            )
            for case in cases
        )
    )  # fmt: skip
    minted = [ids_for_action(world) for _ in cases]

    def body(tx: Transaction) -> Action:
        steps = steps_of(tx, _present(tx, first))
        if cases and _is_undecided(steps):
            _decide(world, tx, steps, cases, seen, minted)
        return _present(tx, first)

    guards = (first.run_id, *(case.action.action_id for case in cases))
    action = await world.storage.transact(first.tenant, body, guards=guards)
    for case in cases:
        world.bell.ring(case.action.action_id)
    return await execute(world, action.tenant, action.action_id) if is_ready(action) else action


async def _sealed(world: World, run: Run, seal: Seal, minted: Sequence[Ids], steps: Sequence[Proposal]) -> list[Said]:
    """Return what is said in each step, sealed; a subject whom nobody met before is the same one in all of them."""
    met: dict[str, Met] = {}
    said: list[Said] = []
    for ids, step in zip(minted, steps, strict=True):
        subject = await meet_of(world, run, step.tool, step.args)
        if subject is not None:
            subject = met.setdefault(subject.tag, subject)
        said.append(_said(seal, subject, ids.action, step))
    return said


def _known(
    world: World, tx: Transaction, run: Run, steps: Sequence[Proposal], tags: Sequence[str]
) -> list[Action] | None:
    """Return the plan that these very steps made before in this run; None if none of them was proposed.

    Raises:
        Conflict: code `plan.step_known`: one of them is an action already, or stands twice.
    """
    pages = world.shelf.pages(tx)
    mine: set[str] = set()
    for number, (step, tag) in enumerate(zip(steps, tags, strict=True), 1):
        known = pages.tool(step.tool, run.environment)
        if step.again or (known is not None and known[0].effect == "read"):
            continue
        earlier = tx.actions.by_content(run.run_id, tag)
        if earlier is not None:
            whole = steps_of(tx, earlier)
            if earlier.plan_id is not None and [one.content_tag for one in whole] == list(tags):
                return whole
        if earlier is not None or tag in mine:
            raise Conflict(
                what=f"The plan was not taken: its step {number} is proposed already.",
                why="In one run the same tool with the same arguments is the same action"
                + (f"; here it is {earlier.action_id}." if earlier else ", and it stands twice in this plan."),
                fix="Leave the step out, or mark it `again: true` if it shall be done once more.",
                code="plan.step_known",
                step=number,
            )
        mine.add(tag)
    return None


def _admitted(
    world: World,
    tx: Transaction,
    caller: Caller,
    run: Run,
    steps: Sequence[Proposal],
    said: Sequence[Said],
    minted: Sequence[Ids],
    tags: Sequence[str],
    request: tuple[str | None, str | None],
) -> list[Action]:
    """Record every step as proposed, each counted by those after it; where one is denied, the plan is."""
    plan_id = minted[0].approval
    rows: list[Action] = []
    denied: list[tuple[int, Decision]] = []
    pages = world.shelf.pages(tx)
    for number, (step, own, ids, tag) in enumerate(zip(steps, said, minted, tags, strict=True)):
        tool, contract = pages.tool(step.tool, run.environment) or (None, None)
        action, b, decision, _ = first_look(world, tx, caller, run, step, own, ids, tag, tool, contract)
        action = changed(action, plan_id=plan_id, plan_step=number + 1)
        if number == 0:
            action = changed(action, request_key=request[0], request_tag=request[1])
        rows.append(record.begin(tx, action, "action.proposed", own.payloads, counted(b, action)))
        if decision.verdict is Verdict.DENY:
            denied.append((number, decision))
    for number, decision in denied:
        row, more = decided(tx, run, rows[number], decision, minted[number], said[number].seal, None)
        rows[number] = record.move(tx, rows[number], "action.decided", more, **differences(rows[number], row))
    if denied:
        break_plan(tx, rows[denied[0][0]])
        return steps_of(tx, rows[0])
    return rows


def _decide(
    world: World,
    tx: Transaction,
    steps: Sequence[Action],
    cases: Sequence[Case],
    seen: Sequence[Seen],
    minted: Sequence[Ids],
) -> None:
    run = tx.runs.get(steps[0].run_id)
    assert run is not None
    decisions = [_decision(world, tx, run, now, case, one) for now, case, one in zip(steps, cases, seen, strict=True)]
    decisions = _within_quotas(world, tx, run, steps[0].by, decisions)
    verdicts = {decision.verdict for decision in decisions}
    if Verdict.DENY not in verdicts and Verdict.SUGGEST in verdicts:
        decisions = [replace(decision, verdict=Verdict.SUGGEST) for decision in decisions]
    rows: list[Action] = []
    payloads: list[list[SealedPayload]] = []
    for now, case, one, decision, ids in zip(steps, cases, seen, decisions, minted, strict=True):
        preview = case.seal.seal(now.action_id, "preview.1", one.preview.as_value()) if one.preview else None
        row, more = decided(tx, run, now, decision, ids, case.seal, preview)
        rows.append(row)
        payloads.append([*more, *sealed_facts(case.seal, now.action_id, "facts.1", one)])
    if Verdict.DENY in verdicts or Verdict.DENY in {decision.verdict for decision in decisions}:
        _deny(tx, steps, rows, payloads, decisions)
        return
    for now, row, more in zip(steps, _bound(tx, run, rows), payloads, strict=True):
        record.move(tx, now, "action.decided", more, **differences(now, row))


def _decision(world: World, tx: Transaction, run: Run, now: Action, case: Case, seen: Seen) -> Decision:
    b = with_sums(world, tx, bearing_again(world, tx, case, now, run, seen.facts), case.args, now)
    return judged(decide(b, case.args), seen)


def _within_quotas(world: World, tx: Transaction, run: Run, by: str, decisions: Sequence[Decision]) -> list[Decision]:
    """Return the decisions, each denied where the steps before it have taken the last place among what waits."""
    of_agent = tx.actions.waiting_of(by)
    in_run = tx.actions.tally(run.run_id, "", "").waiting
    kept: list[Decision] = []
    for decision in decisions:
        before = sum(quota.has_people_wait(one) for one in kept)
        kept.append(quota.within(decision, world.quotas, in_run + before, of_agent + before))
    return kept


def _deny(
    tx: Transaction,
    steps: Sequence[Action],
    rows: Sequence[Action],
    payloads: Sequence[Sequence[SealedPayload]],
    decisions: Sequence[Decision],
) -> None:
    """Record the steps that are denied, each with its own reason, and end the rest with them."""
    culprits: list[Action] = []
    for now, row, more, decision in zip(steps, rows, payloads, decisions, strict=True):
        if (denial := decision.denial) is None:
            continue
        if denial.check == "halt":
            changes: dict[str, Any] = ended(now, tx.now, State.STOPPED, denial.reason)
            culprits.append(record.move(tx, now, "action.stopped", **changes))
        else:
            culprits.append(record.move(tx, now, "action.decided", more, **differences(now, row)))
    break_plan(tx, culprits[0])


def _bound(tx: Transaction, run: Run, rows: Sequence[Action]) -> list[Action]:
    """Return the rows of a plan, each bound to all, and what waits with one approval and one deadline."""
    text = plan.text(approval.own_digest(row, run) for row in rows)
    waiting = [row for row in rows if row.state is State.PENDING_APPROVAL]
    expires_at = min((row.expires_at for row in waiting if row.expires_at is not None), default=None)
    bound: list[Action] = []
    for row in rows:
        row = changed(row, plan=text)
        if row.state is not State.SUGGESTED:
            row = changed(row, digest=approval.digest(row, run))
        if row.state is State.PENDING_APPROVAL and expires_at is not None:
            # Only the first tells when nobody looks: people look at all of them or at none.
            is_first = row.action_id == waiting[0].action_id
            look_at = approval.silent_until(tx.now, expires_at) if is_first else None
            row = changed(row, approval_id=row.plan_id, expires_at=expires_at, look_at=look_at)
        bound.append(row)
    return bound


def _is_undecided(steps: Sequence[Action]) -> bool:
    return all(step.is_undecided for step in steps)


def _present(tx: Transaction, action: Action) -> Action:
    return found(tx.actions.get(action.action_id), action.action_id)
