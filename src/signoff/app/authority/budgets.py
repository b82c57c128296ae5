# SPDX-License-Identifier: Apache-2.0
"""Where each cap of the pages in force stands: what is settled, set aside and left in its present period."""

from collections.abc import Iterator
from typing import Any

from signoff.app.action.documents import Document, when
from signoff.app.action.lists import Page
from signoff.app.world import World
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.spend import Scope, SpendCap, began
from signoff.core.errors import Malformed
from signoff.core.principal import Caller, require_person
from signoff.ports.storage import Transaction

Place = tuple[str, int, str]  # id of the page, number of the cap on it, whose


async def budgets(world: World, caller: Caller, after: str | None, limit: int) -> Page:
    """Return a line for each cap of the newest pages: per user and agent one for each who has spent in the period.

    A cap that is passed, as a new version with a lower one can leave it, has nothing left, never less.

    Raises:
        Forbidden: an agent asked.
        Malformed: the cursor was not answered by this list.
    """
    require_person(caller)
    behind = _place(after) if after is not None else None

    def body(tx: Transaction) -> Page:
        lines = sorted(_lines(world, tx), key=lambda line: line[0])
        left = [line for line in lines if behind is None or line[0] > behind]
        shown = left[:limit]
        more = shown[-1][0] if len(left) > limit else None
        return Page([line for _, line in shown], None if more is None else " ".join(map(str, more)))

    return await world.storage.view(caller.tenant, body)


def _lines(world: World, tx: Transaction) -> Iterator[tuple[Place, Document]]:
    for published in tx.authority.publications("envelope"):
        page = world.shelf.envelope(tx, published.digest)
        for nth, cap in enumerate(page.spend):
            since = began(tx.now, cap.window_us)
            spent = tx.sums.spent(cap.window_us, since)
            for who in _whose(page, cap, spent):
                settled, reserved = spent.get((cap.per.value, who), (0, 0))
                yield (
                    (published.publication_id, nth, who if cap.per is not Scope.WORKFLOW else ""),
                    {
                        "workflow": page.workflow,
                        "version": page.version,
                        "scope": str(cap.per),
                        "who": who or None,
                        "run_id": None,
                        "max_tool_calls": None,
                        "tool_calls": None,
                        "cap_usd_micros": cap.cap_usd_micros,
                        "settled_usd_micros": settled,
                        "reserved_usd_micros": reserved,
                        "left_usd_micros": max(0, cap.cap_usd_micros - settled - reserved),
                        "period_s": cap.window_us // 1_000_000,
                        "period_start": when(since),
                        "period_end": when(since + cap.window_us),
                    },
                )


def _whose(page: Envelope, cap: SpendCap, spent: Any) -> list[str]:
    """Return of whom a cap has something to say: of a workflow and the tenant always, of others once they spent."""
    if cap.per is Scope.TENANT:
        return [""]
    if cap.per is Scope.WORKFLOW:
        return [page.workflow]
    return sorted(who for scope, who in spent if scope == cap.per.value)


def _place(cursor: str) -> Place:
    parts = cursor.split(" ")
    if len(parts) != 3 or not (parts[1].isascii() and parts[1].isdecimal() and len(parts[1]) <= 6):
        raise Malformed(
            what="This cursor leads nowhere.",
            why="It is not one that this list has answered.",
            fix="Begin without a cursor, and pass on `next_cursor` as it is.",
            code="cursor.unknown",
            path="query.cursor",
        )
    return parts[0], int(parts[1]), parts[2]
