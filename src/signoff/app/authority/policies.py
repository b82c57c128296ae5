# SPDX-License-Identifier: Apache-2.0
"""Policy as code: publish envelopes and tool contracts as immutable versions, and withdraw them."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from signoff.app import record
from signoff.app.action.ending import end_unsent
from signoff.app.world import World
from signoff.core.action.lifecycle import AWAITING_PEOPLE, State
from signoff.core.authority.contract import Contract, ToolDescription, load_contract
from signoff.core.authority.envelope import Envelope, load_envelope
from signoff.core.authority.page import Finding, Severity
from signoff.core.authority.publication import Publication, same_version
from signoff.core.errors import Conflict, Malformed, NotFound, SignoffError
from signoff.core.principal import Caller, require
from signoff.ports.storage import Transaction

AT_ONCE = 200
LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Published:
    """A published page and what is worth knowing of it."""

    publication: Publication
    findings: tuple[Finding, ...]


async def publish_envelope(world: World, caller: Caller, text: str, file: str = "envelope.yaml") -> Published:
    """Publish an envelope; the same version again is the same publication.

    Raises:
        Malformed: code `page.refused`; its findings are in `detail`.
        Conflict: this version has other content.
    """
    require(caller, "author")
    envelope, findings = await checked(world, caller.tenant, text, file)
    if envelope is None:
        raise _refused("envelope", findings)
    return await _publish(
        world, caller, "envelope", envelope.workflow, envelope.version, envelope.digest, text, findings
    )


async def checked(world: World, tenant: str, text: str, file: str) -> tuple[Envelope | None, list[Finding]]:
    """Return the envelope that `text` says under the contracts in force, and everything there is to mend in it.

    Where it has expressions or sources, the servers of its tools are asked for their schemas, so that a misspelt field
    is found. One that does not answer is no obstacle: a warning says what was not checked.
    """
    pages = await world.storage.view(tenant, world.shelf.pages)
    tools = {name: tool for name, (tool, _) in pages.tools.items()}
    envelope, findings = load_envelope(text, file, tools)
    if envelope is None or not (envelope.facts or envelope.rules or envelope.limits or envelope.provenance):
        return envelope, findings
    spoken = {fact.tool for fact in envelope.facts.values()} | envelope.allowed_tools
    contracts = {contract.digest: contract for name in spoken & tools.keys() for contract in [pages.tools[name][1]]}
    offers = await asyncio.gather(*(_offered(world, contract) for contract in contracts.values()))
    descriptions = {
        name: offered[tool.server_name]
        for contract, offered in zip(contracts.values(), offers, strict=True)
        for name, tool in contract.tools.items()
        if tool.server_name in offered
    }
    return load_envelope(text, file, tools, descriptions=descriptions)


async def publish_contract(
    world: World, caller: Caller, system: str, text: str, file: str = "contract.yaml"
) -> Published:
    """Publish a system's tool contracts; the newest version that is not withdrawn counts, for every run at once.

    Its server is asked what it offers, so that what does not fit a tool's schema is found here. One that does not
    answer is no obstacle: a tool is looked at again before each call.

    Raises:
        Malformed: code `page.refused`; its findings are in `detail`.
        Conflict: another system publishes one of its tools.
    """
    require(caller, "author")
    contract, findings = load_contract(text, file)
    if contract is not None:
        for server in contract.reached:
            world.systems.forget(server)
    if contract is not None and (offered := await _offered(world, contract)):
        contract, findings = load_contract(text, file, offered)
    if contract is None:
        raise _refused("contract", findings)
    version = contract.digest.removeprefix("sha256:")[:12]
    return await _publish(world, caller, "contract", system, version, contract.digest, text, findings, contract)


async def _offered(world: World, contract: Contract) -> dict[str, ToolDescription]:
    """Return the tools of a contract as its server describes them now, those left out that are pinned otherwise."""
    with suppress(TimeoutError, SignoffError):
        async with asyncio.timeout(LOOK_S):
            await asyncio.gather(*(world.systems.look(server) for server in contract.reached))
    pins = {tool.server_name: tool.schema_digest for tool in contract.tools.values()}
    return {
        name: tool
        for server in reversed(contract.reached)
        for name, (tool, digest) in world.systems.offered(server).items()
        if pins.get(name) in (None, digest)
    }


async def withdraw(world: World, caller: Caller, kind: str, name: str, version: str) -> Publication:
    """Withdraw a version: it starts no run any more, and whatever waits under it is void."""
    require(caller, "author")

    def body(tx: Transaction) -> Publication:
        published = tx.authority.published(kind, name, version)
        if published is None:
            raise NotFound(
                what=f"There is no {kind} {name} {version}.",
                why="No such version is published.",
                fix=f"List them with `signoff {kind}s versions {name}`.",
                code="publication.unknown",
            )
        if published.is_withdrawn:
            return published
        return record.move(tx, published, "publication.withdrawn", is_withdrawn=True, withdrawn_by=caller.id)

    published = await world.storage.transact(caller.tenant, body, guards=("pages",))
    if kind == "envelope":
        await _void_waiting(world, caller.tenant, {published.digest})
    return published


async def void_withdrawn(world: World, tenant: str) -> None:
    """Void what waits under versions withdrawn since this node looked last: who withdrew one may have died half-way."""
    withdrawn = (await world.storage.view(tenant, world.shelf.pages)).withdrawn
    if withdrawn - world.withdrawn_seen.get(tenant, frozenset()):
        await _void_waiting(world, tenant, withdrawn)
        world.withdrawn_seen[tenant] = withdrawn


async def contracts(world: World, tenant: str) -> list[Contract]:
    """Return the contracts in force, one a system."""
    pages = await world.storage.view(tenant, world.shelf.pages)
    return list({contract.digest: contract for _, contract in pages.tools.values()}.values())


async def _publish(
    world: World,
    caller: Caller,
    kind: str,
    name: str,
    version: str,
    digest: str,
    text: str,
    findings: list[Finding],
    contract: Contract | None = None,
) -> Published:
    publication_id = world.mint("env" if kind == "envelope" else "con")

    def body(tx: Transaction) -> Publication:
        if earlier := tx.authority.published(kind, name, version):
            return same_version(earlier, digest)
        _require_untaken(world, tx, name, contract)
        row = Publication(tx.tenant, publication_id, 0, "", kind, name, version, digest, caller.id, tx.now, text)
        return record.begin(tx, row, f"{kind}.published")

    published = await world.storage.transact(caller.tenant, body, guards=("pages",))
    await world.storage.view(caller.tenant, world.shelf.pages)
    return Published(published, tuple(findings))


def _require_untaken(world: World, tx: Transaction, system: str, mine: Contract | None) -> None:
    """Refuse a tool that another system describes, by our name or the server's: one would be a way around the other."""
    for published in tx.authority.publications("contract") if mine is not None else ():
        theirs = world.shelf.contract(tx, published.digest)
        if mine is None or published.name == system:
            continue
        is_shared = not set(theirs.reached).isdisjoint(mine.reached)
        theirs_on_server = {tool.server_name for tool in theirs.tools.values() if is_shared}
        taken = sorted(
            name for name, tool in mine.tools.items() if name in theirs.tools or tool.server_name in theirs_on_server
        )
        if taken:
            raise Conflict(
                what=f"The contract of {system[:64]} was not published.",
                why=f"It describes {taken[0]}, which {published.name} describes; nobody could tell whose rules hold.",
                fix=f"Publish {published.name} without it first, or leave it out here. A tool of another server may "
                "have another name; `name` then says the server's own.",
                code="contract.tool_taken",
                tools=taken,
                system=system,
                published_by=published.name,
            )


