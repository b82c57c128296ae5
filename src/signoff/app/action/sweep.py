# SPDX-License-Identifier: Apache-2.0
"""Find writes without a receipt: what a system lists under our keys, held against the actions that are recorded.

A sweep reads and changes nothing. The list is read first and the actions after it: a write is recorded before it is
sent, so that whatever is listed and not recorded then was written past Signoff. What a node found it keeps in memory;
after a restart it is found again, as long as it lies within the period.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any, Final

from signoff.app.action.case import evaluated
from signoff.app.action.documents import Document, when
from signoff.app.action.gather import ask
from signoff.app.sweeps import Swept, Unreceipted
from signoff.app.world import World
from signoff.core.action.lifecycle import IN_FLIGHT, MAY_BE_DONE, Action, State
from signoff.core.authority.contract import Contract, ToolContract
from signoff.core.authority.sweep import Sweep
from signoff.core.errors import SignoffError
from signoff.core.principal import Caller, require
from signoff.ports.storage import Transaction

log = logging.getLogger("signoff.sweep")
BACK_US: Final = 7 * 24 * 3_600_000_000
LOOK_US: Final = 60_000_000
LISTED_MAX: Final = 20_000
KEY_MAX: Final = 200
AT_ONCE: Final = 200
# Doubt settles by itself or asks a person.
STANDS: Final = IN_FLIGHT | {State.SUCCEEDED, State.REVERSING, State.REVERSED, State.REVERSAL_FAILED}


async def begin_sweeps(world: World, tenant: str) -> None:
    """Begin a sweep of each system whose last one is as old as the node's setting says; looks once a minute."""
    sweeps, now = world.sweeps, world.clock.now()
    if not sweeps.each_s or now < sweeps.looked.get(tenant, -LOOK_US) + LOOK_US:
        return
    sweeps.looked[tenant] = now
    for system, contract in await world.storage.view(tenant, partial(_systems, world)):
        begun = sweeps.begun.get((tenant, system))
        if begun is None or now >= begun + sweeps.each_s * 1_000_000:
            sweeps.begun[tenant, system] = now
            world.legs.start(f"sweep.{tenant}.{system}", _sweep(world, tenant, system, contract, now - BACK_US))


async def sweep_now(world: World, caller: Caller, since: int | None = None) -> list[Swept]:
    """Look through every system now; what is found stands until the next sweep if the period is a whole one.

    Args:
        since: beginning of the period, microseconds since 1970; by default seven days ago.

    Raises:
        Forbidden: neither auditor nor operator.
    """
    require(caller, "operator", "auditor")
    found: list[Swept] = []
    begin = world.clock.now() - BACK_US if since is None else since
    for system, contract in await world.storage.view(caller.tenant, partial(_systems, world)):
        found += await _sweep(world, caller.tenant, system, contract, begin)
    return found


def last_sweeps(world: World, caller: Caller) -> list[Swept]:
    """Return the last sweep of each tool, as this node remembers it.

    Raises:
        Forbidden: neither auditor nor operator.
    """
    require(caller, "operator", "auditor")
    return list(world.sweeps.of(caller.tenant))


def sweep_document(swept: Collection[Swept]) -> Document:
    """Return what people are shown of sweeps."""
    return {
        "items": [
            {
                "system": one.system,
                "tool": one.tool,
                "since": when(one.since),
                "at": when(one.at),
                "listed": one.listed,
                "problem": one.problem or None,
                "found": [{"key": found.key, "why": found.why, "action_id": found.action_id} for found in one.found],
            }
            for one in swept
        ],
        "found": sum(len(one.found) for one in swept),
    }


def _systems(world: World, tx: Transaction) -> list[tuple[str, Contract]]:
    pages = [(page.name, world.shelf.contract(tx, page.digest)) for page in tx.authority.publications("contract")]
    return [(name, contract) for name, contract in pages if any(tool.sweep for tool in contract.tools.values())]


