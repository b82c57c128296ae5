# SPDX-License-Identifier: Apache-2.0
"""Routes along the path of one action: runs, approvals, undo, receipts."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Field

from signoff.app.action import lists
from signoff.app.action.approve import cancel, edit, vote
from signoff.app.action.batch import vote_on_all
from signoff.app.action.corrections import corrections
from signoff.app.action.defer import defer
from signoff.app.action.documents import action_document, plan_document, receipt_bundle, run_document, timeline
from signoff.app.action.plans import propose_plan
from signoff.app.action.runs import begin_run, complete_run, find_run, set_paused
from signoff.app.action.settle import resolve
from signoff.app.action.undo import undo, undo_run
from signoff.app.authority.budgets import budgets
from signoff.app.world import World
from signoff.core.action.lifecycle import State
from signoff.core.errors import Conflict
from signoff.core.principal import Caller, require_person
from signoff.core.proposal import Proposal
from signoff.core.run import Run
from signoff.surfaces.http import answers as a
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import Asked, Paged, caller_in, json_reply, key_of, page_reply, text_of

RECEIPT_AFTER_S = 1
RunId = Annotated[str, Path(max_length=64)]
ActionId = Annotated[str, Path(max_length=64)]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same content is answered as the first time.")
]


class AskedActions(Asked):
    state: str | None = Field(None, max_length=40, description="Only actions in this state.")


class AskedInbox(Asked):
    state: str | None = Field(None, max_length=40, description="By default what waits: pending_approval and held.")
    role: str | None = Field(None, max_length=64, description="Only what this role could decide.")


class AskedBudgets(Asked):
    of: Literal["tasks", "caps"] = Field("tasks", description="Tasks, or caps beyond the task on the newest pages.")
    run: str | None = Field(None, max_length=64)


def action_routes(world: World) -> APIRouter:
    """Return the routes of runs, actions, approvals and receipts."""
    routes = APIRouter()

    async def shown(caller: Caller, action_id: str, status: int = 200) -> Response:
        return json_reply(await action_document(world, caller, action_id), status)

    async def run_shown(caller: Caller, run: Run, status: int = 200) -> Response:
        found = await world.storage.view(
            caller.tenant, lambda tx: run_document(world, tx, run, for_agent=caller.is_agent)
        )
        return json_reply(found, status)

    @routes.post("/v1/runs", tags=["runs"], **call(a.Run, body=b.RunBody, status=201))
    async def begin_a_run(request: Request, key: Key = None) -> Response:
        """Begin a task. It stays on the envelope version with which it began."""
        caller, said = caller_in(request), await b.read(request, b.RunBody)
        run, _ = await begin_run(
            world,
            caller,
            said.workflow,
            said.task,
            principal=said.principal,
            environment=said.environment,
            delegation=said.delegation,
            labels=said.labels,
            idempotency_key=b.idempotency_key(request, said.idempotency_key),
        )
        return await run_shown(caller, run, 201)

    @routes.get("/v1/runs", tags=["runs"], **call(a.Runs))
    async def list_runs(request: Request, asked: Paged) -> Response:
        """List runs, newest first; an agent sees its own."""
        return page_reply(await lists.runs(world, caller_in(request), key_of(asked.cursor, "run"), asked.limit))

    @routes.get("/v1/runs/{run_id}", tags=["runs"], **call(a.Run))
    async def read_run(request: Request, run_id: RunId) -> Response:
        """Read a run, with its actions in brief."""
        caller = caller_in(request)
        return await run_shown(caller, await find_run(world, caller, run_id))

    @routes.get("/v1/runs/{run_id}/timeline", tags=["runs"], **call(a.Timeline))
    async def read_timeline(request: Request, run_id: RunId) -> Response:
        """What happened in a run, entry by entry, in order of time. For people."""
        caller = caller_in(request)
        require_person(caller)
        run = await find_run(world, caller, run_id)
        items = await world.storage.view(caller.tenant, lambda tx: timeline(tx, run))
        return json_reply({"run_id": run_id, "items": items})

    @routes.post("/v1/runs/{run_id}/plan", tags=["actions"], **call(a.Plan, body=b.PlanBody, also={202: a.Plan}))
    async def propose_a_plan(request: Request, run_id: RunId, key: Key = None) -> Response:
        """Propose steps that are decided and previewed each, approved as one, and done in order. 202 until all have
        concluded. The first that is refused, departs or fails ends the rest."""
        caller, said = caller_in(request), await b.read(request, b.PlanBody)
        steps = [
            Proposal(
                run_id=run_id,
                tool=step.tool,
                args=step.args,
                claims={"rationale": step.rationale} if step.rationale is not None else {},
                again=step.again,
            )
            for step in said.steps
        ]
        found = await propose_plan(world, caller, run_id, steps, b.idempotency_key(request, said.idempotency_key))
        shown = await plan_document(world, caller, found[0])
        return json_reply(shown, 200 if shown["is_concluded"] else 202)

    @routes.post("/v1/runs/{run_id}/complete", tags=["runs"], **call(a.Run, body=b.CompleteBody))
    async def complete_a_run(request: Request, run_id: RunId) -> Response:
        """End a task, once all its actions are concluded."""
        caller, said = caller_in(request), await b.read(request, b.CompleteBody)
        return await run_shown(caller, await complete_run(world, caller, run_id, said.outcome, said.summary))

    @routes.post("/v1/runs/{run_id}/pause", tags=["runs"], **call(a.Run, body=b.TurnBody, needs_body=False))
    async def pause_run(request: Request, run_id: RunId) -> Response:
        """Keep a run at its next step; what was sent goes on. For operators and the owner of its agent."""
        caller, said = caller_in(request), await b.read(request, b.TurnBody)
        return await run_shown(caller, await set_paused(world, caller, run_id, True, said.reason))

    @routes.post("/v1/runs/{run_id}/resume", tags=["runs"], **call(a.Run, body=b.TurnBody, needs_body=False))
    async def resume_run(request: Request, run_id: RunId) -> Response:
        """Let a paused run go on. For operators and the owner of its agent."""
        caller, said = caller_in(request), await b.read(request, b.TurnBody)
        return await run_shown(caller, await set_paused(world, caller, run_id, False, said.reason))

    @routes.post("/v1/runs/{run_id}/undo", tags=["undo"], **call(a.RunUndo, body=b.NothingBody, needs_body=False))
    async def undo_a_run(request: Request, run_id: RunId) -> Response:
        """Propose the reversal of everything a run wrote, newest first. For people."""
        caller, _ = caller_in(request), await b.read(request, b.NothingBody)
        require_person(caller)
        reversals, left = await undo_run(world, caller, run_id)
        documents = [await action_document(world, caller, reversal.action_id) for reversal in reversals]
        return json_reply(
            {"reversals": documents, "left": [{"action_id": one.action_id, "why": one.why} for one in left]}
        )

    @routes.get("/v1/actions", tags=["actions"], **call(a.Actions))
    async def list_actions(request: Request, asked: Annotated[AskedActions, Query()]) -> Response:
        """List actions in brief, newest first; an agent sees its own."""
        states = () if asked.state is None else (lists.state_named(asked.state),)
        before = key_of(asked.cursor, "act")
        return page_reply(await lists.actions(world, caller_in(request), before, asked.limit, states))

    @routes.post(
        "/v1/actions/{action_id}/cancel", tags=["actions"], **call(a.Action, body=b.CancelBody, needs_body=False)
    )
    async def cancel_action(request: Request, action_id: ActionId) -> Response:
        """Withdraw what was not sent."""
        caller, said = caller_in(request), await b.read(request, b.CancelBody)
        try:
            await cancel(world, caller, action_id, said.reason)
        except Conflict:
            # Said again after a lost answer, it is what it was asked to be.
            if (await action_document(world, caller, action_id))["state"] != State.CANCELLED:
                raise
        return await shown(caller, action_id)

    @routes.post("/v1/actions/{action_id}/resolve", tags=["actions"], **call(a.Action, body=b.ResolveBody))
    async def resolve_action(request: Request, action_id: ActionId) -> Response:
        """Say what was found in the target, where only a person can, or of a write that failed and was found late.
        Takes the permission operator."""
        caller, said = caller_in(request), await b.read(request, b.ResolveBody)
        await resolve(world, caller, action_id, said.found, said.evidence, said.reason)
        return await shown(caller, action_id)

    @routes.post("/v1/actions/{action_id}/undo", tags=["undo"], **call(a.Action, body=b.NothingBody, needs_body=False))
    async def undo_action(request: Request, action_id: ActionId) -> Response:
        """Propose the reversal of an action, and return that: an action of its own, governed like any."""
        caller, _ = caller_in(request), await b.read(request, b.NothingBody)
        try:
            reversal_id = (await undo(world, caller, action_id)).action_id
        except Conflict:
            own = await lists.own_reversal(world, caller, action_id)
            if own is None:
                raise
            reversal_id = own
        return await shown(caller, reversal_id)

    @routes.get("/v1/approvals", tags=["approvals"], **call(a.Inbox))
    async def list_approvals(request: Request, asked: Annotated[AskedInbox, Query()]) -> Response:
        """The inbox: what waits for people, oldest first."""
        state = None if asked.state is None else lists.state_named(asked.state)
        after = key_of(asked.cursor, "act")
        return page_reply(await lists.approvals(world, caller_in(request), after, asked.limit, state, asked.role))

    @routes.get("/v1/corrections", tags=["approvals"], **call(a.Corrections))
    async def list_corrections(request: Request, asked: Paged) -> Response:
        """What people edited before they approved, newest first: as proposed, as edited, and how it ended. For people.

        These are labelled data: each shows what an agent asked for, and what it should have asked for.
        """
        return page_reply(await corrections(world, caller_in(request), key_of(asked.cursor, "act"), asked.limit))

    @routes.post("/v1/approvals/batch", tags=["approvals"], **call(a.Batch, body=b.BatchBody))
    async def decide_approvals(request: Request) -> Response:
        """Approve or reject up to 50 truly similar actions with one word, each by the digest that was seen. Refused as
        a whole unless all are of one tool, one workflow and one set of duties; what became of each is told by item."""
        caller, said = caller_in(request), await b.read(request, b.BatchBody)
        items = [(one.approval_id, one.digest) for one in said.items]
        return json_reply({"items": await vote_on_all(world, caller, items, said.decision, said.reason)})

    @routes.post("/v1/approvals/{approval_id}", tags=["approvals"], **call(a.Action, body=b.DecisionBody))
    async def decide_approval(request: Request, approval_id: ActionId) -> Response:
        """Approve, reject, edit or put off exactly what was seen, by its digest. The id is the approval's or its
        action's. What is on hold is released by a yes, cancelled by a no, and moved by putting it off."""
        caller, said = caller_in(request), await b.read(request, b.DecisionBody)
        action_id = await lists.decided_on(world, caller, approval_id)
        if said.decision == "defer":
            await defer(world, caller, action_id, said.digest, said.reason, said.until_us())
            return await shown(caller, action_id)
        if said.decision == "edit":
            assert said.args is not None
            await edit(world, caller, action_id, said.digest, said.args, said.reason)
            return await shown(caller, action_id)
        try:
            await vote(world, caller, action_id, said.decision, said.digest, said.reason)
        except Conflict:
            if not await lists.is_said_already(world, caller, action_id, said.decision, said.digest):
                raise
        return await shown(caller, action_id)

    @routes.get("/v1/receipts/{receipt_id}", tags=["receipts"], **call(a.ReceiptBundle, also={202: a.ReceiptPromise}))
    async def read_receipt(request: Request, receipt_id: ActionId) -> Response:
        """A signed receipt as a file, for `signoff verify`. 202 until it is signed, a moment after its outcome."""
        caller = caller_in(request)
        found = await world.storage.view(caller.tenant, lambda tx: receipt_bundle(world, tx, caller, receipt_id))
        if found is None:
            promise: dict[str, Any] = {"receipt_id": receipt_id, "state": "unsigned", "retry_after_s": RECEIPT_AFTER_S}
            return json_reply(promise, 202, {"Retry-After": str(RECEIPT_AFTER_S)})
        return Response(found, media_type="application/json")

    @routes.get("/v1/budgets", tags=["budgets"], **call(a.Budgets))
    async def list_budgets(request: Request, asked: Annotated[AskedBudgets, Query()]) -> Response:
        """What each task has settled and set aside of its caps, newest first; or each cap beyond the task, for people,
        with what is left of it in its period."""
        if asked.of == "caps":
            return page_reply(await budgets(world, caller_in(request), text_of(asked.cursor), asked.limit))
        before = key_of(asked.cursor, "run")
        return page_reply(await lists.budgets(world, caller_in(request), before, asked.limit, asked.run))

    return routes