async def _void_waiting(world: World, tenant: str, digests: Collection[str]) -> None:
    def waiting(tx: Transaction) -> list[str]:
        found: list[str] = []
        last = ""
        while page := tx.actions.in_states(states, last, AT_ONCE):
            under = (one for one in page if (run := tx.runs.get(one.run_id)) and run.envelope in digests)
            found += [one.action_id for one in under]
            last = page[-1].action_id
        return found

    states = (*sorted(AWAITING_PEOPLE), State.APPROVED)

    def void(tx: Transaction, action_id: str) -> None:
        action = tx.actions.get(action_id)
        if action and action.state in (*AWAITING_PEOPLE, State.APPROVED):
            end_unsent(tx, action, State.VOIDED, "version_withdrawn")

    for action_id in await world.storage.view(tenant, waiting):
        await world.storage.transact(tenant, partial(void, action_id=action_id), guards=(action_id,))
        world.bell.ring(action_id)


def _refused(kind: str, findings: list[Finding]) -> Malformed:
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    return Malformed(
        what=f"The {kind} was not published.",
        why=f"It has {len(errors)} error(s); the first: {errors[0].what} {errors[0].why}",
        fix=f"Line {errors[0].line}: {errors[0].fix} `signoff check FILE` shows all at once.",
        code="page.refused",
        findings=[str(finding) for finding in findings],
    )
