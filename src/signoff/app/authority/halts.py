# SPDX-License-Identifier: Apache-2.0
"""The kill switch: engage, stop what is not sent, lift; what was sent is reported as in flight."""

from dataclasses import dataclass
from functools import partial

from signoff.app import record
from signoff.app.action.ending import end_unsent
from signoff.app.action.propose import request_digest
from signoff.app.world import World
from signoff.core.action.lifecycle import IN_FLIGHT, NOT_SENT, Action, State
from signoff.core.authority.halt import Halt, Scope, in_force, read_scope
from signoff.core.errors import Conflict, NotFound
from signoff.core.principal import Caller, require
from signoff.ports.storage import Transaction

AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Effect:
    """A halt, how many actions it stopped, and what had been sent before it."""

    halt: Halt
    stopped: int
    in_flight: tuple[Action, ...]


async def engage(
    world: World, caller: Caller, scope: str, reason: str, stop_undo: bool = False, idempotency_key: str | None = None
) -> Effect:
    """Stop everything of a scope that is not sent; new proposals are denied from the next transaction on.

    Args:
        scope: `tenant`, `workflow:NAME`, `agent:ID` (or its name), or `tool:NAME`.
        stop_undo: stop reversals asked by people too.

    Raises:
        Forbidden: the caller is no operator.
        Malformed: no such scope.
        NotFound: no such agent; a halt that covers nobody would be taken for one that does.
    """
    require(caller, "operator")
    kind, target = read_scope(scope)
    halt_id = world.mint("hlt")
    wrapped, seal = world.keyring.mint(caller.tenant)
    kept = seal.seal(halt_id, "reason", reason)
    request_key = request_digest(caller, "/halts", idempotency_key) if idempotency_key else None
    request_tag = world.tags[caller.tenant].tag([scope, reason, stop_undo]) if request_key else None

    def body(tx: Transaction) -> Halt:
        if request_key and (earlier := tx.authority.halt_by_request(request_key)):
            if earlier.request_tag != request_tag:
                raise Conflict(
                    what="This idempotency key was used before with other content.",
                    why=f"It made halt {earlier.halt_id}.",
                    fix="Use a new key for a new halt.",
                    code="idempotency.key_reused",
                    field="idempotency_key",
                )
            return earlier
        covered = _agent_id(tx, target) if kind is Scope.AGENT else target
        tx.payloads.add_key(wrapped)
        halt = Halt(
            tx.tenant, halt_id, 0, "", kind, covered, stop_undo, caller.id, tx.now, kept.commitment, wrapped.key_id,
            request_key=request_key, request_tag=request_tag,
        )  # fmt: skip
        return record.begin(tx, halt, "halt.engaged", [kept])

    halt = await world.storage.transact(caller.tenant, body, guards=("halts",))
    stopped = await stop_covered(world, caller.tenant)
    return Effect(halt, stopped, await in_flight(world, caller.tenant, halt))


async def lift(world: World, caller: Caller, halt_id: str) -> Halt:
    """Lift a halt; what it stopped stays stopped.

    Raises:
        NotFound: no such halt.
        Forbidden: the caller is no operator.
    """
    require(caller, "operator")

    def body(tx: Transaction) -> Halt:
        halt = tx.authority.halt(halt_id)
        if halt is None:
            raise NotFound(
                what=f"There is no halt {halt_id[:48]}.",
                why="No halt of this tenant has this id.",
                fix="List them with `signoff halts`.",
                code="halt.unknown",
            )
        if halt.is_lifted:
            return halt
        return record.move(tx, halt, "halt.lifted", is_lifted=True, lifted_by=caller.id, lifted_at=tx.now)

    return await world.storage.transact(caller.tenant, body, guards=("halts",))


async def stop_covered(world: World, tenant: str) -> int:
    """Stop whatever is not sent and falls under a halt in force; returns how many actions that were."""
    stopped, after = 0, ""
    while True:
        batch, after, count = await world.storage.view(tenant, partial(_covered, after=after))
        for action_id in batch:
            stop = partial(_stop, action_id=action_id)
            stopped += await world.storage.transact(tenant, stop, guards=(action_id, "halts"))
            world.bell.ring(action_id)
        if count < AT_ONCE:
            return stopped


async def in_flight(world: World, tenant: str, halt: Halt) -> tuple[Action, ...]:
    """Return what was sent before a halt of its scope and has no outcome yet; the first 200."""

    def body(tx: Transaction) -> tuple[Action, ...]:
        actions = tx.actions.in_states(tuple(IN_FLIGHT), "", AT_ONCE)
        return tuple(action for action in actions if _is_covered(tx, (halt,), action))

    return await world.storage.view(tenant, body)


def _agent_id(tx: Transaction, target: str) -> str:
    agent = tx.authority.agent(target) or tx.authority.agent_named(target)
    if agent is None:
        raise NotFound(
            what=f"Nothing was halted: there is no agent {target[:64]!r}.",
            why="No agent of this tenant has this id or name, so that the halt would cover nothing.",
            fix="Copy the id from `signoff agents`; or halt the tenant, which covers every agent at once.",
            code="halt.agent_unknown",
        )
    return agent.agent_id


def _covered(tx: Transaction, after: str) -> tuple[list[str], str, int]:
    halts = tx.authority.halts_in_force()
    if not halts:
        return [], after, 0
    page = tx.actions.in_states(tuple(NOT_SENT), after, AT_ONCE)
    ids = [action.action_id for action in page if _is_covered(tx, halts, action)]
    return ids, page[-1].action_id if page else after, len(page)


def _is_covered(tx: Transaction, halts: tuple[Halt, ...], action: Action) -> bool:
    run = tx.runs.get(action.run_id)
    assert run is not None
    is_undo = action.reverses is not None and action.by.startswith("prs_")
    return in_force(halts, run.workflow, run.agent_id, action.tool, is_undo=is_undo) is not None


def _stop(tx: Transaction, action_id: str) -> int:
    action = tx.actions.get(action_id)
    if action is None or action.state not in NOT_SENT or not _is_covered(tx, tx.authority.halts_in_force(), action):
        return 0
    end_unsent(tx, action, State.STOPPED, "halted")
    return 1
