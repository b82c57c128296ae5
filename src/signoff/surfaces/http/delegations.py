# SPDX-License-Identifier: Apache-2.0
"""Routes of whose word counts for what: the roles page, and delegations."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response

from signoff.app.authority import delegation_lists as shown
from signoff.app.authority.delegations import grant, revoke
from signoff.app.authority.permissions import publish_roles, show_roles
from signoff.app.world import World
from signoff.surfaces.http import answers as a
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import Paged, caller_in, json_reply, key_of, page_reply

Id = Annotated[str, Path(max_length=64)]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same content is answered as the first time.")
]


def add_delegations(routes: APIRouter, world: World) -> None:
    """Add the routes of roles and delegations."""

    @routes.put("/v1/roles", tags=["policy"], **call(a.PublishedRoles, body=b.PageBody))
    async def publish_the_roles(request: Request) -> Response:
        """Publish what people's roles permit; from then on a call needs one that permits it. Takes admin."""
        caller, said = caller_in(request), await b.read(request, b.PageBody)
        return json_reply(
            shown.published_roles(await publish_roles(world, caller, said.text, said.file or "roles.yaml"))
        )

    @routes.get("/v1/roles", tags=["policy"], **call(a.Roles))
    async def read_the_roles(request: Request) -> Response:
        """The roles page in force, null before the first is published, and every version."""
        return json_reply(shown.roles_document(await show_roles(world, caller_in(request))))

    @routes.post("/v1/delegations", tags=["delegations"], **call(a.Delegation, body=b.DelegationBody, status=201))
    async def grant_a_delegation(request: Request, key: Key = None) -> Response:
        """Let an agent act in your name, no further than your roles go. An agent passes on a part, with `parent`."""
        caller, said = caller_in(request), await b.read(request, b.DelegationBody)
        made = await grant(world, caller, said.wanted(), b.idempotency_key(request, said.idempotency_key))
        return json_reply(await shown.delegation_document(world, caller, made.delegation_id), 201)

    @routes.get("/v1/delegations", tags=["delegations"], **call(a.Delegations))
    async def list_delegations(request: Request, asked: Paged) -> Response:
        """Delegations, newest first; an agent sees those it holds or passed on."""
        return page_reply(await shown.delegations(world, caller_in(request), key_of(asked.cursor, "dlg"), asked.limit))

    @routes.get("/v1/delegations/{delegation_id}", tags=["delegations"], **call(a.Delegation))
    async def read_a_delegation(request: Request, delegation_id: Id) -> Response:
        """One delegation, and what was done under it."""
        return json_reply(await shown.delegation_document(world, caller_in(request), delegation_id))

    @routes.delete("/v1/delegations/{delegation_id}", tags=["delegations"], **call(a.Delegation))
    async def revoke_a_delegation(request: Request, delegation_id: Id) -> Response:
        """Revoke it with all its parts, from the next call on; what waits under it is void."""
        caller = caller_in(request)
        await revoke(world, caller, delegation_id)
        return json_reply(await shown.delegation_document(world, caller, delegation_id))
