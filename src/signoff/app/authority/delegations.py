# SPDX-License-Identifier: Apache-2.0
"""Delegations: a person grants one, an agent passes a part of it on, and whoever may revokes it, at the next call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from signoff.app import record
from signoff.app.action.case import require_standing
from signoff.app.action.delegated import held_of
from signoff.app.action.ending import end_unsent
from signoff.app.action.propose import request_digest
from signoff.app.world import World
from signoff.core.action.lifecycle import AWAITING_PEOPLE, Action, State
from signoff.core.authority.delegation import (
    DEPTH_MAX,
    TREE_MAX,
    Delegation,
    Reach,
    attenuate,
    chain_of,
    compile_condition,
    reach_of,
)
from signoff.core.authority.permission import out_of_reach
from signoff.core.authority.reach import is_tools_word
from signoff.core.authority.reading import NAME
from signoff.core.authority.rule import CannotCompile, Expression
from signoff.core.errors import Conflict, Forbidden, Malformed, NotFound
from signoff.core.money import INT_MAX
from signoff.core.principal import Caller
from signoff.ports.storage import SealedPayload, Transaction

AT_ONCE = 200
_WAITING = (*sorted(AWAITING_PEOPLE), State.APPROVED)
LIFE_MAX_US = 366 * 24 * 3_600_000_000
NAMES_MAX = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be delegated. Times are microseconds since 1970; it begins now where `not_before` is None.

    In a part, what is None is that of the whole.
    """

    agent_id: str
    tools: tuple[str, ...]
    environments: tuple[str, ...]
    purpose: str
    not_before: int | None = None
    not_after: int | None = None
    lasts_us: int | None = None  # from its beginning, in place of `not_after`
    condition: str | None = None
    uses_max: int | None = None
    usd_micros_max: int | None = None
    parent_id: str | None = None


async def grant(world: World, caller: Caller, wanted: Wanted, idempotency_key: str | None = None) -> Delegation:
    """Grant a delegation in the caller's own name; an agent passes on a part of one that it holds.

    Raises:
        Forbidden: it is wider than what the caller's roles permit, or than the whole; or not the caller's to give.
        Malformed: a name, time, cap or condition that is none.
        NotFound: no such agent, or no such delegation to pass on.
        Conflict: too many parts, or the idempotency key was used with other content.
    """
    condition = _checked(wanted)
    if caller.is_agent != (wanted.parent_id is not None):
        raise _not_yours(caller)
    delegation_id = world.mint("dlg")
    wrapped, seal = world.keyring.mint(caller.tenant)
    purpose = seal.seal(delegation_id, "purpose", wanted.purpose)
    kept = seal.seal(delegation_id, "condition", wanted.condition) if wanted.condition else None
    request_key = request_digest(caller, "/delegations", idempotency_key) if idempotency_key else None
    request_tag = world.tags[caller.tenant].tag(_content(wanted)) if request_key else None

    def body(tx: Transaction) -> Delegation:
        require_standing(tx, caller)
        if request_key and (earlier := tx.authority.delegation_by_request(request_key)):
            if earlier.request_tag != request_tag:
                raise _key_reused(earlier)
            return earlier
        agent = tx.authority.agent(wanted.agent_id)
        if agent is None or not agent.is_active:
            raise NotFound(
                what=f"There is no active agent {wanted.agent_id[:48]}.",
                why="No agent of this tenant has this id, or it was switched off.",
                fix="List them with `signoff agents`.",
                code="agent.unknown",
            )
        begins = tx.now if wanted.not_before is None else wanted.not_before
        row = Delegation(
            tx.tenant, delegation_id, 0, "", wanted.agent_id, caller.id, caller.id, delegation_id, wanted.tools,
            wanted.environments, begins, _end(wanted, begins, 0), tx.now, purpose.commitment, wrapped.key_id,
            wanted.parent_id, kept.commitment if kept else None, wanted.uses_max, wanted.usd_micros_max,
            request_key=request_key, request_tag=request_tag,
        )  # fmt: skip
        row = _part(world, tx, caller, row, wanted, condition) if wanted.parent_id else _whole(world, tx, row)
        tx.payloads.add_key(wrapped)
        payloads: list[SealedPayload] = [purpose, kept] if kept else [purpose]
        return record.begin(tx, row, "delegation.granted", payloads)

    return await world.storage.transact(caller.tenant, body, guards=("delegations", wanted.parent_id or delegation_id))


