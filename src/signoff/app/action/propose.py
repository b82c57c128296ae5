# SPDX-License-Identifier: Apache-2.0
"""The first leg: take a proposal as far as it can go without a human.

Admitted and recorded in one transaction; then, outside of any, the preview is gathered; then decided in a second one.
With nothing to gather, admit, decide and claim are one body, so that an allowed write costs two commits in all.
"""

import asyncio
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from signoff.app import record
from signoff.app.action import execute
from signoff.app.action.bearing import bearing, bearing_again, within_quotas
from signoff.app.action.case import Case, found, load, require_standing, resource_tag
from signoff.app.action.ending import end_unsent
from signoff.app.action.facts import look, needs_facts, sealed_facts
from signoff.app.action.gather import Seen, needs_gathering
from signoff.app.action.hand import Hand
from signoff.app.action.impacts import counted, with_sums
from signoff.app.action.subject import TRIES_MAX, Met, Moved, keep, meet_of, subject_tag, too_busy
from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.action import approval, checks
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.bearing import Bearing
from signoff.core.authority.contract import Contract, Effect, ToolContract
from signoff.core.authority.decision import Check, Decision, Outcome, Verdict
from signoff.core.authority.policy import decide
from signoff.core.errors import Conflict, NotFound
from signoff.core.principal import Agent, Caller
from signoff.core.proposal import Proposal
from signoff.core.run import Run, require_unerased
from signoff.core.values import changed
from signoff.ports.storage import SealedPayload, Transaction

ENDS = {Verdict.DENY: State.DENIED, Verdict.SUGGEST: State.SUGGESTED, Verdict.ASK: State.PENDING_APPROVAL}


@dataclass(frozen=True, slots=True)
class Ids:
    """Everything a proposal needs that is not told by the transaction, minted before it."""

    action: str
    approval: str
    receipt: str
    key: str


@dataclass(frozen=True, slots=True)
class Said:
    """What an agent said, sealed: arguments, then claims if there are any; under its subject's key, else its run's."""

    met: Met | None
    seal: Seal
    payloads: list[SealedPayload]


def _said(seal: Seal, met: Met | None, action_id: str, proposal: Proposal) -> Said:
    own = met.seal if met else seal
    payloads = [own.seal(action_id, "args.1", dict(proposal.args))]
    if proposal.claims:
        payloads.append(own.seal(action_id, "claims", dict(proposal.claims)))
    return Said(met, own, payloads)


def ids_for_action(world: World) -> Ids:
    return Ids(world.mint("act"), world.mint("apr"), world.mint("rcp"), world.chance.bytes(16).hex())


