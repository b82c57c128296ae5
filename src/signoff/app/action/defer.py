# SPDX-License-Identifier: Apache-2.0
"""Put off what waits: a hold ends later; of an approval it is kept who looked and until when they want to see no more.

An approval at which nobody has looked by half of its time is told of louder. Silence is no decision, and no timer makes
one of it.
"""

import logging

from signoff.app import record
from signoff.app.action import holds
from signoff.app.action.case import found, load, require_standing
from signoff.app.world import World
from signoff.core.action import approval
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Forbidden
from signoff.core.principal import Caller, require_person
from signoff.ports.storage import Transaction

log = logging.getLogger("signoff.defer")


async def defer(world: World, caller: Caller, action_id: str, digest: str, reason: str, until: int | None) -> Action:
    """Put off what waits for a person until a time; of an approval nothing moves, its deadline neither.

    Args:
        digest: of what this person saw.
        until: microseconds since 1970.

    Raises:
        Forbidden: an agent, or a person without a role that decides it.
        Conflict: it does not wait any more, or something else waits now.
        Malformed: the time is none to which it can be put off.
    """
    require_person(caller)
    case = await world.storage.view(caller.tenant, lambda tx: load(world, tx, action_id))
    if case.action.state is State.HELD:
        return await holds.decide(world, caller, case, "defer", digest, reason, until)
    said = case.seal.seal(action_id, f"defer.{case.action.seq + 1}", {"by": caller.id, "reason": reason})

    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(action_id), action_id)
        require_standing(tx, caller)
        person = tx.authority.person(caller.id)
        if person is None:
            raise Forbidden("You cannot put this off.", "You are no person of this tenant.", "Ask an admin.")
        approval.may_edit(action, approval.duties_of(action), person, digest, tx.now)
        holds.require_unmoved(case, action)
        end = approval.deferred_to(action, until, tx.now)
        return record.move(
            tx, action, "action.deferred", [said],
            seen_by=caller.id, seen_at=tx.now, deferred_until=end, look_at=end, escalated_at=None,
        )  # fmt: skip

    action = await world.storage.transact(caller.tenant, body, guards=(action_id,))
    world.bell.ring(action_id)
    return action


async def escalate(world: World, tenant: str, action_id: str) -> Action:
    """Mark an approval at which nobody has looked in time; whoever votes, edits or puts it off ends that."""

    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(action_id), action_id)
        if action.state is not State.PENDING_APPROVAL or action.look_at is None or tx.now < action.look_at:
            return action
        return record.move(tx, action, "action.escalated", escalated_at=tx.now, look_at=None)

    action = await world.storage.transact(tenant, body, guards=(action_id,))
    log.warning("%s: nobody has looked at the approval it waits for", action_id)
    world.bell.ring(action_id)
    return action