async def revoke(world: World, caller: Caller, delegation_id: str, reason: str = "") -> Delegation:
    """Revoke a delegation with all its parts, from the next call on; what waits under it is void.

    Whoever granted it may, the agent that holds or passed it on, the owner of that agent, an operator and an admin.

    Raises:
        NotFound: there is none, or it is no business of the agent that asks.
        Forbidden: none of these.
    """

    def key(tx: Transaction) -> Delegation:
        return found(tx.authority.delegation(delegation_id), delegation_id, caller)

    known, said = await world.storage.view(caller.tenant, key), None
    if reason:
        seal = await world.storage.view(caller.tenant, lambda tx: world.keyring.seal(tx, known.payload_key))
        said = seal.seal(delegation_id, f"revoked.{known.seq}", {"by": caller.id, "reason": reason})

    def body(tx: Transaction) -> Delegation:
        require_standing(tx, caller)
        now = key(tx)
        _require_may_revoke(tx, caller, now)
        if now.is_revoked:
            return now
        return record.move(
            tx, now, "delegation.revoked", [said] if said else [],
            is_revoked=True, revoked_by=caller.id, revoked_at=tx.now,
        )  # fmt: skip

    revoked = await world.storage.transact(caller.tenant, body, guards=("delegations", known.root_id))
    await _void_waiting(world, caller.tenant)
    return revoked


async def void_revoked(world: World, tenant: str) -> None:
    """Void what waits under delegations revoked since this node looked last: who revoked one may have died half-way."""
    count = await world.storage.view(tenant, lambda tx: tx.authority.revoked_delegations(), is_short=True)
    if count != world.revoked_seen.get(tenant, 0):
        await _void_waiting(world, tenant)
        world.revoked_seen[tenant] = count


def begun_under(
    world: World,
    tx: Transaction,
    caller: Caller,
    delegation_id: str | None,
    environments: Sequence[str],
    environment: str | None,
    principal: str | None,
) -> tuple[Delegation, str] | None:
    """Return the delegation under which an agent begins a run, and the environment; None where it names none.

    Args:
        environments: of the workflow's page, its default first.

    Raises:
        NotFound: the agent holds no such delegation.
        Forbidden: it does not count now, is about other environments, or is in another person's name; or none was
            named where this installation asks for one.
    """
    if delegation_id is None:
        if world.requires_delegation:
            raise Forbidden(
                what="This agent cannot begin a run by itself.",
                why="This installation lets agents do only what a person has delegated to them.",
                fix="Ask a person for one: `signoff delegations grant`; then name it as `delegation`.",
                code="delegation.required",
            )
        return None
    require_standing(tx, caller)
    mine = tx.authority.delegation(delegation_id)
    if mine is None or mine.agent_id != caller.id:
        raise _unknown(delegation_id)
    chain = chain_of(tx.authority.delegated_from(mine.root_id), delegation_id)
    grantor = tx.authority.person(mine.grantor_id)
    if (state := state_of(chain, tx.now)) != "active" or grantor is None or not grantor.is_active:
        raise Forbidden(
            what="No run can begin under this delegation.",
            why=f"It is {state}." if state != "active" else "The person who granted it is no longer active.",
            fix="Ask for another one.",
            code="delegation.not_in_force",
        )
    if principal not in (None, mine.grantor_id):
        raise Forbidden(
            what="This agent cannot act for that person.",
            why=f"The delegation is in the name of {mine.grantor_id}.",
            fix="Leave `principal` out.",
            code="run.principal",
        )
    where = [one for one in environments if all(one in each.environments for each in chain)]
    if not where or (environment is not None and environment in environments and environment not in where):
        raise Forbidden(
            what="No run can begin there under this delegation.",
            why=f"It is about {', '.join(mine.environments)}.",
            fix="Name one of these as `environment`, if the page names it too.",
            code="delegation.other_environment",
        )
    return mine, environment or where[0]


def state_of(chain: Sequence[Delegation], now: int) -> str:
    """Return `active`, `pending`, `expired` or `revoked`; a part is no more than those above it."""
    if not chain or any(one.is_revoked for one in chain):
        return "revoked"
    if any(now >= one.not_after for one in chain):
        return "expired"
    return "pending" if any(now < one.not_before for one in chain) else "active"


