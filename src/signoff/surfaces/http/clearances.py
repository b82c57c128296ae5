# SPDX-License-Identifier: Apache-2.0
"""Routes of clearances: tiers that a named person opens, and class D tools whose review is on record."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from signoff.app.authority.clearances import clear, clearable, withdraw_clearance
from signoff.app.authority.cleared import clearable_document, clearance_document
from signoff.app.world import World
from signoff.core.authority.clearance import Cleared
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import caller_in, json_reply

Named = Annotated[str, Path(min_length=1, max_length=200)]
Id = Annotated[str, Path(max_length=64)]


class TierRule(BaseModel):
    id: str
    tool: str
    when: str


class Review(BaseModel):
    """A class D tool that the page lists. `state`: `open` where its review is on record as it stands, `changed` where
    only that of another wording is, else `closed`."""

    name: str
    digest: str
    state: str
    clearance_id: str | None


class Tier(Review):
    """A tier of the page: the `allow` rules that name it."""

    rules: list[TierRule]


class Lifted(BaseModel):
    """A control that the page asks for and nothing keeps; under an open tier no person stands in for it either."""

    control: str
    asked_by: str
    consequence: str


class Clearance(BaseModel):
    clearance_id: str
    kind: str
    workflow: str
    name: str
    digest: str
    by: str
    at: str
    reason: str | None
    is_withdrawn: bool
    withdrawn_by: str | None
    withdrawn: str | None


class Given(Clearance):
    lifts: list[Lifted]


class Clearances(BaseModel):
    """What there is to clear in a workflow's newest page, and every clearance that was given, newest first."""

    workflow: str
    version: str
    mode: str
    tiers: list[Tier]
    class_d: list[Review]
    lifts: list[Lifted]
    clearances: list[Clearance]


def add_clearances(routes: APIRouter, world: World) -> None:
    """Add the routes of clearances."""
    path = "/v1/envelopes/{workflow}/clearances"

    @routes.get(path, tags=["policy"], **call(Clearances))
    async def list_clearances(request: Request, workflow: Named) -> Response:
        """Tiers and class D tools of a workflow's newest page, which of them are cleared, and by whom."""
        return json_reply(clearable_document(await clearable(world, caller_in(request), workflow)))

    @routes.post(path, tags=["policy"], **call(Given, body=b.ClearanceBody, status=201))
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

    @routes.post(path + "/{clearance_id}/withdraw", tags=["policy"], **call(Clearance, body=b.ReasonBody))
    async def withdraw_a_clearance(request: Request, workflow: Named, clearance_id: Id) -> Response:
        """Close a tier, or take a review back, from the next decision on. An operator may as well."""
        caller, said = caller_in(request), await b.read(request, b.ReasonBody)
        return json_reply(
            clearance_document(*await withdraw_clearance(world, caller, workflow, clearance_id, said.reason))
        )
