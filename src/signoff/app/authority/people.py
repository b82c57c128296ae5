# SPDX-License-Identifier: Apache-2.0
"""People with roles, agents with owners, the keys by which they are known, and agents' short-lived tokens."""

import hmac
import re
from collections.abc import Callable, Sequence

from signoff.app import record
from signoff.app.world import World
from signoff.core.api_key import read_key as read_key
from signoff.core.api_key import write_key
from signoff.core.errors import Conflict, Malformed, NotFound, Unauthenticated
from signoff.core.principal import Agent, ApiKey, Caller, Person, require
from signoff.ports.identity import TokenClaims
from signoff.ports.storage import Transaction

TOKEN_LIFE_US = 5 * 60 * 1_000_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


async def add_person(world: World, caller: Caller, name: str, email: str, roles: Sequence[str]) -> tuple[Person, str]:
    """Add a person; returns them with an API key, whose secret is shown this once.

    Raises:
        Forbidden: the caller is no admin.
        Malformed: a role that is no name.
    """
    require(caller, "admin")
    return await create_person(world, caller.tenant, name, email, roles)


async def create_person(
    world: World,
    tenant: str,
    name: str,
    email: str,
    roles: Sequence[str],
    keep_secret: Callable[[str], None] | None = None,
) -> tuple[Person, str]:
    """Add a person without asking who does: for the first one of a new installation.

    Args:
        keep_secret: is given the key's secret before anything is recorded, so that no crash leaves a first person
            whose key nobody holds.
    """
    granted = tuple(sorted({_named(role, "role") for role in roles}))
    person_id = world.mint("prs")
    wrapped, seal = world.keyring.mint(tenant)
    profile = seal.seal(person_id, "profile", {"name": name, "email": email})
    key, secret = new_key(world, tenant, person_id)

    def body(tx: Transaction) -> Person:
        tx.payloads.add_key(wrapped)
        person = Person(tenant, person_id, 0, "", granted, profile.commitment, wrapped.key_id, created_at=tx.now)
        person = record.begin(tx, person, "person.added", [profile])
        record.begin(tx, key, "key.issued")
        return person

    if keep_secret is not None:
        keep_secret(secret)
    return await world.storage.transact(tenant, body), secret


async def change_person(
    world: World, caller: Caller, person_id: str, *, roles: Sequence[str] | None = None, is_active: bool | None = None
) -> Person:
    """Change a person's roles, or switch them off or on; votes given under a role that is gone no longer count.

    Raises:
        Conflict: it would leave the tenant without an active admin.
    """
    require(caller, "admin")
    granted = None if roles is None else tuple(sorted({_named(role, "role") for role in roles}))

    def body(tx: Transaction) -> Person:
        person = _person(tx, person_id)
        after_roles = person.roles if granted is None else granted
        after_active = person.is_active if is_active is None else is_active
        is_admin_lost = "admin" in person.roles and person.is_active and not (after_active and "admin" in after_roles)
        if is_admin_lost and not _another_admin(tx, person_id):
            raise Conflict(
                what="This would leave nobody who can administer.",
                why=f"{person_id} is the only active admin.",
                fix="Give another person the role admin first.",
                code="person.last_admin",
            )
        return record.move(tx, person, "person.changed", roles=after_roles, is_active=after_active)

    return await world.storage.transact(caller.tenant, body, guards=("people",))


async def add_agent(world: World, caller: Caller, name: str, owner_id: str | None = None) -> tuple[Agent, str]:
    """Register an agent under an owner; returns it with its key, whose secret is shown this once.

    Raises:
        Forbidden: the caller is no admin.
        Conflict: the name is taken.
    """
    require(caller, "admin")
    _named(name, "agent")
    agent_id = world.mint("agt")
    key, secret = new_key(world, caller.tenant, agent_id)

    def body(tx: Transaction) -> Agent:
        if taken := tx.authority.agent_named(name):
            raise Conflict(
                what=f"There is an agent {name} already.",
                why=f"It is {taken.agent_id}; names are unique, so that people can tell agents apart.",
                fix="Choose another name, or use that agent.",
                code="agent.name_taken",
                field="name",
            )
        owner = _person(tx, owner_id or caller.id)
        agent = record.begin(
            tx, Agent(tx.tenant, agent_id, 0, "", name, owner.person_id, created_at=tx.now), "agent.added"
        )
        record.begin(tx, key, "key.issued")
        return agent

    return await world.storage.transact(caller.tenant, body, guards=("agents",)), secret


async def change_agent(
    world: World, caller: Caller, agent_id: str, *, is_active: bool | None = None, revoke_tokens: bool = False
) -> Agent:
    """Switch an agent off or on, or void every token it holds, from its next call on."""
    require(caller, "admin", "operator")

    def body(tx: Transaction) -> Agent:
        agent = _agent(tx, agent_id)
        active = agent.is_active if is_active is None else is_active
        epoch = agent.epoch + 1 if revoke_tokens or not active else agent.epoch
        return record.move(tx, agent, "agent.changed", is_active=active, epoch=epoch)

    return await world.storage.transact(caller.tenant, body, guards=(agent_id,))