async def _void_waiting(world: World, tenant: str) -> None:
    def waiting(tx: Transaction) -> list[str]:
        found: list[str] = []
        last = ""
        while page := tx.actions.in_states(_WAITING, last, AT_ONCE):
            found += [one.action_id for one in page if _is_revoked(tx, one)]
            last = page[-1].action_id
        return found

    def void(tx: Transaction, action_id: str) -> None:
        action = tx.actions.get(action_id)
        if action and action.state in _WAITING and _is_revoked(tx, action):
            end_unsent(tx, action, State.VOIDED, "delegation_revoked")

    for action_id in await world.storage.view(tenant, waiting):
        await world.storage.transact(tenant, partial(void, action_id=action_id), guards=(action_id,))
        world.bell.ring(action_id)


def _is_revoked(tx: Transaction, action: Action) -> bool:
    """Tell whether an agent's call waits under a delegation that was revoked; what a person asked for is theirs."""
    run = tx.runs.get(action.run_id)
    if run is None or run.delegation_id is None or run.delegation_root is None or action.by.startswith("prs_"):
        return False
    chain = chain_of(tx.authority.delegated_from(run.delegation_root), run.delegation_id)
    return any(one.is_revoked for one in chain)


def _whole(world: World, tx: Transaction, row: Delegation) -> Delegation:
    """Return what a person grants, if their roles permit it at all."""
    _require_window(row.not_before, row.not_after, tx.now)
    roles, person = world.shelf.pages(tx).roles, tx.authority.person(row.grantor_id)
    assert person is not None  # `require_standing` has passed
    if roles is not None and (beyond := out_of_reach(roles, person, row.tools, row.environments)):
        raise Forbidden(
            what="You cannot delegate what you may not do yourself.",
            why=f"No role of yours permits {beyond}.",
            fix="Leave it out, or have somebody grant it whose roles permit it.",
            code="delegation.wider",
            field="tools",
        )
    return row


def _part(
    world: World, tx: Transaction, caller: Caller, row: Delegation, wanted: Wanted, condition: Expression | None
) -> Delegation:
    """Return a part of a delegation that the calling agent holds."""
    whole = tx.authority.delegation(row.parent_id or "")
    if whole is None or whole.agent_id != caller.id:
        raise _unknown(row.parent_id or "")
    tree = tx.authority.delegated_from(whole.root_id)
    chain = chain_of(tree, whole.delegation_id)
    state = state_of(chain, tx.now)
    if state in ("revoked", "expired"):
        raise Forbidden(
            what="Nothing of this delegation can be passed on.",
            why=f"It is {state}.",
            fix="Ask for another one.",
            code="delegation.not_in_force",
        )
    if len(tree) >= TREE_MAX or len(chain) >= DEPTH_MAX:
        raise Conflict(
            what="No further part of this delegation can be passed on.",
            why=f"At most {TREE_MAX} are made of what one person granted, and at most {DEPTH_MAX} below one another.",
            fix="Use one of those that are there, or ask for another delegation.",
            code="delegation.too_many",
        )
    begins = max(tx.now, whole.not_before) if wanted.not_before is None else wanted.not_before
    ends = _end(wanted, begins, whole.not_after)
    conditions = (condition,) if condition else ()
    asked = Reach(row.tools, row.environments, begins, ends, conditions, row.uses_max, row.usd_micros_max)
    part = attenuate(reach_of(held_of(world, tx, tree, whole)), asked)
    _require_window(part.not_before, part.not_after, tx.now)
    return replace(
        row,
        grantor_id=whole.grantor_id,
        root_id=whole.root_id,
        not_before=part.not_before,
        not_after=part.not_after,
        uses_max=part.uses_max,
        usd_micros_max=part.usd_micros_max,
    )


def _require_may_revoke(tx: Transaction, caller: Caller, one: Delegation) -> None:
    agent = tx.authority.agent(one.agent_id)
    by = tx.authority.agent(one.by)
    owners = {each.owner_id for each in (agent, by) if each is not None}
    if caller.id in (one.grantor_id, one.by, one.agent_id, *owners) or caller.may("operator"):
        return
    raise Forbidden(
        what="This delegation is not yours to revoke.",
        why="Whoever granted it may, the owner of the agent that holds it, and an operator.",
        fix="Ask one of them.",
        code="delegation.forbidden",
    )


