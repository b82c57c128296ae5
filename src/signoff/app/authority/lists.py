# SPDX-License-Identifier: Apache-2.0
"""Pages of who may do what: people, agents, keys, published pages, tools with their pins, halts."""

import asyncio
from dataclasses import asdict
from typing import Any

from signoff.app.action.documents import Document, when
from signoff.app.action.lists import Page
from signoff.app.authority.clearances import standing
from signoff.app.authority.cleared import state_of
from signoff.app.authority.halts import in_flight
from signoff.app.world import World
from signoff.core.authority.contract import Contract, ToolContract
from signoff.core.authority.envelope import Envelope, inert_controls
from signoff.core.authority.halt import Halt
from signoff.core.authority.page import Finding
from signoff.core.authority.publication import Publication
from signoff.core.errors import NotFound
from signoff.core.principal import Agent, ApiKey, Caller, Person, require, require_person
from signoff.ports.storage import Transaction

LOOK_S = 5.0


async def people(world: World, caller: Caller, after: str | None, limit: int) -> Page:
    """Return people with their roles, in the order in which they were added.

    Raises:
        Forbidden: names and addresses are for those who administer, operate or audit.
    """
    require(caller, "auditor", "operator")

    def body(tx: Transaction) -> Page:
        found = tx.authority.people(after or "", limit + 1)
        lines = [person_document(person, _profile(world, tx, person)) for person in found[:limit]]
        return Page(lines, found[limit - 1].person_id if len(found) > limit else None)

    return await world.storage.view(caller.tenant, body)


async def myself(world: World, caller: Caller) -> Document:
    """Return who calls, as this installation knows them."""

    def body(tx: Transaction) -> Document:
        who: Document = {"tenant": caller.tenant, "id": caller.id, "roles": list(caller.roles)}
        if caller.is_agent:
            agent = tx.authority.agent(caller.id)
            return who | {"kind": "agent", "name": agent.name if agent else None}
        person = tx.authority.person(caller.id)
        profile = _profile(world, tx, person) if person else {}
        return who | {"kind": "person", "name": profile.get("name")}

    return await world.storage.view(caller.tenant, body)


async def person_shown(world: World, caller: Caller, person: Person) -> Document:
    """Return the line of one person, for whoever administers them."""
    require(caller, "admin")
    profile = await world.storage.view(caller.tenant, lambda tx: _profile(world, tx, person))
    return person_document(person, profile)


async def agents(world: World, caller: Caller, after: str | None, limit: int) -> Page:
    """Return agents with their owners.

    Raises:
        Forbidden: an agent asked.
    """
    require_person(caller)

    def body(tx: Transaction) -> Page:
        found = tx.authority.agents(after or "", limit + 1)
        lines = [agent_document(agent) for agent in found[:limit]]
        return Page(lines, found[limit - 1].agent_id if len(found) > limit else None)

    return await world.storage.view(caller.tenant, body)


async def keys(world: World, caller: Caller, holder: str | None) -> Page:
    """Return the API keys of a holder, by default the caller; never a secret, which nobody has but its holder.

    Raises:
        Forbidden: somebody else's, and the caller is no admin.
    """
    wanted = holder or caller.id
    if wanted != caller.id:
        require(caller, "admin")
    found = await world.storage.view(caller.tenant, lambda tx: tx.authority.keys_of(wanted))
    return Page([key_document(key) for key in found], None)


async def envelopes(world: World, caller: Caller) -> Page:
    """Return the newest version of each workflow's envelope, with what it asks for that nothing keeps."""
    require_person(caller)

    def body(tx: Transaction) -> Page:
        found = tx.authority.publications("envelope")
        return Page([_envelope_line(world, tx, published) for published in found], None)

    return await world.storage.view(caller.tenant, body)


async def envelope_versions(world: World, caller: Caller, workflow: str) -> Page:
    """Return every version of a workflow's envelope, withdrawn ones too.

    Raises:
        NotFound: no version was ever published.
    """
    require_person(caller)

    def body(tx: Transaction) -> Page:
        found = tx.authority.versions("envelope", workflow)
        if not found:
            raise NotFound(
                what=f"There is no workflow {workflow[:64]!r}.",
                why="No envelope of this name was ever published.",
                fix="Publish one: PUT /v1/envelopes/{workflow}.",
                code="workflow.unknown",
            )
        return Page([_envelope_line(world, tx, published) for published in found], None)

    return await world.storage.view(caller.tenant, body)


async def tools(world: World, caller: Caller) -> Page:
    """Return every tool under contract: what a person said of it, its pin, and what its server offers now.

    Servers are asked for at most `LOOK_S` seconds; one that does not answer shows its tools as `unavailable`.
    """
    require_person(caller)

    def body(tx: Transaction) -> list[tuple[Publication, Contract]]:
        found = tx.authority.publications("contract")
        return [(published, world.shelf.contract(tx, published.digest)) for published in found]

    published = await world.storage.view(caller.tenant, body)
    servers = dict.fromkeys(server for _, contract in published for server in contract.reached)
    looks = [asyncio.ensure_future(world.systems.look(server)) for server in servers]
    if looks:
        _, late = await asyncio.wait(looks, timeout=LOOK_S)
        for look in late:
            look.cancel()
    lines = [
        _tool_line(world, page, contract, tool) for page, contract in published for tool in contract.tools.values()
    ]
    return Page(sorted(lines, key=lambda line: str(line["tool"])), None)


