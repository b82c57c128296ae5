# SPDX-License-Identifier: Apache-2.0
"""Routes that help whoever operates: writes without a receipt."""

from fastapi import APIRouter, Path, Query, Request, Response  # noqa: F401

from signoff.app.action.sweep import last_sweeps, sweep_document, sweep_now
from signoff.app.world import World
from signoff.surfaces.http import answers as a
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import caller_in, json_reply


def oversight_routes(world: World) -> APIRouter:
    """Return the routes of sweeps."""
    routes = APIRouter()

    @routes.get("/v1/sweeps", tags=["operations"], **call(a.Sweeps))
    async def read_sweeps(request: Request) -> Response:
        """The last look for writes without a receipt, as this node remembers it. Takes auditor or operator."""
        return json_reply(sweep_document(last_sweeps(world, caller_in(request))))

    @routes.post("/v1/sweeps", tags=["operations"], **call(a.Sweeps, body=b.SweepBody, needs_body=False))
    async def sweep(request: Request) -> Response:
        """Look now for writes without a receipt, in every system that lists its writes. Takes auditor or operator."""
        caller, said = caller_in(request), await b.read(request, b.SweepBody)
        return json_reply(sweep_document(await sweep_now(world, caller, said.since_us())))

    return routes
