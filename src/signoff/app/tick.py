# SPDX-License-Identifier: Apache-2.0
"""All timers of a node: everything that becomes due because time has passed, or because a process died.

A wait is a row, not a thread: whatever `tick` finds, it finds again after a restart.
"""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from signoff.app.action.case import found, load
from signoff.app.action.defer import escalate
from signoff.app.action.ending import end_sent, end_unsent
from signoff.app.action.execute import BEGIN_WITHIN_US, execute, is_ready
from signoff.app.action.holds import end_window
from signoff.app.action.late import look_once_more
from signoff.app.action.lease import keep_leases
from signoff.app.action.plans import onward_plan
from signoff.app.action.propose import onward
from signoff.app.action.receipts import sign_receipts
from signoff.app.action.retention import erase_aged
from signoff.app.action.settle import last_send, settle
from signoff.app.action.steps import steps_of
from signoff.app.action.sweep import begin_sweeps
from signoff.app.authority.delegations import void_revoked
from signoff.app.authority.halts import stop_covered
from signoff.app.authority.policies import void_withdrawn
from signoff.app.authority.subjects import finish_erasures
from signoff.app.integrate import integrate, mirror_head
from signoff.app.world import World
from signoff.core.action import plan
from signoff.core.action.hold import is_asking
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import SignoffError
from signoff.ports.storage import Transaction

log = logging.getLogger("signoff.tick")
AT_ONCE = 200
# A leap second is one, and what keeps a clock right moves it by fractions; a step of two is somebody's doing.
JUMP_US = 2_000_000
RESUMED = (State.PROPOSED, State.APPROVED, State.DISPATCHING)


async def tick(world: World, tenant: str) -> None:
    """Do once whatever is due now.

    Halts and withdrawals, lost leases, deadlines and look-ups, interrupted legs, what has reached its age, receipts,
    the checkpoint.
    """
    watch_clock(world)
    if world.is_read_only:
        return
    now = world.clock.now()
    await stop_covered(world, tenant)
    await void_withdrawn(world, tenant)
    await void_revoked(world, tenant)
    await keep_leases(world, tenant)
    await _act_on_due(world, tenant, now)
    await _act_on_holds(world, tenant, now)
    await _resume(world, tenant)
    await erase_aged(world, tenant)
    await finish_erasures(world, tenant)
    await begin_sweeps(world, tenant)
    await sign_receipts(world, tenant)
    await integrate(world, tenant)


def watch_clock(world: World) -> None:
    """Tell once of each jump of the machine's clock against the one that decides, and once when it is back."""
    jump = world.clock.jump_us()
    if abs(jump - world.clock_jump_us) < JUMP_US:
        return
    world.clock_jump_us = jump
    if abs(jump) < JUMP_US:
        log.warning("the machine's clock agrees with the node's own again")
        return
    log.error(
        "the machine's clock is %.1f s %s the node's own, which goes on as before and decides: set the machine's right,"
        " or restart the server if it is right now",
        abs(jump) / 1_000_000,
        "ahead of" if jump > 0 else "behind",
    )


async def finish(world: World, tenant: str, within_s: float) -> None:
    """Sign, integrate and mirror what a stop would else leave to the next start.

    Never raises and never takes longer than `within_s` seconds: a disk that hangs does not hold up a stop, and what is
    left over is found again by the first tick.
    """
    if world.is_read_only:
        return
    try:
        async with asyncio.timeout(within_s):
            while await sign_receipts(world, tenant):
                pass
            while await integrate(world, tenant):
                pass
            await mirror_head(world, tenant)  # a tick that was cut short may have recorded one and not come to that
    except TimeoutError:
        log.warning("not everything could be signed and integrated within %.1f s; the next start does it", within_s)
    except Exception as error:  # noqa: BLE001  # whatever it is, a stop goes on
        why = error.code if isinstance(error, SignoffError) else type(error).__name__
        log.warning("not everything could be signed and integrated before the stop (%s); the next start does it", why)


