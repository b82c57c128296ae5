# SPDX-License-Identifier: Apache-2.0
"""What a call adds to the impact limits of its page, and what stands in their windows already; what caps have left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from signoff.app.world import World
from signoff.core.action.lifecycle import WITHOUT_EFFECT, Action
from signoff.core.authority.bearing import Bearing
from signoff.core.authority.limit import Counted, Impact, Limit, amount_of
from signoff.core.authority.rule import CannotEvaluate
from signoff.core.authority.spend import Spent, began, whose
from signoff.ports.storage import Transaction


def with_sums(
    world: World, tx: Transaction, b: Bearing, args: Mapping[str, Any], action: Action | None = None
) -> Bearing:
    """Return what bears on a call, with what is added up over other runs: for limits and for caps of its page, if any.

    Args:
        action: the call as it is recorded, or about to be; None for one of which nothing is known yet.
    """
    e = b.envelope
    if not e.limits and not e.spend:
        return b
    spent = spent_of(tx, b, action) if e.spend else ()
    return replace(b, impacts=impacts_of(world, tx, b, args, action.action_id if action else ""), spent=spent)


def spent_of(tx: Transaction, b: Bearing, action: Action | None) -> tuple[Spent, ...]:
    """Return what stands against each cap of the page, without the action's own money, in the period of its proposal.

    A reservation stays in the period in which it was made, however late its action is claimed.
    """
    at = action.proposed_at if action else tx.now
    own = action.reserved_usd_micros + action.settled_usd_micros if action and action.seq else 0
    mine = dict(whose(b.run))
    found = []
    for cap in b.envelope.spend:
        since = began(at, cap.window_us)
        settled, reserved = tx.sums.spent(cap.window_us, since).get((cap.per.value, mine[cap.per.value]), (0, 0))
        found.append(Spent(cap, settled + reserved - own, since + cap.window_us))
    return tuple(found)


def impacts_of(
    world: World, tx: Transaction, b: Bearing, args: Mapping[str, Any], action_id: str
) -> tuple[Impact, ...]:
    """Return what a call adds to each limit of its page about its tool, and what stands in the window already.

    An action keeps the place it was given while it counts for the same amount under the same key, so that a claim sums
    the window that its proposal saw. Where an edit has changed either, it takes the last place anew: what was decided
    since is then in its window, and it can slip in before none of it.

    Args:
        action_id: of a recorded action; '' for one that is not recorded yet.
    """
    if b.contract is None or (b.reversal is not None and b.reversal.by_person):
        return ()
    about = [(nth, limit) for nth, limit in enumerate(b.envelope.limits) if limit.tool == b.tool]
    if not about:
        return ()
    names = {"args": b.live.with_absent(args) if b.live is not None else dict(args)}
    given = {one.key: one for one in tx.sums.counted_of(action_id)} if action_id else {}
    return tuple(_impact(world, tx, b, nth, limit, names, given, action_id) for nth, limit in about)


def counted(b: Bearing, action: Action) -> Sequence[Counted]:
    """Return the rows of what an action counts for as it stands; none where it ends at once without effect."""
    if not b.impacts or action.state in WITHOUT_EFFECT:
        return ()
    return [
        Counted(action.tenant, action.action_id, one.key, one.nth, one.at, one.amount)
        for one in b.impacts
        if one.amount is not None
    ]


def _impact(
    world: World,
    tx: Transaction,
    b: Bearing,
    nth: int,
    limit: Limit,
    names: Mapping[str, Any],
    given: Mapping[str, Counted],
    action_id: str,
) -> Impact:
    try:
        amount = amount_of(limit.amount.value(names))
        per = limit.per.text_of(names) if limit.per is not None else None
    except CannotEvaluate:
        return Impact(limit, None, nth=nth)
    if amount is None:
        return Impact(limit, None, nth=nth)
    key = world.tags[tx.tenant].tag(["limit", b.run.workflow, limit.limit_id, per])
    was = given.get(key)
    is_same = was is not None and was.amount == amount
    at = was.at if was is not None and is_same else max(tx.now, tx.sums.last_counted(key) + 1)
    return Impact(limit, amount, tx.sums.counted(key, at - limit.window_us, at, action_id), key, at, nth)