async def propose(
    world: World, caller: Caller, proposal: Proposal, wait_s: float | None = None, hand: Hand | None = None
) -> Action:
    """Take a proposal as far as it can go without a human, and return the action.

    The work goes on when the caller hangs up; the same idempotency key, or the same write, collects it.

    Args:
        wait_s: how long to wait for the outcome once it is recorded; None as long as it takes.
        hand: is filled with the returned action and its outcome, if it is new and its leg ended here.

    Raises:
        NotFound: the run is not this agent's.
        Conflict: the idempotency key was used with other content.
    """
    seal, run = await _run_of(world, caller, proposal.run_id)
    await _look(world, run, proposal.tool)
    minted = ids_for_action(world)
    tag = seal.tag([proposal.tool, proposal.args])
    request_key, request_tag = _request(caller, proposal, seal)
    said = _said(seal, await meet_of(world, run, proposal.tool, proposal.args), minted.action, proposal)

    def admit(tx: Transaction) -> tuple[Action, Case | None, bool]:
        if request_key and (earlier := tx.actions.by_request(request_key)):
            require_standing(tx, caller)
            return same_or_clash(earlier, request_tag), None, False
        now_run = tx.runs.get(run.run_id)
        assert now_run is not None
        require_unerased(now_run)
        known = world.shelf.pages(tx).tool(proposal.tool, run.environment)
        is_read = known is not None and known[0].effect is Effect.READ
        if not is_read and not proposal.again and (earlier := tx.actions.by_content(run.run_id, tag)):
            require_standing(tx, caller)
            return earlier, None, False
        tool, contract = known or (None, None)
        action, b, decision, gathers = first_look(
            world, tx, caller, now_run, proposal, said, minted, tag, tool, contract
        )
        if request_key:
            action = changed(action, request_key=request_key, request_tag=request_tag)
        payloads = said.payloads
        if decision.verdict is not Verdict.DENY and gathers:
            return record.begin(tx, action, "action.proposed", payloads, counted(b, action)), None, True
        row, more = decided(tx, now_run, action, decision, minted, said.seal, None)
        if row.state is State.PROPOSED and not execute.is_busy(tx, row):
            row = execute.claimed(world, tx, row)
        row = record.begin(tx, row, "action.proposed", [*payloads, *more], counted(b, row))
        if row.state is not State.DISPATCHING or not (tool and contract):
            return row, None, True
        return row, Case(row, now_run, b.envelope, contract, tool, proposal.args, None, said.seal, seal, hand), True

    recorded: asyncio.Future[Action] = asyncio.get_running_loop().create_future()

    async def admitted() -> tuple[tuple[Action, Case | None, bool], Agent | None]:
        """Admit it, sealed anew where its subject was first met or erased just now."""
        nonlocal said
        for _ in range(TRIES_MAX):
            try:
                return await world.storage.transact(
                    caller.tenant,
                    lambda tx: (admit(tx), tx.authority.agent(caller.id)),
                    guards=(run.run_id, tag, run.delegation_root or run.run_id),
                )
            except Moved:
                met = await meet_of(world, run, proposal.tool, proposal.args)
                said = _said(seal, met, minted.action, proposal)
        raise too_busy()

    async def leg() -> Action | None:
        # It begins before anything is recorded, so that no caller who hangs up and no timer comes in between.
        try:
            (action, case, is_new), agent = await admitted()
        except asyncio.CancelledError:
            recorded.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # it is the caller's, who asked, and not the node's
            recorded.set_exception(error)
            return None
        recorded.set_result(action)
        if not is_new:
            return action
        if hand is not None and not action.is_undecided and case is None:
            hand.hold(action, run, agent)
        return await onward(world, action, minted, case)

    running = world.legs.start(minted.action, leg())
    action = await asyncio.shield(recorded)
    # `wait`, unlike `await`, leaves the leg alone when the caller is cancelled.
    done, _ = await asyncio.wait({running}, timeout=wait_s)
    return running.result() if done else action


def first_look(
    world: World,
    tx: Transaction,
    caller: Caller,
    run: Run,
    proposal: Proposal,
    said: Said,
    minted: Ids,
    tag: str,
    tool: ToolContract | None,
    contract: Contract | None,
) -> tuple[Action, Bearing, Decision, bool]:
    """Return a proposal as it is recorded, what bears on it, the decision, and whether something is to be gathered.

    Args:
        tag: keyed digest of tool and arguments.
        tool: as a published contract knows it, with that contract; None where none does.
    """
    resource, is_known = resource_tag(world, tx.tenant, contract, tool, proposal.args)
    gathers = tool is not None and (
        (tool.effect is Effect.WRITE and needs_gathering(tool))
        or needs_facts(world.shelf.envelope(tx, run.envelope), tool.name)
    )
    b = bearing(
        world, tx, run, proposal.tool, tag, "", caller.epoch, None, is_resource_known=is_known,
        claims=proposal.claims, is_gathered=not gathers, args=proposal.args,
    )  # fmt: skip
    b = with_sums(world, tx, b, proposal.args)
    subject, is_subject_known = subject_tag(world, tx.tenant, contract, tool, proposal.args)
    b = replace(b, is_subject_known=False) if not is_subject_known else b
    decision = within_quotas(world, tx, b, caller.id, decide(b, proposal.args))
    payloads = said.payloads
    action = Action(
        tenant=tx.tenant,
        action_id=minted.action,
        seq=0,
        head="",
        run_id=run.run_id,
        state=State.PROPOSED,
        tool=proposal.tool,
        effect=str(tool.effect) if tool else "write",
        risk=str(tool.risk) if tool else "C",
        contract=contract.digest if contract else "",
        by=caller.id,
        key=minted.key,
        proposed_at=tx.now,
        content_tag=tag,
        args_proposed=payloads[0].commitment,
        args_effective=payloads[0].commitment,
        claims=payloads[1].commitment if proposal.claims else None,
        resource=resource,
        reserved_usd_micros=decision.reserve_usd_micros,
        epoch=caller.epoch,
        subject=keep(tx, said.met, subject),
    )
    return action, b, decision, gathers


