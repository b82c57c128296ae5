# SPDX-License-Identifier: Apache-2.0
"""Routes of who may do what: halts, tokens, envelopes, tools, people, agents, keys."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Field

from signoff.app.action.documents import when
from signoff.app.authority import lists
from signoff.app.authority.halts import engage, lift
from signoff.app.authority.people import (
    add_agent,
    add_person,
    change_agent,
    change_person,
    issue_key,
    mint_token,
    revoke_key,
)
from signoff.app.authority.policies import checked, publish_contract, publish_envelope, withdraw
from signoff.app.world import World
from signoff.core.authority.envelope import load_envelope
from signoff.core.errors import Malformed
from signoff.core.principal import require_person
from signoff.surfaces.http import answers as a
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.clearances import add_clearances
from signoff.surfaces.http.delegations import add_delegations
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import Asked, Paged, caller_in, json_reply, key_of, page_reply
from signoff.surfaces.http.subjects import add_subjects

Named = Annotated[str, Path(min_length=1, max_length=200)]
Id = Annotated[str, Path(max_length=64)]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same content is answered as the first time.")
]


class AskedHalts(Asked):
    in_force: bool | None = Field(None, description="Only those in force, or only those lifted.")


class AskedKeys(Asked):
    holder: str | None = Field(None, max_length=64, description="By default the caller; others' keys take admin.")


def authority_routes(world: World) -> APIRouter:
    """Return the routes of authority."""
    routes = APIRouter()
    _halts(routes, world)
    _pages(routes, world)
    _people(routes, world)
    add_subjects(routes, world)
    add_delegations(routes, world)
    add_clearances(routes, world)
    return routes


def _halts(routes: APIRouter, world: World) -> None:
    @routes.post("/v1/halts", tags=["halts"], **call(a.HaltEffect, body=b.HaltBody, status=201))
    async def engage_halt(request: Request, key: Key = None) -> Response:
        """Stop everything of a scope that is not sent. `in_flight` names what was. Takes the permission operator."""
        caller, said = caller_in(request), await b.read(request, b.HaltBody)
        given = b.idempotency_key(request, said.idempotency_key)
        effect = await engage(world, caller, said.scope, said.reason, said.stop_undo, given)
        flying = [action.action_id for action in effect.in_flight]
        reason = await lists.halt_reason(world, caller, effect.halt)
        return json_reply(lists.halt_document(effect.halt, reason, flying) | {"stopped": effect.stopped}, 201)

    @routes.get("/v1/halts", tags=["halts"], **call(a.Halts))
    async def list_halts(request: Request, asked: Annotated[AskedHalts, Query()]) -> Response:
        """Uses of the kill switch, newest first, with what is in flight under those in force."""
        before = key_of(asked.cursor, "hlt")
        return page_reply(await lists.halts(world, caller_in(request), before, asked.limit, asked.in_force))

    @routes.post("/v1/halts/{halt_id}/lift", tags=["halts"], **call(a.Halt, body=b.NothingBody, needs_body=False))
    async def lift_halt(request: Request, halt_id: Id) -> Response:
        """Lift a halt; what it stopped stays stopped. Takes the permission operator."""
        caller, _ = caller_in(request), await b.read(request, b.NothingBody)
        halt = await lift(world, caller, halt_id)
        return json_reply(lists.halt_document(halt, await lists.halt_reason(world, caller, halt), []))

    @routes.post("/v1/tokens", tags=["tokens"], **call(a.Token, body=b.TokenBody, needs_body=False))
    async def mint_a_token(request: Request) -> Response:
        """Mint a short-lived token: with an agent's own API key, or as its owner or an admin."""
        caller, said = caller_in(request), await b.read(request, b.TokenBody)
        token, claims = await mint_token(world, caller, said.agent_id, said.life_s * 1_000_000)
        minted = {
            "token": token,
            "token_type": "Bearer",
            "agent_id": claims.agent_id,
            "expires": when(claims.expires_at),
            "expires_in_s": (claims.expires_at - claims.issued_at) // 1_000_000,
        }
        return json_reply(minted)


