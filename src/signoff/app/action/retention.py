# SPDX-License-Identifier: Apache-2.0
"""Retention: what is kept of a run goes when it has reached the age that its page names; its key is destroyed.

The log stays, and says of each run when and how much was erased. Nothing goes that is under way or in doubt, that a
person has yet to settle, or that may still be undone (`core/action/retention.py`).
"""

import logging

from signoff.app import record
from signoff.app.action.late import is_open
from signoff.app.world import World
from signoff.core.action.lifecycle import Action
from signoff.core.action.retention import erased_from
from signoff.core.authority.envelope import DAY_US, Envelope
from signoff.core.errors import SignoffError
from signoff.core.run import CLOSED, Run, RunState
from signoff.ports.storage import Transaction

log = logging.getLogger("signoff.retention")
AT_ONCE = 100
REWRITTEN_MAX = 256 * 1024 * 1024  # nobody asked for it now, and nothing commits for as long as it takes
EACH_US = 60_000_000  # ages are days: a look a minute is often enough


async def erase_aged(world: World, tenant: str) -> int:
    """Erase what has reached its age, at most once a minute; returns of how many runs."""
    now, last = world.clock.now(), world.aged_at.get(tenant)
    if last is not None and now < last + EACH_US:
        return 0
    world.aged_at[tenant] = now
    erased = 0
    for digest in await world.storage.view(tenant, lambda tx: tx.runs.unerased_pages()):
        try:
            erased += await _erase_under(world, tenant, digest)
        except SignoffError as error:  # a page that no longer loads keeps what was done under it
            log.warning("what is kept under the envelope %s could not be erased: %s", digest, error.code)
    if erased:
        await _rewrite(world, tenant, now)
        log.info("%d runs had reached their age, and what was kept of them is erased", erased)
    return erased


async def _rewrite(world: World, tenant: str, now: int) -> None:
    """Rewrite the database's files, so that nothing of what was erased lingers in them; not often, nor a large one.

    Its keys are destroyed and its rows overwritten by then. What may linger are copies that the engine made of pages.
    """
    last = world.rewritten_at.get(tenant)
    if last is not None and now < last + DAY_US:
        return
    try:
        if await world.storage.scrub(REWRITTEN_MAX):
            world.rewritten_at[tenant] = now
    except SignoffError as error:
        log.warning("the database could not be rewritten after runs had reached their age: %s", error.why)


async def _erase_under(world: World, tenant: str, digest: str) -> int:
    """Erase the runs under one envelope that have reached their age."""
    envelope = await world.storage.view(tenant, lambda tx: world.shelf.envelope(tx, digest))
    until = world.clock.now() - envelope.store_transcripts_days * DAY_US
    erased, after = 0, (0, "")
    while True:
        page = await world.storage.view(
            tenant,
            lambda tx, after=after: tx.runs.unerased(digest, until, after, AT_ONCE),  # type: ignore[misc]
        )
        for run in page:
            if await world.storage.view(tenant, lambda tx, run=run: _is_due(world, tx, envelope, run)):  # type: ignore[misc]
                erased += await _erase(world, tenant, envelope, run)
        if len(page) < AT_ONCE:
            return erased
        after = page[-1].started_at, page[-1].run_id


async def _erase(world: World, tenant: str, envelope: Envelope, run: Run) -> int:
    def body(tx: Transaction) -> bool:
        now = tx.runs.get(run.run_id)
        if now is None or now.erased_at is not None or not _is_due(world, tx, envelope, now):
            return False
        if now.state not in CLOSED:  # its agent never closed it, and its time is up
            now = record.move(tx, now, "run.expired", state=RunState.EXPIRED, ended_at=tx.now)
        count = tx.payloads.erase_run(now.run_id)
        tx.payloads.destroy_key(now.payload_key)
        record.move(tx, now, "run.erased", erased_at=tx.now, erased_payloads=count)
        return True

    is_erased = await world.storage.transact(tenant, body, guards=(run.run_id,))
    if is_erased:
        world.runs.pop((tenant, run.run_id), None)
        world.keyring.forget(tenant, run.payload_key)
        world.remembered.forget(tenant)
    return int(is_erased)


def _is_due(world: World, tx: Transaction, envelope: Envelope, run: Run) -> bool:
    actions = tx.actions.of_run(run.run_id)
    undoable = {action.action_id for action in actions if action.is_write and _has_undo(world, tx, action)}
    unsettled = {action.action_id for action in actions if is_open(action)}
    at = erased_from(envelope, run, actions, undoable, unsettled)
    return at is not None and tx.now >= at


def _has_undo(world: World, tx: Transaction, action: Action) -> bool:
    try:
        tool = world.shelf.contract(tx, action.contract).tools.get(action.tool)
    except SignoffError:
        return False  # denied for want of a contract: nothing was written
    return tool is not None and tool.undo is not None