async def onward(world: World, action: Action, minted: Ids | None = None, case: Case | None = None) -> Action:
    """Take a recorded action on: gather and decide if that is due, and dispatch what was claimed.

    Args:
        case: of an action that was claimed when it was admitted; it is read anew where there is none.
    """
    is_mine = action.state is State.DISPATCHING
    if action.is_undecided:
        action, is_mine = await _decide(world, action, minted or ids_for_action(world))
        if not is_mine and execute.is_ready(action):
            # Allowed on facts that are too old to be claimed on: they are fetched again.
            action = await execute.execute(world, action.tenant, action.action_id)
    if is_mine:
        action = await execute.dispatch(world, action, case)
    world.bell.ring(action.action_id)
    return action


async def _decide(world: World, action: Action, minted: Ids) -> tuple[Action, bool]:
    """Gather preview and facts of a recorded proposal and decide it; also tells whether it was claimed here."""
    case = await world.storage.view(action.tenant, lambda tx: load(world, tx, action.action_id))
    seen = await look(
        world, case.run, case.envelope, case.contract, case.tool, case.args, action.key, rules_apply=case.rules_apply
    )
    facts = sealed_facts(case.seal, action.action_id, "facts.1", seen)
    preview = case.seal.seal(action.action_id, "preview.1", seen.preview.as_value()) if seen.preview else None

    def body(tx: Transaction) -> tuple[Action, bool]:
        now = found(tx.actions.get(action.action_id), action.action_id)
        if not now.is_undecided:
            return now, False
        run = tx.runs.get(now.run_id)
        assert run is not None
        b = with_sums(world, tx, bearing_again(world, tx, case, now, run, seen.facts), case.args, now)
        decision = within_quotas(world, tx, b, now.by, judged(decide(b, case.args), seen))
        if (denial := decision.denial) and denial.check == "halt":
            return end_unsent(tx, now, State.STOPPED, denial.reason), False
        row, more = decided(tx, run, now, decision, minted, case.seal, preview)
        if row.state is State.PROPOSED and not execute.is_busy(tx, row) and seen.is_fresh(tx.now):
            row = execute.claimed(world, tx, row)
        row = record.move(tx, now, "action.decided", [*more, *facts], **differences(now, row))
        return row, row.state is State.DISPATCHING

    return await world.storage.transact(action.tenant, body, guards=(action.run_id, action.action_id))


def judged(decision: Decision, seen: Seen) -> Decision:
    """Return the decision with what was gathered: a known duplicate is denied, and so is what cannot be previewed."""
    if decision.verdict is Verdict.DENY:
        return decision
    if seen.is_duplicate:
        check = Check(
            "duplicate", Outcome.DENY, "duplicate", "The target has this write already, under its natural key."
        )
    elif seen.problem:
        reason = "preview_unavailable" if seen.is_outage else "preview_failed"
        check = Check("preview", Outcome.DENY, reason, seen.problem)
    else:
        return replace(decision, checks=(*decision.checks, Check("preview"))) if seen.preview else decision
    return Decision(Verdict.DENY, (*decision.checks, check))


