# SPDX-License-Identifier: Apache-2.0
"""Runs: begin a task under the newest version of its envelope, pause, resume and complete it."""

from collections.abc import Mapping
from typing import Any

from signoff.app import record
from signoff.app.action.case import require_standing
from signoff.app.action.propose import request_digest
from signoff.app.authority.delegations import begun_under
from signoff.app.world import World
from signoff.core.action.lifecycle import State
from signoff.core.authority import halt as halts
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.quota import require_room
from signoff.core.errors import Conflict, Forbidden, Malformed, NotFound
from signoff.core.principal import Caller, require
from signoff.core.run import CLOSED, Run, RunState, require_unerased
from signoff.ports.storage import Transaction


async def begin_run(
    world: World,
    caller: Caller,
    workflow: str,
    task: str,
    *,
    principal: str | None = None,
    environment: str | None = None,
    labels: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    delegation: str | None = None,
) -> tuple[Run, Envelope]:
    """Begin a run for the calling agent; it stays on the envelope version with which it began.

    Raises:
        NotFound: no envelope of that workflow is published.
        Forbidden: not an agent, a principal who is not its owner, or a halt in force.
        Malformed: an environment the envelope does not name.
        Conflict: too many of the agent's runs are open, or the idempotency key was used with other content.
    """
    if not caller.is_agent:
        raise Forbidden(
            what="A run is begun by an agent.",
            why="Who begins it proposes its actions; people approve them.",
            fix="Use a token of the agent: POST /v1/tokens with its key.",
            code="run.not_an_agent",
        )
    run_id = world.mint("run")
    wrapped, seal = world.keyring.mint(caller.tenant)
    kept = seal.seal(run_id, "task", {"task": task, "labels": dict(labels or {})})
    request_key = request_digest(caller, "/runs", idempotency_key) if idempotency_key else None
    content = [workflow, task, principal, environment, dict(labels or {}), *([delegation] if delegation else [])]
    request_tag = world.tags[caller.tenant].tag(content) if request_key else None

    def body(tx: Transaction) -> tuple[Run, Envelope]:
        if request_key and (earlier := tx.runs.by_request(request_key)):
            if earlier.request_tag != request_tag:
                raise _key_reused(earlier)
            return earlier, world.shelf.envelope(tx, earlier.envelope)
        published = tx.authority.newest_publication("envelope", workflow)
        if published is None:
            raise NotFound(
                what=f"There is no workflow {workflow[:64]!r}.",
                why="No envelope of this name is published, or every version was withdrawn.",
                fix="Publish one with `signoff envelopes publish FILE`.",
                code="workflow.unknown",
            )
        envelope = world.shelf.envelope(tx, published.digest)
        under = begun_under(world, tx, caller, delegation, envelope.environments, environment, principal)
        where = under[1] if under else environment or envelope.environments[0]
        if where not in envelope.environments:
            raise Malformed(
                what=f"The envelope of {workflow} does not name the environment {where[:40]!r}.",
                why=f"It names {', '.join(envelope.environments)}.",
                fix="Use one of these, or publish a version that names it.",
                path="environment",
            )
        owner = _principal(tx, caller, principal) if under is None else under[0].grantor_id
        if (halt := halts.in_force(tx.authority.halts_in_force(), workflow, caller.id, "", is_undo=False)) is not None:
            raise Forbidden(
                what="No run can begin now.",
                why=f"Halt {halt.halt_id} is in force.",
                fix="Wait until a person lifts it.",
                code="halted",
            )
        require_room(world.quotas, tx.runs.open_of(caller.id))
        tx.payloads.add_key(wrapped)
        run = Run(
            tx.tenant, run_id, 0, "", RunState.OPEN, workflow, published.digest, where, caller.id, owner, caller.id,
            tx.now, wrapped.key_id, kept.commitment, request_key, request_tag,
            delegation_id=under[0].delegation_id if under else None,
            delegation_root=under[0].root_id if under else None,
        )  # fmt: skip
        return record.begin(tx, run, "run.begun", [kept]), envelope

    run, envelope = await world.storage.transact(caller.tenant, body, guards=("runs",))
    if run.run_id == run_id:
        world.remember_run((seal, run))
    return run, envelope


async def complete_run(world: World, caller: Caller, run_id: str, outcome: str, summary: str) -> Run:
    """Close a run as `completed` or `failed`: its agent may, the person it runs for, and operators.

    Raises:
        Forbidden: none of these.
        Conflict: it is closed, some of its actions are not concluded, it is paused and an agent asks, or what its page
            calls done has not been done.
    """
    wanted = {"completed": RunState.COMPLETED, "failed": RunState.FAILED}.get(outcome)
    if wanted is None:
        raise Malformed(
            what=f"{outcome[:40]!r} is no outcome of a run.",
            why="A run is closed as completed or failed.",
            fix="Send one of these.",
            path="outcome",
        )
    run = await find_run(world, caller, run_id)
    if caller.id not in (run.agent_id, run.principal_id):
        require(caller, "operator")
    if run.erased_at is not None and run.state is wanted:
        return run
    require_unerased(run)
    seal = await world.storage.view(caller.tenant, lambda tx: world.keyring.seal(tx, run.payload_key))
    kept = seal.seal(run_id, "summary", summary)

    def body(tx: Transaction) -> Run:
        now = _found(tx.runs.get(run_id), run_id)
        require_standing(tx, caller)
        if now.state is wanted:
            return now
        if now.state in CLOSED:
            raise Conflict("The run is closed.", f"It is {now.state}.", "Begin a new run.", code="run.closed")
        if caller.is_agent and now.state is RunState.PAUSED:
            raise Conflict(
                what="The run cannot be closed now.",
                why="It is paused, and stays at its next step until a person resumes it.",
                fix="Wait until it is resumed; its document says who paused it.",
                code="run.paused",
            )
        if open_ := tx.actions.tally(run_id, "", "").unconcluded:
            raise Conflict(
                what="The run cannot be closed yet.",
                why=f"{open_} of its actions are not concluded.",
                fix="Wait for them, or cancel what was not sent.",
                code="run.unconcluded",
            )
        if wanted is RunState.COMPLETED:
            _require_done(tx, world.shelf.envelope(tx, now.envelope), run_id)
        return record.move(tx, now, f"run.{wanted}", [kept], state=wanted, ended_at=tx.now, summary=kept.commitment)

    return await world.storage.transact(caller.tenant, body, guards=(run_id,))