def _pages(routes: APIRouter, world: World) -> None:
    @routes.put("/v1/envelopes/{workflow}", tags=["policy"], **call(a.PublishedEnvelope, body=b.PageBody))
    async def publish_an_envelope(request: Request, workflow: Named) -> Response:
        """Publish an envelope. A version never changes; the same again is the same. Takes the permission author."""
        caller, said = caller_in(request), await b.read(request, b.PageBody)
        loaded, _ = load_envelope(said.text, said.file or f"{workflow}.yaml")
        if loaded is not None and loaded.workflow != workflow:
            raise Malformed(
                what="The envelope was not published.",
                why=f"The page is that of workflow {loaded.workflow[:64]!r}, the path names {workflow[:64]!r}.",
                fix="Put it under the path of its own workflow.",
                code="envelope.other_workflow",
                path="$.text",
            )
        published = await publish_envelope(world, caller, said.text, said.file or f"{workflow}.yaml")
        found = lists.publication_document(published.publication)
        found["findings"] = [lists.finding_document(finding) for finding in published.findings]
        return json_reply(found | {"inert": lists.inert_document(loaded) if loaded else []})

    @routes.get("/v1/envelopes", tags=["policy"], **call(a.Envelopes))
    async def list_envelopes(request: Request) -> Response:
        """The newest version of each workflow's envelope, with what it asks for that nothing keeps."""
        return page_reply(await lists.envelopes(world, caller_in(request)))

    @routes.get("/v1/envelopes/{workflow}/versions", tags=["policy"], **call(a.Envelopes))
    async def list_versions(request: Request, workflow: Named) -> Response:
        """Every version of a workflow's envelope, withdrawn ones too."""
        return page_reply(await lists.envelope_versions(world, caller_in(request), workflow))

    @routes.post("/v1/envelopes/{workflow}/check", tags=["policy"], **call(a.Checked, body=b.PageBody))
    async def check_an_envelope(request: Request, workflow: Named) -> Response:
        """Load an envelope against the contracts in force without publishing it: all findings at once."""
        caller, said = caller_in(request), await b.read(request, b.PageBody)
        require_person(caller)
        loaded, findings = await checked(world, caller.tenant, said.text, said.file or f"{workflow}.yaml")
        return json_reply(
            {
                "is_loadable": loaded is not None,
                "digest": loaded.digest if loaded else None,
                "findings": [lists.finding_document(finding) for finding in findings],
                "inert": lists.inert_document(loaded) if loaded else [],
            }
        )

    @routes.post("/v1/envelopes/{workflow}/withdraw", tags=["policy"], **call(a.Publication, body=b.WithdrawBody))
    async def withdraw_envelope(request: Request, workflow: Named) -> Response:
        """Withdraw a version: it starts no run any more, and what waits under it is void. Takes author."""
        caller, said = caller_in(request), await b.read(request, b.WithdrawBody)
        return json_reply(lists.publication_document(await withdraw(world, caller, "envelope", workflow, said.version)))

    @routes.get("/v1/tools", tags=["policy"], **call(a.Tools))
    async def list_tools(request: Request) -> Response:
        """Every tool under contract, its pin, and whether its server offers just that now."""
        return page_reply(await lists.tools(world, caller_in(request)))

    @routes.put("/v1/tools/{system}", tags=["policy"], **call(a.PublishedContract, body=b.PageBody))
    async def publish_a_contract(request: Request, system: Named) -> Response:
        """Publish a system's tool contracts; they hold for every run at once. Takes the permission author."""
        caller, said = caller_in(request), await b.read(request, b.PageBody)
        published = await publish_contract(world, caller, system, said.text, said.file or f"{system}.yaml")
        found = lists.publication_document(published.publication)
        return json_reply(found | {"findings": [lists.finding_document(finding) for finding in published.findings]})


