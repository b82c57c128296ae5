# SPDX-License-Identifier: Apache-2.0
"""What a write left behind: the outcome that was kept of it, and whether its target has moved since."""

from signoff.app.action.case import Case, load, names_of
from signoff.app.action.gather import read_back
from signoff.app.world import World
from signoff.core.action import undo as rules
from signoff.core.action.lifecycle import Action
from signoff.core.authority.contract import Contract
from signoff.ports.storage import Transaction


async def conflict_of(world: World, tenant: str, action_id: str) -> tuple[str, str] | None:
    """Return reason and detail of what moved in the target since an action's write, naming both values, or None."""

    def kept(tx: Transaction) -> tuple[Case, object, object, Contract]:
        case = load(world, tx, action_id)
        check = case.tool.undo.check if case.tool.undo else None
        present = world.shelf.pages(tx).tool(check.read, case.run.environment) if check else None
        image = world.keyring.open(tx, action_id, f"image.{case.action.fence}")
        return case, result_of(world, tx, case.action), image, present[1] if present else case.contract

    case, outcome, image, contract = await world.storage.view(tenant, kept)
    check = case.tool.undo.check if case.tool.undo else None
    if check is None:
        return None
    await world.systems.look(contract.server)
    now, problem, is_outage = await read_back(
        world, contract, check.read, check.args, names_of(world, case, result=outcome)
    )
    if now is None:
        return "target_unavailable" if is_outage else "conflict", f"The target cannot be read now: {problem}"
    moved = rules.conflict(image if isinstance(image, dict) else None, now, check.unchanged)
    return ("conflict", f"The target moved since the write: {moved}.") if moved else None


def outcome_of(world: World, tx: Transaction, action: Action) -> dict[str, object] | None:
    """Return the last outcome kept of an action: `{"result": ...}` or `{"error": ...}`, None before any."""
    name = outcome_name(tx, action)
    value = world.keyring.open(tx, action.action_id, name) if name else None
    return value if isinstance(value, dict) else None


def outcome_name(tx: Transaction, action: Action) -> str | None:
    """Return the name under which the last outcome of an action is kept: it is named by the entry it followed."""
    if action.outcome is None:
        return None
    names = (f"outcome.{seq}" for seq in range(action.seq, 0, -1))
    return next((name for name in names if tx.payloads.get(action.action_id, name)), None)


def result_of(world: World, tx: Transaction, action: Action) -> object:
    """Return the result that an action's target answered; `{}` where a person said it was done."""
    return (outcome_of(world, tx, action) or {}).get("result", {})
