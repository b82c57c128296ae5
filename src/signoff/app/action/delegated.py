# SPDX-License-Identifier: Apache-2.0
"""What a run was begun under, as it stands in the transaction that decides: delegations, and what they were used for.

Nothing is read for a run that was begun under none.
"""

from collections.abc import Iterable
from functools import lru_cache

from signoff.app.world import World
from signoff.core.authority.delegation import Delegated, Delegation, Held, below, chain_of, compile_condition
from signoff.core.authority.rule import CannotCompile, Expression
from signoff.core.errors import SignoffError
from signoff.core.run import Run
from signoff.ports.storage import Transaction


def bearing_of_delegation(world: World, tx: Transaction, run: Run, besides: str) -> Delegated | None:
    """Return the delegation a run was begun under, with those above it and what was done under each.

    What is summed is read in the transaction that decides, under the guard of the root, so that no two calls take what
    is left for one.

    Args:
        besides: the action that is decided, which is not counted; '' for one that is not recorded yet.
    """
    if run.delegation_id is None or run.delegation_root is None:
        return None
    tree = tx.authority.delegated_from(run.delegation_root)
    chain = chain_of(tree, run.delegation_id)
    if not chain or chain[0].agent_id != run.agent_id or chain[-1].grantor_id != run.principal_id:
        return Delegated((), None)
    held = tuple(held_of(world, tx, tree, one, besides) for one in chain)
    return Delegated(held, tx.authority.person(run.principal_id))


def held_of(
    world: World, tx: Transaction, tree: Iterable[Delegation], one: Delegation, besides: str = "", *, all_: bool = False
) -> Held:
    """Return a delegation with its condition, and what was done under it and its parts.

    Args:
        all_: sum it up also where nothing is capped.
    """
    used = spent = 0
    if all_ or one.uses_max is not None or one.usd_micros_max is not None:
        for part in sorted(below(tree, one.delegation_id)):
            more_used, more_spent = tx.sums.delegated(part, besides)
            used, spent = used + more_used, spent + more_spent
    if one.condition is None:
        return Held(one, None, True, used, spent)
    try:
        text = world.keyring.open(tx, one.delegation_id, "condition")
        return Held(one, _compiled(text), True, used, spent)
    except (SignoffError, CannotCompile):
        return Held(one, None, False, used, spent)


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Expression:
    return compile_condition(text)