def _people(routes: APIRouter, world: World) -> None:
    @routes.get("/v1/me", tags=["people"], **call(a.Myself))
    async def read_myself(request: Request) -> Response:
        """Who makes this call, as this installation knows them."""
        return json_reply(await lists.myself(world, caller_in(request)))

    @routes.get("/v1/people", tags=["people"], **call(a.People))
    async def list_people(request: Request, asked: Paged) -> Response:
        """People and their roles. Takes auditor, operator or admin."""
        return page_reply(await lists.people(world, caller_in(request), key_of(asked.cursor, "prs"), asked.limit))

    @routes.post("/v1/people", tags=["people"], **call(a.NewPerson, body=b.PersonBody, status=201))
    async def add_a_person(request: Request) -> Response:
        """Add a person; `api_key` is shown this once. Takes the permission admin."""
        b.refuse_key(request)
        caller, said = caller_in(request), await b.read(request, b.PersonBody)
        person, secret = await add_person(world, caller, said.name, said.email, said.roles)
        found = lists.person_document(person, {"name": said.name, "email": said.email})
        return json_reply(found | {"api_key": secret}, 201)

    @routes.patch("/v1/people/{person_id}", tags=["people"], **call(a.Person, body=b.PersonChange))
    async def change_a_person(request: Request, person_id: Id) -> Response:
        """Change a person's roles, or switch them off or on. Takes the permission admin."""
        caller, said = caller_in(request), await b.read(request, b.PersonChange)
        person = await change_person(world, caller, person_id, roles=said.roles, is_active=said.is_active)
        return json_reply(await lists.person_shown(world, caller, person))

    @routes.get("/v1/agents", tags=["people"], **call(a.Agents))
    async def list_agents(request: Request, asked: Paged) -> Response:
        """Agents and their owners."""
        return page_reply(await lists.agents(world, caller_in(request), key_of(asked.cursor, "agt"), asked.limit))

    @routes.post("/v1/agents", tags=["people"], **call(a.NewAgent, body=b.AgentBody, status=201))
    async def add_an_agent(request: Request) -> Response:
        """Register an agent; `api_key` is shown this once, and only mints tokens. Takes the permission admin."""
        b.refuse_key(request)
        caller, said = caller_in(request), await b.read(request, b.AgentBody)
        agent, secret = await add_agent(world, caller, said.name, said.owner_id)
        return json_reply(lists.agent_document(agent) | {"api_key": secret}, 201)

    @routes.patch("/v1/agents/{agent_id}", tags=["people"], **call(a.Agent, body=b.AgentChange))
    async def change_an_agent(request: Request, agent_id: Id) -> Response:
        """Switch an agent off or on, or void its tokens at once. Takes admin or operator."""
        caller, said = caller_in(request), await b.read(request, b.AgentChange)
        agent = await change_agent(world, caller, agent_id, is_active=said.is_active, revoke_tokens=said.revoke_tokens)
        return json_reply(lists.agent_document(agent))

    @routes.get("/v1/keys", tags=["people"], **call(a.Keys))
    async def list_keys(request: Request, asked: Annotated[AskedKeys, Query()]) -> Response:
        """API keys of the caller, or of a holder; never a secret."""
        return page_reply(await lists.keys(world, caller_in(request), asked.holder))

    @routes.post("/v1/keys", tags=["people"], **call(a.NewKey, body=b.KeyBody, status=201, needs_body=False))
    async def issue_a_key(request: Request) -> Response:
        """Issue another key; `api_key` is shown this once. Everyone may for themselves, an admin for all."""
        b.refuse_key(request)
        caller, said = caller_in(request), await b.read(request, b.KeyBody)
        key, secret = await issue_key(world, caller, said.holder or caller.id)
        return json_reply(lists.key_document(key) | {"api_key": secret}, 201)

    @routes.delete("/v1/keys/{key_id}", tags=["people"], **call(a.Key))
    async def revoke_a_key(request: Request, key_id: Id) -> Response:
        """Revoke a key, from its next use on. Everyone may their own, an admin all."""
        return json_reply(lists.key_document(await revoke_key(world, caller_in(request), key_id)))
