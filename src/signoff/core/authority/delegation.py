# SPDX-License-Identifier: Apache-2.0
"""Delegations: what a person lets an agent do in their name, and for how long; never wider than that person.

A delegation says which agent, which tools, which environments, from when to when, under what condition over the
arguments, how often and for how much money in all, and for what purpose. It counts for what it grants, cut by what its
grantor may do now (contract, section 4). An agent may pass a part of it on to another agent. A part is held against
every delegation above it with each call, and what is done under it uses these up as well; so
`tests/core/authority/test_delegation.py` can state that no part ever covers what the whole does not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from signoff.core.authority.names import ARGS_ONLY
from signoff.core.authority.reach import is_within, means
from signoff.core.authority.rule import CannotEvaluate, Expression, compile_expression
from signoff.core.errors import Forbidden
from signoff.core.principal import Person

DEPTH_MAX = 8  # delegations above one
TREE_MAX = 256  # parts of what one person granted, revoked ones too


@dataclass(frozen=True, slots=True)
class Delegation:
    """One delegation as it is kept. Times are microseconds since 1970, ends excluded."""

    tenant: str
    delegation_id: str
    seq: int
    head: str
    agent_id: str
    grantor_id: str  # the person in whose name it is; of a part, that of the whole
    by: str  # who made it: that person, or the agent that passed a part on
    root_id: str  # what the person granted; itself, where it is no part
    tools: tuple[str, ...]
    environments: tuple[str, ...]
    not_before: int
    not_after: int
    granted_at: int
    purpose: str  # commitment
    payload_key: str
    parent_id: str | None = None
    condition: str | None = None  # commitment
    uses_max: int | None = None
    usd_micros_max: int | None = None
    is_revoked: bool = False
    revoked_by: str | None = None
    revoked_at: int | None = None
    request_key: str | None = None
    request_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a delegation goes: everything about it but whose it is. A cap that is None caps nothing."""

    tools: tuple[str, ...]
    environments: tuple[str, ...]
    not_before: int
    not_after: int
    conditions: tuple[Expression, ...] = ()
    uses_max: int | None = None
    usd_micros_max: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A delegation with what was done under it so far, its parts included, without the call that is decided."""

    delegation: Delegation
    condition: Expression | None = None
    is_readable: bool = True  # False where its condition was erased or does not open: it then covers nothing
    used: int = 0
    spent_usd_micros: int = 0


@dataclass(frozen=True, slots=True)
class Delegated:
    """What a run was begun under: its own delegation first, then each above it; and the person who granted it."""

    chain: tuple[Held, ...]
    grantor: Person | None


def compile_condition(text: str) -> Expression:
    """Return the condition of a delegation, which speaks of `args`.

    Raises:
        CannotCompile: no CEL, or a name that is not there.
    """
    return compile_expression(text, ARGS_ONLY)


def reach_of(held: Held) -> Reach:
    """Return how far one delegation goes by itself."""
    one = held.delegation
    conditions = (held.condition,) if held.condition is not None else ()
    return Reach(
        one.tools, one.environments, one.not_before, one.not_after, conditions, one.uses_max, one.usd_micros_max
    )


def is_in_window(reach: Reach, now: int) -> bool:
    """Tell whether a delegation has begun and not ended."""
    return reach.not_before <= now < reach.not_after


def covers(
    reach: Reach,
    tool: str,
    environment: str,
    args: Mapping[str, Any],
    now: int,
    used: int,
    spent: int,
    *,
    cost: int = 0,
    is_read: bool = False,
    is_undo: bool = False,
) -> str:
    """Return '' where a delegation covers a call, else the reason why it does not.

    Args:
        args: as expressions see them.
        used: how many calls that do something it has covered already.
        spent: micro-dollars settled and set aside for all it has covered.
        cost: of this call.
        is_read: a read takes no use; the page bounds how many calls a run makes.
        is_undo: it takes back what was covered, by a tool and arguments that are the contract's choice.
    """
    if not is_in_window(reach, now):
        return "delegation_expired"
    if environment not in reach.environments:
        return "delegation_narrower"
    if not is_undo and not (any(means(word, tool) for word in reach.tools) and _hold(reach.conditions, args)):
        return "delegation_narrower"
    is_used_up = not is_read and reach.uses_max is not None and used >= reach.uses_max
    if is_used_up or (reach.usd_micros_max is not None and spent + cost > reach.usd_micros_max):
        return "delegation_used_up"
    return ""


def attenuate(parent: Reach, child: Reach) -> Reach:
    """Return a part of a delegation: what `child` says, with each condition of the whole; what it leaves out is kept.

    Args:
        child: a cap that is None is that of the whole; its conditions come on top.

    Raises:
        Forbidden: code `delegation.wider`; it names what is wider than the whole.
    """
    if wider := _wider(parent, child):
        raise Forbidden(
            what="This would be more than there is to pass on.",
            why=f"Its {wider} {'goes' if wider == 'window' else 'go'} beyond the delegation that it is a part of.",
            fix="Ask for less, or have the person who granted the whole grant this.",
            code="delegation.wider",
            field=wider,
        )
    return replace(
        child,
        conditions=(*parent.conditions, *child.conditions),
        uses_max=parent.uses_max if child.uses_max is None else child.uses_max,
        usd_micros_max=parent.usd_micros_max if child.usd_micros_max is None else child.usd_micros_max,
    )


def below(tree: Iterable[Delegation], delegation_id: str) -> set[str]:
    """Return the ids of a delegation and of all its parts, and theirs.

    Args:
        tree: every delegation of its root.
    """
    parts: dict[str | None, list[str]] = {}
    for one in tree:
        parts.setdefault(one.parent_id, []).append(one.delegation_id)
    found: set[str] = set()
    rest = [delegation_id]
    while rest:
        one_id = rest.pop()
        if one_id not in found:
            found.add(one_id)
            rest += parts.get(one_id, ())
    return found


def chain_of(tree: Iterable[Delegation], delegation_id: str) -> tuple[Delegation, ...]:
    """Return a delegation and each above it; () where one of them is missing, or they name each other in a ring."""
    by_id = {one.delegation_id: one for one in tree}
    chain: list[Delegation] = []
    next_id: str | None = delegation_id
    while next_id is not None:
        one = by_id.get(next_id)
        if one is None or len(chain) > DEPTH_MAX:
            return ()
        chain.append(one)
        next_id = one.parent_id
    return tuple(chain)


def _wider(parent: Reach, child: Reach) -> str:
    if not child.tools or not all(is_within(word, parent.tools) for word in child.tools):
        return "tools"
    if not child.environments or not set(child.environments) <= set(parent.environments):
        return "environments"
    if child.not_before < parent.not_before or child.not_after > parent.not_after:
        return "window"
    if _is_over(child.uses_max, parent.uses_max):
        return "uses"
    return "dollars" if _is_over(child.usd_micros_max, parent.usd_micros_max) else ""


def _is_over(mine: int | None, most: int | None) -> bool:
    return mine is not None and most is not None and mine > most


def _hold(conditions: Iterable[Expression], args: Mapping[str, Any]) -> bool:
    try:
        return all(condition.holds({"args": args}) for condition in conditions)
    except CannotEvaluate:
        return False