async def _act_on_due(world: World, tenant: str, now: int) -> None:
    for action in await world.storage.view(tenant, lambda tx: tx.actions.due(now, AT_ONCE)):
        if action.state is State.IN_DOUBT:
            _start(world, action, settle(world, tenant, action.action_id))
        elif action.state is State.FAILED:
            _start(world, action, look_once_more(world, tenant, action.action_id))
        elif world.legs.is_running(action.action_id):
            continue
        elif action.expires_at is not None and action.expires_at > now:
            await escalate(world, tenant, action.action_id)
        else:
            await _expire(world, tenant, action.action_id)


async def _act_on_holds(world: World, tenant: str, now: int) -> None:
    """Send what was released or whose window lets it go, and put the rest of what is over before people."""
    after = ""
    while True:
        page = await world.storage.view(
            tenant,
            lambda tx, after=after: tx.actions.held_over(now, after, AT_ONCE),  # type: ignore[misc]
        )
        for action in page:
            if is_ready(action):
                _start(world, action, execute(world, tenant, action.action_id))
            elif is_asking(action, now) and not world.legs.is_running(action.action_id):
                await end_window(world, tenant, action.action_id)
        if len(page) < AT_ONCE:
            return
        after = page[-1].action_id


async def _expire(world: World, tenant: str, action_id: str) -> None:
    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(action_id), action_id)
        is_waiting = action.state in (State.PENDING_APPROVAL, State.APPROVED)
        if not is_waiting or action.expires_at is None or tx.now < action.expires_at:
            return action
        return end_unsent(tx, action, State.EXPIRED, "expired")

    await world.storage.transact(tenant, body, guards=(action_id,))
    world.bell.ring(action_id)


async def _resume(world: World, tenant: str) -> None:
    """Go on with legs that a crash interrupted, or that waited for a resource."""
    after = ""
    plans: dict[str, list[Action]] = {}  # each is read once, however many of its steps wait for their turn
    while True:
        page = await world.storage.view(
            tenant,
            lambda tx, after=after: tx.actions.in_states(RESUMED, after, AT_ONCE),  # type: ignore[misc]
        )
        for action in page:
            if action.is_undecided and action.plan_id is not None:
                if action.plan_step == 1:
                    _start(world, action, onward_plan(world, action))
            elif action.is_undecided:
                _start(world, action, onward(world, action))
            elif is_ready(action):
                if action.plan_id is not None:
                    if action.plan_id not in plans:
                        plans[action.plan_id] = await world.storage.view(tenant, partial(steps_of, action=action))
                    if plan.must_wait(action, plans[action.plan_id]):
                        continue
                _start(world, action, execute(world, tenant, action.action_id))
            elif action.effect == "read" and not world.legs.is_running(action.action_id):
                await _lose_read(world, tenant, action.action_id)
        if len(page) < AT_ONCE:
            return
        after = page[-1].action_id


async def _lose_read(world: World, tenant: str, action_id: str) -> None:
    """Fail a read whose node is gone: a lost answer is `failed`, it knows no doubt, and a read holds no lease."""

    def body(tx: Transaction) -> Action:
        case = load(world, tx, action_id)
        action = case.action
        # On this node it would have begun by now; on another it would have been answered.
        until = (action.claimed_at or 0) + BEGIN_WITHIN_US if world.is_alone else last_send(case)
        if action.state is not State.DISPATCHING or tx.now < until:
            return action
        return end_sent(world, tx, action, "answer_lost")

    await world.storage.transact(tenant, body, guards=(action_id,))
    world.bell.ring(action_id)


def _start(world: World, action: Action, leg: Coroutine[Any, Any, Action]) -> None:
    if world.legs.is_running(action.action_id):
        leg.close()
        return
    world.legs.start(action.action_id, _quietly(action, leg))


async def _quietly(action: Action, leg: Coroutine[Any, Any, Action]) -> Action:
    try:
        return await leg
    except SignoffError as error:
        # It stays as it is and is found again by the next tick.
        log.warning("%s could not go on: %s", action.action_id, error.code)
        return action