async def _sweep(world: World, tenant: str, system: str, contract: Contract, since: int) -> list[Swept]:
    """Look through one system: each of its servers, each tool that names a list."""
    done: list[Swept] = []
    for name, tool in contract.tools.items():
        if tool.sweep is None:
            continue
        keys: list[str | None] = []
        problem, at = "", world.clock.now()
        for server in contract.reached:
            try:
                keys += await _listed(world, replace(contract, server=server), tool.sweep, since)
            except SignoffError as error:
                problem = f"{error.what} {error.why}"
        before = world.sweeps.last.get((tenant, system, name))
        known = {one.key for one in before.found if one.why == "unknown"} if before else set()
        found = await _unreceipted(world, tenant, system, tool, keys, known)
        done.append(Swept(system, name, since, at, len(keys), found, problem))
        _tell(before, done[-1])
    if since <= world.clock.now() - BACK_US:
        world.sweeps.keep(
            tenant, [_as_standing(world.sweeps.last.get((tenant, system, one.tool)), one) for one in done]
        )
    return done


async def _listed(world: World, contract: Contract, sweep: Sweep, since: int) -> list[str | None]:
    """Return the keys that a system lists since an instant; None for an item without one.

    Raises:
        SignoffError: it gave no list, or a longer one than is looked through.
    """
    await world.systems.look(contract.server)
    reader = contract.tools[sweep.tool]
    result = await ask(world, contract, reader, evaluated(sweep.args, {"since": when(since)}))
    items = sweep.items.value({"result": dict(result)})
    if not isinstance(items, list) or len(items) > LISTED_MAX:
        raise SignoffError(
            f"{sweep.tool} gave no list that can be looked through.",
            f"It is no list, or has more than {LISTED_MAX} items.",
            "Correct `sweep.items`; or have the tool answer fewer.",
            code="sweep.unusable",
        )
    return [_key(sweep, item) for item in items]


def _key(sweep: Sweep, item: Any) -> str | None:
    """Return the key of an item; None where it has none that could be anybody's."""
    try:
        key = sweep.key.value({"item": item if isinstance(item, dict) else {}})
    except SignoffError:
        return None
    return key if isinstance(key, str) and key else None


async def _unreceipted(
    world: World, tenant: str, system: str, tool: ToolContract, keys: Collection[str | None], known: Collection[str]
) -> tuple[Unreceipted, ...]:
    """Return the writes that no receipt stands for.

    Args:
        known: keys that no action had at the sweep before, and so none ever will: they are minted with the action.
    """
    actions = await _actions_of(world, tenant, {key for key in keys if key is not None} - set(known))
    found: dict[tuple[str, str], Unreceipted] = {}
    for key in keys:
        action = actions.get(key) if key is not None else None
        shown = (key or "")[:KEY_MAX]
        if key is None or action is None:
            one = Unreceipted(system, tool.name, shown, "no_key" if key is None else "unknown")
        elif action.state in STANDS or (action.state is State.FAILED and action.reason in MAY_BE_DONE):
            continue
        else:
            one = Unreceipted(system, tool.name, shown, "not_done", action.action_id)
        found[one.key, one.why] = one
    return tuple(found.values())


async def _actions_of(world: World, tenant: str, keys: set[str]) -> dict[str, Action]:
    """Return the actions that have these keys; it looks from the newest back until each was found, or at all."""
    found: dict[str, Action] = {}
    before: str | None = None
    while len(found) < len(keys):
        page = await world.storage.view(
            tenant,
            lambda tx, before=before: tx.actions.newest(before, AT_ONCE),  # type: ignore[misc]
        )
        found |= {action.key: action for action in page if action.key in keys}
        if len(page) < AT_ONCE:
            break
        before = page[-1].action_id
    return found


def _as_standing(before: Swept | None, now: Swept) -> Swept:
    """Return what stands from now on: a sweep without an answer takes nothing back of what was found."""
    if not now.problem or before is None:
        return now
    return replace(now, found=tuple(dict.fromkeys((*before.found, *now.found))))


def _tell(before: Swept | None, now: Swept) -> None:
    """Log what is new: each find once, and each time why there is no list."""
    if now.problem:
        log.warning("the writes of %s in %s could not be looked through: %s", now.tool, now.system, now.problem[:300])
    new = [one for one in now.found if before is None or one not in before.found]
    if new:
        log.error(
            "%d write(s) of %s in %s have no receipt: something writes with these credentials past Signoff. See them"
            " with `signoff sweep`; take the writes back in the system, and change the credentials.",
            len(new),
            now.tool,
            now.system,
        )