async def issue_key(world: World, caller: Caller, holder: str) -> tuple[ApiKey, str]:
    """Issue another key for a person or agent; its secret is shown this once. Everyone may issue their own."""
    if holder != caller.id or caller.is_agent:
        require(caller, "admin")
    key, secret = new_key(world, caller.tenant, holder)

    def body(tx: Transaction) -> ApiKey:
        _holder(tx, holder)
        return record.begin(tx, key, "key.issued")

    return await world.storage.transact(caller.tenant, body), secret


async def revoke_key(world: World, caller: Caller, key_id: str) -> ApiKey:
    """Revoke a key, from its next use on. Everyone may revoke their own."""

    def body(tx: Transaction) -> ApiKey:
        key = tx.authority.key(key_id)
        if key is None or (caller.is_agent and key.holder != caller.id):
            raise _unknown("key", key_id)
        if key.holder != caller.id:
            require(caller, "admin")
        return record.move(tx, key, "key.revoked", is_active=False) if key.is_active else key

    return await world.storage.transact(caller.tenant, body, guards=(key_id,))


async def authenticate_key(world: World, tenant: str, key_id: str, secret_digest: str) -> Caller:
    """Return who holds an API key.

    Args:
        secret_digest: of the key's text that was shown (`read_key`).

    Raises:
        Unauthenticated: no such key, another secret, revoked, or its holder is switched off; all said alike.
    """

    def body(tx: Transaction) -> Caller | None:
        key = tx.authority.key(key_id)
        # An unknown key is compared too, so that the answer takes as long.
        expected = key.secret_digest if key else "0" * 64
        if not hmac.compare_digest(expected, secret_digest) or key is None or not key.is_active:
            return None
        if key.holder.startswith("agt_"):
            agent = tx.authority.agent(key.holder)
            return Caller(tenant, agent.agent_id, (), agent.epoch, key_id) if agent and agent.is_active else None
        person = tx.authority.person(key.holder)
        return Caller(tenant, person.person_id, person.roles, 0, key_id) if person and person.is_active else None

    caller = await world.storage.view(tenant, body)
    if caller is None:
        raise Unauthenticated(
            what="This API key is not accepted.",
            why="It is unknown, revoked, or its holder was switched off.",
            fix="Sign in with a current key: `signoff login`; an admin can issue one with `signoff keys issue`.",
            code="unauthenticated.key",
        )
    return caller


async def mint_token(
    world: World, caller: Caller, agent_id: str | None = None, life_us: int = TOKEN_LIFE_US
) -> tuple[str, TokenClaims]:
    """Return a short-lived token for an agent: for itself by its own key, or by its owner or an admin.

    Raises:
        Forbidden: another's agent.
        NotFound: no such agent, or switched off.
    """
    wanted = agent_id or caller.id
    if wanted != caller.id and caller.is_agent:
        require(caller, "admin")
    token_id = world.mint("dlg")

    def body(tx: Transaction) -> TokenClaims:
        agent = _agent(tx, wanted)
        if not agent.is_active:
            raise _unknown("active agent", wanted)
        if caller.id not in (agent.agent_id, agent.owner_id):
            require(caller, "admin")
        ends = tx.now + max(1_000_000, min(life_us, TOKEN_LIFE_US))
        return TokenClaims(tx.tenant, agent.agent_id, agent.owner_id, token_id, agent.epoch, tx.now, ends)

    claims = await world.storage.view(caller.tenant, body)
    return world.tokens.mint(claims), claims


def caller_of_token(world: World, token: str) -> Caller:
    """Return the agent a token speaks for; whether it still holds is asked in each transaction that acts on it.

    Raises:
        Unauthenticated: its signature, type, audience or times are wrong.
    """
    claims = world.tokens.verify(token, world.clock.now())
    return Caller(claims.tenant, claims.agent_id, (), claims.epoch, claims.token_id)


def new_key(world: World, tenant: str, holder: str) -> tuple[ApiKey, str]:
    """Return the row of a new API key, and its text."""
    key_id = world.mint("key")
    text, digest = write_key(key_id, world.chance.bytes(32))
    return ApiKey(tenant, key_id, 0, "", holder, digest, created_at=world.clock.now()), text


def _named(name: str, what: str) -> str:
    if _NAME.fullmatch(name):
        return name
    raise Malformed(
        what=f"{name[:40]!r} is no name for a {what}.",
        why="A name has letters, digits, dot, dash and underscore, begins with a letter, and has at most 64.",
        fix="Choose such a name, for example FinanceAdmin.",
        path=what,
    )


def _person(tx: Transaction, person_id: str) -> Person:
    if person := tx.authority.person(person_id):
        return person
    raise _unknown("person", person_id)


def _agent(tx: Transaction, agent_id: str) -> Agent:
    if agent := tx.authority.agent(agent_id):
        return agent
    raise _unknown("agent", agent_id)


def _holder(tx: Transaction, holder: str) -> None:
    if holder.startswith("agt_"):
        _agent(tx, holder)
    else:
        _person(tx, holder)


def _another_admin(tx: Transaction, besides: str) -> bool:
    after = ""
    while page := tx.authority.people(after, 200):
        if any(one.is_active and "admin" in one.roles and one.person_id != besides for one in page):
            return True
        after = page[-1].person_id
    return False


def _unknown(what: str, id_: str) -> NotFound:
    return NotFound(
        what=f"There is no {what} {id_[:48]}.",
        why="Nothing of this tenant has this id.",
        fix="List them with `signoff people`, `signoff agents` or `signoff keys`.",
        code=f"{what.split()[-1]}.unknown",
    )