def _checked(wanted: Wanted) -> Expression | None:
    """Return the condition, once everything that can be told without the database was.

    Raises:
        Malformed: it names the field.
    """
    for word in wanted.tools:
        if not is_tools_word(word):
            raise _malformed("tools", f"{word[:40]!r} names no tools.", "Name a tool, or write `erp.*`.")
    for name in wanted.environments:
        if not NAME.fullmatch(name):
            raise _malformed("environments", f"{name[:40]!r} is no name of an environment.", "Name one of the page.")
    for field, names in (("tools", wanted.tools), ("environments", wanted.environments)):
        if not 0 < len(names) <= NAMES_MAX or len(set(names)) != len(names):
            raise _malformed(field, f"It takes 1 to {NAMES_MAX}, each once.", "Name what is delegated.")
    for field, most in (("uses_max", wanted.uses_max), ("usd_micros_max", wanted.usd_micros_max)):
        if most is not None and not 0 <= most <= INT_MAX:
            raise _malformed(field, "It is no number from 0 to 2^53-1.", "Write such a number, or leave it out.")
    if wanted.not_after is not None and wanted.lasts_us is not None:
        raise _malformed("not_after", "It says twice how long it lasts.", "Give `not_after` or `lasts_s`.")
    if wanted.not_after is None and wanted.lasts_us is None and wanted.parent_id is None:
        raise _malformed("not_after", "A delegation ends.", "Say when, as `not_after` or `lasts_s`.")
    if wanted.condition is None:
        return None
    try:
        condition = compile_condition(wanted.condition)
    except CannotCompile as error:
        raise _malformed("condition", f"{error.what} {error.why}", error.fix) from None
    if condition.returns not in ("bool", "dyn"):
        raise _malformed("condition", f"It yields a {condition.returns}.", "Compare it, so that it is true or false.")
    return condition


def _end(wanted: Wanted, begins: int, else_: int) -> int:
    if wanted.not_after is not None:
        return wanted.not_after
    return else_ if wanted.lasts_us is None else begins + wanted.lasts_us


def _require_window(begins: int, ends: int, now: int) -> None:
    if not (begins < ends and now < ends <= begins + LIFE_MAX_US):
        raise _malformed(
            "not_after",
            "A delegation ends after it begins, later than now, and within 366 days.",
            "Choose such a time.",
        )


def _content(wanted: Wanted) -> list[object]:
    return [
        wanted.agent_id, list(wanted.tools), list(wanted.environments), wanted.purpose, wanted.not_before,
        wanted.not_after, wanted.lasts_us, wanted.condition, wanted.uses_max, wanted.usd_micros_max, wanted.parent_id,
    ]  # fmt: skip


def found(one: Delegation | None, delegation_id: str, caller: Caller) -> Delegation:
    if one is None or (caller.is_agent and caller.id not in (one.agent_id, one.by)):
        raise _unknown(delegation_id)
    return one


def _unknown(delegation_id: str) -> NotFound:
    return NotFound(
        what=f"There is no delegation {delegation_id[:48]}.",
        why="None that you may see has this id.",
        fix="List them with `signoff delegations list`.",
        code="delegation.unknown",
    )


def _malformed(field: str, why: str, fix: str) -> Malformed:
    return Malformed(what="This cannot be delegated.", why=why, fix=fix, path=f"$.{field}", code="delegation.malformed")


def _not_yours(caller: Caller) -> Forbidden:
    why = (
        "An agent passes on a part of what it holds, and names that as `parent`."
        if caller.is_agent
        else "A person grants in their own name; only the agent that holds a delegation makes parts of it."
    )
    fix = "Name `parent`." if caller.is_agent else "Leave `parent` out."
    return Forbidden(what="This delegation is not yours to make.", why=why, fix=fix, code="delegation.forbidden")


def _key_reused(earlier: Delegation) -> Conflict:
    return Conflict(
        what="This idempotency key was used before with other content.",
        why=f"It made delegation {earlier.delegation_id}.",
        fix="Use a new key for a new delegation.",
        code="idempotency.key_reused",
        field="idempotency_key",
    )