async def set_paused(world: World, caller: Caller, run_id: str, is_paused: bool, reason: str = "") -> Run:
    """Keep a run at its next step, or let it go on: operators may, and the owner of its agent.

    What was sent goes on, and its outcome is recorded. The run's time stands still meanwhile. What is already as it is
    asked to be stays as it was.

    Raises:
        Forbidden: neither an operator nor the agent's owner.
        NotFound: there is no such run.
        Conflict: it is closed, or somebody else turned it at the same moment.
    """
    run = await world.storage.view(caller.tenant, lambda tx: tx.runs.get(run_id))
    kept = None
    if run is not None and reason:
        seal = await world.storage.view(caller.tenant, lambda tx: world.keyring.seal(tx, run.payload_key))
        kept = seal.seal(run_id, f"turn.{run.seq + 1}", reason)

    def body(tx: Transaction) -> Run:
        now = tx.runs.get(run_id)
        agent = tx.authority.agent(now.agent_id) if now else None
        if agent is None or caller.id != agent.owner_id:
            require(caller, "operator")
        require_standing(tx, caller)
        now = _found(now, run_id)
        if now.state in CLOSED:
            raise Conflict("The run is closed.", f"It is {now.state}.", "Begin a new run.", code="run.closed")
        if now.state is (RunState.PAUSED if is_paused else RunState.OPEN):
            return now
        if run is None or now.seq != run.seq:
            raise Conflict(
                what="Somebody else was faster.",
                why="The run was turned while this was on its way.",
                fix="Read it again and decide anew.",
                code="storage.moved",
            )
        active_us = tx.now - now.started_at - tx.actions.tally(run_id, "", "").waited_us
        why = kept.commitment if kept else None
        turned: dict[str, Any] = {"turned_by": caller.id, "turned_at": tx.now, "turned": why}
        payloads = [kept] if kept else []
        if is_paused:
            used_us = active_us - now.paused_us
            return record.move(tx, now, "run.paused", payloads, state=RunState.PAUSED, used_us=used_us, **turned)
        paused_us = active_us - (now.used_us or 0)
        return record.move(tx, now, "run.resumed", payloads, state=RunState.OPEN, paused_us=paused_us, **turned)

    return await world.storage.transact(caller.tenant, body, guards=(run_id,))


async def find_run(world: World, caller: Caller, run_id: str) -> Run:
    """Return a run that the caller may see: its agent its own, people all of the tenant.

    Raises:
        NotFound: there is none such.
    """
    run = await world.storage.view(caller.tenant, lambda tx: tx.runs.get(run_id))
    return _found(run if run and (not caller.is_agent or run.agent_id == caller.id) else None, run_id)


def _require_done(tx: Transaction, page: Envelope, run_id: str) -> None:
    """Refuse to call a task completed before each tool that its page names has succeeded in its run, and still stands.

    Raises:
        Conflict: it names what is missing.
    """
    if page.done is None or not page.done.requires:
        return
    done = {one.tool for one in tx.actions.of_run(run_id) if one.state in (State.SUCCEEDED, State.REVERSAL_FAILED)}
    if missing := [tool for tool in page.done.requires if tool not in done]:
        raise Conflict(
            what="The task is not done.",
            why=f"Its page calls it done when {', '.join(missing)} succeeded in this run, and that has not happened.",
            fix="Do it, or close the run as failed: `outcome: failed`.",
            code="run.not_done",
            missing=missing,
        )


def _principal(tx: Transaction, caller: Caller, principal: str | None) -> str:
    agent = tx.authority.agent(caller.id)
    if agent is None or not agent.is_active or agent.epoch != caller.epoch:
        raise Forbidden(
            what="This agent cannot begin a run.",
            why="It is unknown or switched off, or its tokens were revoked after this one was issued.",
            fix="Get a new token with the agent's key, or ask its owner.",
            code="agent.inactive",
        )
    owner = tx.authority.person(agent.owner_id)
    if owner is None or not owner.is_active or (principal is not None and principal != owner.person_id):
        raise Forbidden(
            what="This agent cannot act for that person.",
            why="An agent acts for its owner, while the owner is active.",
            fix="Leave `principal` out, or have that person register an agent of their own.",
            code="run.principal",
        )
    return owner.person_id


def _found(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise NotFound(
            what=f"There is no run {run_id[:48]}.",
            why="No run that you may see has this id.",
            fix="Use the run_id that POST /v1/runs returned, or list runs with `signoff runs`.",
            code="run.unknown",
        )
    return run


def _key_reused(run: Run) -> Conflict:
    return Conflict(
        what="This idempotency key was used before with other content.",
        why=f"It began run {run.run_id}, whose workflow, task or labels differ.",
        fix="Use a new key for a new run, or send the first request unchanged.",
        code="idempotency.key_reused",
        field="idempotency_key",
    )