def decided(
    tx: Transaction,
    run: Run,
    action: Action,
    decision: Decision,
    minted: Ids,
    seal: Seal,
    preview: SealedPayload | None,
) -> tuple[Action, list[SealedPayload]]:
    """Return the action with its decision written on it, and the payloads that go with it; nothing is recorded here."""
    hold = decision.hold
    is_held = hold is not None and decision.verdict is Verdict.ALLOW
    state = State.HELD if is_held else ENDS.get(decision.verdict, State.PROPOSED)
    details = {check.check: check.detail for check in decision.checks if check.detail}
    payloads = [preview] if preview else []
    if details:
        payloads.append(seal.seal(action.action_id, f"decision.{action.revision}", details))
    is_final = decision.verdict in (Verdict.DENY, Verdict.SUGGEST)
    asks = decision.verdict is Verdict.ASK
    waits = asks or is_held
    denial = decision.denial
    expires_at = tx.now + min(duty.expires_us for duty in decision.duties) if asks else None
    row = changed(
        action,
        state=state,
        verdict=str(decision.verdict),
        checks=checks.line(decision.checks),
        decision=payloads[-1].commitment if details else None,
        decided_at=tx.now,
        preview=preview.commitment if preview else None,
        reserved_usd_micros=0 if is_final else decision.reserve_usd_micros,
        ended_at=tx.now if is_final else None,
        reason=denial.reason if denial else None,
        approval_id=minted.approval if waits else None,
        owed=approval.duties_text(decision.duties) if asks else None,
        expires_at=expires_at,
        look_at=approval.silent_until(tx.now, expires_at) if expires_at is not None else None,
        waiting_since=tx.now if waits else None,
        hold_us=hold.window_us if hold else None,
        hold_end=str(hold.end) if hold else None,
        hold_until=tx.now + hold.window_us if hold and is_held else None,
        receipt_id=None if is_final or action.effect == "read" else minted.receipt,
    )
    if not is_final and (waits or action.effect != "read"):
        row = changed(row, digest=approval.digest(row, run))
    return row, payloads


def differences(before: Action, after: Action) -> dict[str, Any]:
    """Return the columns in which two versions of an action differ."""
    return {
        name: getattr(after, name)
        for name in Action.__dataclass_fields__
        if name not in ("seq", "head") and getattr(before, name) != getattr(after, name)
    }


def same_or_clash(earlier: Action, request_tag: str | None) -> Action:
    """Return the earlier action of a retried request.

    Raises:
        Conflict: the same idempotency key came with other content.
    """
    if earlier.request_tag == request_tag:
        return earlier
    raise Conflict(
        what="This idempotency key was used before with other content.",
        why=f"It made action {earlier.action_id}, whose tool, arguments or claims differ from these.",
        fix="Use a new key for a new request, or send the first request unchanged to collect its answer.",
        code="idempotency.key_reused",
        field="idempotency_key",
    )


def request_digest(caller: Caller, path: str, key: str) -> str:
    """Return the name under which a caller's idempotency key is remembered, per path."""
    return sha256(f"{caller.id}\n{path}\n{key}".encode()).hexdigest()


def _request(caller: Caller, proposal: Proposal, seal: Seal) -> tuple[str | None, str | None]:
    if proposal.idempotency_key is None:
        return None, None
    content = [proposal.tool, proposal.args, proposal.claims, proposal.again]
    return request_digest(caller, f"/runs/{proposal.run_id}/actions", proposal.idempotency_key), seal.tag(content)


async def _run_of(world: World, caller: Caller, run_id: str) -> tuple[Seal, Run]:
    known = world.runs.get((caller.tenant, run_id))
    if known is None:

        def body(tx: Transaction) -> tuple[Seal, Run] | None:
            if (run := tx.runs.get(run_id)) is not None and run.agent_id == caller.id:
                require_unerased(run)
            return (world.keyring.seal(tx, run.payload_key), run) if run else None

        known = await world.storage.view(caller.tenant, body)
        if known is not None:
            world.remember_run(known)
    if known is None or known[1].agent_id != caller.id:
        raise NotFound(
            what=f"There is no run {run_id[:48]} of yours.",
            why="No run of this agent has this id.",
            fix="Begin one with POST /v1/runs and use the run_id it returns.",
            code="run.unknown",
        )
    return known


async def _look(world: World, run: Run, tool: str) -> None:
    """Make sure the tool's server was asked lately what it offers."""
    pages = world.shelf.present(run.tenant)
    if pages is None:
        pages = await world.storage.view(run.tenant, world.shelf.pages)
    if known := pages.tool(tool, run.environment):
        await world.systems.look(known[1].server)
