# SPDX-License-Identifier: Apache-2.0
"""One send in flight an action: whoever claimed it holds it for 15 s, and longer only while it renews.

A claim is itself a lease, so that a call which is answered within seconds costs no row. One that takes longer is
renewed by its node's timer. Where the holder is gone, what it sent is in doubt, and its fence refuses a late record.
"""

import logging

from signoff.app import record
from signoff.app.action.case import found
from signoff.app.action.ending import end_sent
from signoff.app.world import World
from signoff.core.action.lifecycle import Action, State
from signoff.ports.storage import Lease, Transaction

log = logging.getLogger("signoff.lease")
LEASE_US = 15_000_000
RENEW_US = 5_000_000


async def keep_leases(world: World, tenant: str) -> None:
    """Renew what this node is sending, and put in doubt what is held by no one any longer."""
    alone = world.node if world.is_alone else None
    for lease in await world.storage.view(tenant, lambda tx: tx.leases.aged(tx.now - RENEW_US, alone)):
        if lease.node == world.node and world.legs.is_running(lease.action_id):
            await _renew(world, tenant, lease)
        else:
            await _recover(world, tenant, lease, alone)


def let_go(tx: Transaction, action: Action) -> None:
    """End the lease of a claim; there is a row of it only if it was renewed, which is not done before its time."""
    if action.claimed_at is not None and tx.now >= action.claimed_at + RENEW_US:
        tx.leases.drop(action.action_id)


def is_held(lease: Lease, now: int, alone: str | None) -> bool:
    """Tell whether a lease still holds; where one node is alone, another's ended with its process."""
    return now < lease.until and alone in (None, lease.node)


async def _renew(world: World, tenant: str, lease: Lease) -> None:
    def body(tx: Transaction) -> None:
        action = tx.actions.get(lease.action_id)
        is_mine = action is not None and action.fence == lease.fence and action.state is State.DISPATCHING
        if is_mine and tx.now >= lease.until - LEASE_US + RENEW_US:
            tx.leases.renew(lease.action_id, lease.fence, tx.now + LEASE_US)

    await world.storage.transact(tenant, body, guards=(lease.action_id,))


async def _recover(world: World, tenant: str, lease: Lease, alone: str | None) -> None:
    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(lease.action_id), lease.action_id)
        now = next((one for one in tx.leases.aged(tx.now, alone) if one.action_id == lease.action_id), None)
        if now is None or is_held(now, tx.now, alone):
            return action  # renewed, or its outcome recorded, meanwhile
        if not action.is_write:
            return end_sent(world, tx, action, "answer_lost")  # an egress knows no doubt; it may have left
        tx.leases.drop(action.action_id)
        return record.move(
            tx, action, "action.in_doubt", state=State.IN_DOUBT, reason="lease_lost", doubt_since=tx.now, look_at=tx.now
        )

    if is_held(lease, world.clock.now(), alone):
        return
    action = await world.storage.transact(tenant, body, guards=(lease.action_id,))
    log.warning("%s: the node that sent it is gone; it is %s", action.action_id, action.state)
    world.bell.ring(action.action_id)
