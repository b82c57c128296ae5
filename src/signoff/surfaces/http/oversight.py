# SPDX-License-Identifier: Apache-2.0
"""Routes that help whoever operates: accounts of actions, writes without a receipt, the reversal runbook."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from signoff.app.action.account import account
from signoff.app.action.sweep import last_sweeps, sweep_document, sweep_now
from signoff.app.authority.runbook import markdown, runbook
from signoff.app.world import World
from signoff.surfaces.http import answers as a
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import caller_in, json_reply

ActionId = Annotated[str, Path(max_length=64)]


class AskedRunbook(BaseModel):
    model_config = ConfigDict(extra="forbid")

    system: str | None = Field(None, max_length=64, description="Only this system.")


def oversight_routes(world: World) -> APIRouter:
    """Return the routes of accounts, sweeps and the runbook."""
    routes = APIRouter()

    @routes.get("/v1/actions/{action_id}/explain", tags=["actions"], **call(a.Account))
    async def explain_action(request: Request, action_id: ActionId) -> Response:
        """Why an action stands where it does, what was read before it, and what comes next, in plain sentences. An
        agent is told the verdict and its reason codes only."""
        return json_reply(await account(world, caller_in(request), action_id))

    @routes.get("/v1/sweeps", tags=["operations"], **call(a.Sweeps))
    async def read_sweeps(request: Request) -> Response:
        """The last look for writes without a receipt, as this node remembers it. Takes auditor or operator."""
        return json_reply(sweep_document(last_sweeps(world, caller_in(request))))

    @routes.post("/v1/sweeps", tags=["operations"], **call(a.Sweeps, body=b.SweepBody, needs_body=False))
    async def sweep(request: Request) -> Response:
        """Look now for writes without a receipt, in every system that lists its writes. Takes auditor or operator."""
        caller, said = caller_in(request), await b.read(request, b.SweepBody)
        return json_reply(sweep_document(await sweep_now(world, caller, said.since_us())))

    @routes.get("/v1/runbook", tags=["policy"], **call(a.Runbook))
    async def read_runbook(request: Request, asked: Annotated[AskedRunbook, Query()]) -> Response:
        """How each write under contract is taken back: by whom, how, until when, and when that last worked; `markdown`
        is the same as a page. For people."""
        lines = await runbook(world, caller_in(request), asked.system)
        return json_reply({"items": lines, "markdown": markdown(lines)})

    return routes