async def halts(world: World, caller: Caller, before: str | None, limit: int, is_in_force: bool | None = None) -> Page:
    """Return uses of the kill switch, newest first, with what is in flight under those in force."""
    require_person(caller)

    def body(tx: Transaction) -> tuple[list[tuple[Halt, str | None]], str | None]:
        if is_in_force:
            return [(halt, _reason(world, tx, halt)) for halt in tx.authority.halts_in_force()], None
        found = tx.authority.halts(before, limit + 1)
        after = found[limit - 1].halt_id if len(found) > limit else None
        kept = [halt for halt in found[:limit] if is_in_force is None or halt.is_lifted]
        return [(halt, _reason(world, tx, halt)) for halt in kept], after

    found, after = await world.storage.view(caller.tenant, body)
    lines = []
    for halt, reason in found:
        flying = () if halt.is_lifted else await in_flight(world, caller.tenant, halt)
        lines.append(halt_document(halt, reason, [action.action_id for action in flying]))
    return Page(lines, after)


async def halt_reason(world: World, caller: Caller, halt: Halt) -> str | None:
    """Return why a halt was engaged; None once that is erased."""
    return await world.storage.view(caller.tenant, lambda tx: _reason(world, tx, halt))


def names(world: World, tx: Transaction, ids: set[str]) -> dict[str, str]:
    """Return what people call these people and agents; the id where that is not known, or erased."""
    found = {one: one for one in ids}
    for one in ids:
        if one.startswith("agt_") and (agent := tx.authority.agent(one)):
            found[one] = agent.name
        elif (person := tx.authority.person(one)) and (name := _profile(world, tx, person).get("name")):
            found[one] = str(name)
    return found


def person_document(person: Person, profile: Document) -> Document:
    """Return the line of a person; `profile` is empty once it is erased."""
    return {
        "person_id": person.person_id,
        "name": profile.get("name"),
        "email": profile.get("email"),
        "roles": list(person.roles),
        "is_active": person.is_active,
        "added": when(person.created_at),
    }


def agent_document(agent: Agent) -> Document:
    return {
        "agent_id": agent.agent_id,
        "name": agent.name,
        "owner_id": agent.owner_id,
        "epoch": agent.epoch,
        "is_active": agent.is_active,
        "added": when(agent.created_at),
    }


def key_document(key: ApiKey) -> Document:
    return {
        "key_id": key.key_id,
        "holder": key.holder,
        "is_active": key.is_active,
        "issued": when(key.created_at),
    }


def halt_document(halt: Halt, reason: str | None, flying: list[str]) -> Document:
    """Return a halt. It is confirmed by its own commit: every claim after it reads it in its own transaction."""
    scope = str(halt.scope)
    return {
        "halt_id": halt.halt_id,
        "scope": f"{scope}:{halt.target}" if halt.target else scope,
        "stop_undo": halt.stop_undo,
        "reason": reason,
        "by": halt.by,
        "requested": when(halt.since),
        "confirmed": when(halt.since),
        "is_lifted": halt.is_lifted,
        "lifted_by": halt.lifted_by,
        "lifted": when(halt.lifted_at),
        "in_flight": flying,
    }


def publication_document(published: Publication) -> Document:
    return {
        "name": published.name,
        "version": published.version,
        "digest": published.digest,
        "publisher": published.publisher,
        "published": when(published.published_at),
        "is_withdrawn": published.is_withdrawn,
        "withdrawn_by": published.withdrawn_by,
    }


def finding_document(finding: Finding) -> Document:
    return asdict(finding) | {"severity": str(finding.severity)}


def inert_document(envelope: Envelope) -> list[Document]:
    return [asdict(control) for control in inert_controls(envelope)]


def _envelope_line(world: World, tx: Transaction, published: Publication) -> Document:
    envelope = world.shelf.envelope(tx, published.digest)
    told: Document = {"mode": str(envelope.mode), "approval_roles": list(envelope.approval_roles)}
    tiers, reviews = standing(world, tx, envelope)
    told["tiers"] = [{"name": one.name, "state": state_of(one)} for one in tiers]
    told["class_d"] = [{"name": one.tool, "state": state_of(one)} for one in reviews]
    return publication_document(published) | told | {"inert": inert_document(envelope)}


def _tool_line(world: World, published: Publication, contract: Contract, tool: ToolContract) -> Document:
    lives = [world.systems.live(server, tool) for server in contract.reached]
    live = lives[0]
    if any(one is None for one in lives):
        state = "unavailable"
    elif tool.schema_digest is None:
        state = "unpinned"
    else:
        state = "pinned" if all(one and one[1] == tool.schema_digest for one in lives) else "changed"
    return {
        "system": published.name,
        "tool": tool.name,
        "server_name": tool.server_name,
        "effect": str(tool.effect),
        "class": str(tool.risk),
        "reversibility": tool.reversibility,
        "reversal_note": tool.reversal_note,
        "undo": tool.undo.tool if tool.undo else None,
        "contract": contract.digest,
        "pin": tool.schema_digest,
        "state": state,
        "live_digest": live[1] if live else None,
    }


def _profile(world: World, tx: Transaction, person: Person) -> Document:
    try:
        found: Any = world.keyring.open(tx, person.person_id, "profile")
    except NotFound:  # erased
        return {}
    return found if isinstance(found, dict) else {}


def _reason(world: World, tx: Transaction, halt: Halt) -> str | None:
    try:
        found = world.keyring.open(tx, halt.halt_id, "reason")
    except NotFound:  # erased
        return None
    return found if isinstance(found, str) else None
