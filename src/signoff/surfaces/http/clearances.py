# SPDX-License-Identifier: Apache-2.0
"""Routes of clearances: tiers that a named person opens, and class D tools whose review is on record."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from signoff.app.authority.clearances import clear, clearable, withdraw_clearance
from signoff.app.authority.cleared import clearable_document, clearance_document
from signoff.app.world import World
from signoff.core.authority.clearance import Cleared
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http import clearance_answers as a
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import caller_in, json_reply

Named = Annotated[str, Path(min_length=1, max_length=200)]
Id = Annotated[str, Path(max_length=64)]


def add_clearances(routes: APIRouter, world: World) -> None:
    """Add the routes of clearances."""
    path = "/v1/envelopes/{workflow}/clearances"

    @routes.get(path, tags=["policy"], **call(a.Clearances))
    async def list_clearances(request: Request, workflow: Named) -> Response:
        """Tiers and class D tools of a workflow's newest page, which of them are cleared, and by whom."""
        return json_reply(clearable_document(await clearable(world, caller_in(request), workflow)))

    @routes.post(path, tags=["policy"], **call(a.GivenClearance, body=b.ClearanceBody, status=201))
    async def give_a_clearance(request: Request, workflow: Named) -> Response:
        """Open a tier (takes author), or put a class D review on record (takes the role `compliance`).

        `digest` is that of what you saw. What is cleared already is answered with its clearance. `lifts` names what
        nothing keeps and, under an open tier, nobody stands in for.
        """
        caller, said = caller_in(request), await b.read(request, b.ClearanceBody)
        kind = Cleared(said.kind)
        given, _ = await clear(world, caller, workflow, kind, said.name, said.digest, said.reason)
        found = clearable_document(await clearable(world, caller, workflow))
        reason = next(one["reason"] for one in found["clearances"] if one["clearance_id"] == given.clearance_id)
        lifts = found["lifts"] if kind is Cleared.TIER else []
        return json_reply(clearance_document(given, reason) | {"lifts": lifts}, 201)

    @routes.post(path + "/{clearance_id}/withdraw", tags=["policy"], **call(a.Clearance, body=b.ReasonBody))
    async def withdraw_a_clearance(request: Request, workflow: Named, clearance_id: Id) -> Response:
        """Close a tier, or take a review back, from the next decision on. An operator may as well."""
        caller, said = caller_in(request), await b.read(request, b.ReasonBody)
        return json_reply(
            clearance_document(*await withdraw_clearance(world, caller, workflow, clearance_id, said.reason))
        )
