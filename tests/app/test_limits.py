# SPDX-License-Identifier: Apache-2.0
"""Impact limits: a workflow does no more within a window than its page says, whoever asks, at once or one by one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from signoff.app.audit import audit
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority import policy
from signoff.core.authority.check.limits import limits
from signoff.core.authority.limit import Counted
from signoff.core.errors import Conflict
from tests.world import HOUR, TENANT, World, envelope, new_world, rows


def limit(
    most: int = 30,
    then: str = "deny",
    *,
    tool: str = "book.create",
    amount: str = "args.amount",
    per: str | None = "args.shelf",
    window: str = "24h",
    limit_id: str = "shelf-day",
    approve: str = "",
) -> str:
    """Return one limit of a page."""
    more = (f", per: '{per}'" if per else "") + (f", approve: {approve}" if approve else "")
    return f"  - {{id: {limit_id}, tool: {tool}, sum: '{amount}', window: {window}, max: {most}, then: {then}{more}}}"


async def under(world: World, *limits: str, workflow: str = "limited", **given: Any) -> None:
    """Begin a run under a page with limits."""
    more = "\n".join(["limits:", *limits])
    await world.publish(envelope(workflow=workflow, more=f"{more}\n{given.pop('more', '')}", **given))
    await world.begin(workflow)


async def check(world: World) -> None:
    """Verify the ledger, and audit the rows with it: no limit and no cap was passed."""
    await world.check_ledger()
    report = await audit(world.node, TENANT)
    assert report.is_sound, report.findings


async def create(world: World, amount: int, shelf: str = "a", **given: Any) -> Action:
    return await world.propose("book.create", {"shelf": shelf, "amount": amount}, again=True, **given)


async def impacts(world: World) -> list[Counted]:
    return await world.node.storage.view(TENANT, lambda tx: rows(tx, Counted))


async def test_what_would_pass_a_limit_is_denied_and_what_reaches_it_is_not(world: World) -> None:
    await under(world, limit(30))
    assert [(await create(world, n)).state for n in (12, 18)] == [State.PENDING_APPROVAL] * 2
    denied = await create(world, 1)
    assert (denied.state, denied.reason) == (State.DENIED, "limit_exceeded")
    assert await world.detail(denied) == "shelf-day: 31 within 24 h with this call, at most 30."
    assert (await create(world, 30, "b")).state is State.PENDING_APPROVAL
    assert [one.amount for one in await impacts(world)] == [12, 18, 30]
    await check(world)


async def test_a_limit_may_ask_whom_it_names(world: World) -> None:
    await under(world, limit(30, "approve", approve="{roles: [Owner], count: 2}"))
    await create(world, 30)
    asked = await create(world, 1)
    assert asked.state is State.PENDING_APPROVAL
    shown = await world.document(asked)
    assert [one["roles"] for one in shown["approval"]["owed"]] == [["Clerk"], ["Owner"]]
    assert asked.checks is not None
    assert "limits:ask:limit_exceeded" in asked.checks
    await check(world)


async def test_what_ended_without_effect_does_not_count_and_what_was_reversed_does(world: World) -> None:
    await under(world, limit(30))
    cancelled = await world.cancel(await create(world, 30))
    assert cancelled.state is State.CANCELLED
    done = await world.vote(await create(world, 30))
    assert done.state is State.SUCCEEDED
    assert (await world.vote(await world.undo(done), world.cast.ann)).state is State.SUCCEEDED
    assert (await world.get(done)).state is State.REVERSED
    assert (await create(world, 1)).reason == "limit_exceeded"
    await check(world)


async def test_the_window_slides(world: World) -> None:
    await under(world, limit(30, window="1h"))
    first = await create(world, 30)
    world.clock.us = first.proposed_at + HOUR - 1001  # `propose` lets a millisecond pass
    assert (await create(world, 1)).reason == "limit_exceeded"
    world.clock.us = first.proposed_at + HOUR - 1000
    assert (await create(world, 30)).state is State.PENDING_APPROVAL


async def test_a_claim_decides_on_the_window_of_its_proposal(world: World) -> None:
    """What was proposed since asks by itself; the first is not voided for it."""
    await under(world, limit(1, "approve", tool="book.note", amount="1", per=None))
    first, second = [await world.propose("book.note", {"text": text}) for text in ("one", "two")]
    assert "limits:ask" not in (first.checks or "")
    assert "limits:ask" in (second.checks or "")
    assert (await world.vote(first)).state is State.SUCCEEDED
    assert (await world.vote(second)).state is State.SUCCEEDED
    await check(world)


async def test_an_edit_replaces_what_its_action_counts_for(world: World) -> None:
    await under(world, limit(30))
    first, second = await create(world, 20), await create(world, 10)
    with pytest.raises(Conflict) as refused:
        await world.edit(first, {"shelf": "a", "amount": 21})
    assert refused.value.detail["reason"] == "limit_exceeded"
    edited = await world.edit(first, {"shelf": "b", "amount": 25})
    assert {(one.action_id, one.amount) for one in await impacts(world)} == {
        (edited.action_id, 25), (second.action_id, 10)
    }  # fmt: skip
    assert (await create(world, 20)).state is State.PENDING_APPROVAL
    assert (await create(world, 6, "b")).reason == "limit_exceeded"
    assert (await world.vote(edited)).state is State.SUCCEEDED
    await check(world)


async def test_an_edit_cannot_slip_in_before_what_was_decided_since(world: World) -> None:
    await under(world, limit(30))
    early = await create(world, 30, "b")
    await create(world, 30, "a")
    with pytest.raises(Conflict):
        await world.edit(early, {"shelf": "a", "amount": 30})
    assert (await world.get(early)).revision == 1


@pytest.mark.parametrize(
    ("tool", "amount", "per", "args"),
    [
        ("book.create", "args.amount", "args.shelf", {"shelf": "a", "amount": -1}),
        ("book.create", "args.amount / 0", "args.shelf", {"shelf": "a", "amount": 1}),
        ("book.create", "args.amount * 4000000000", "args.shelf", {"shelf": "a", "amount": 4_000_000}),
        ("book.create", "args.amount", "args.shelf", {"shelf": "", "amount": 1}),
        ("book.lend", "args.until", "args.shelf", {"shelf": "a"}),
        ("book.lend", "args.until", "args.shelf", {"shelf": "a", "until": "12"}),
        ("book.lend", "1", "args.until", {"shelf": "a"}),
    ],
)
async def test_a_limit_without_a_value_denies(
    world: World, tool: str, amount: str, per: str, args: dict[str, Any]
) -> None:
    """The types of required fields are checked when the page is published; these are known with the arguments only."""
    await under(world, limit(30, "approve", tool=tool, amount=amount, per=per))
    denied = await world.propose(tool, args)
    assert denied.state is State.DENIED
    assert denied.reason == ("limit_unevaluable" if tool == "book.create" or "until" in args else denied.reason)
    assert await impacts(world) == []
    await check(world)


@pytest.mark.parametrize("runs_twice", [True, False], ids=["bodies run twice", "bodies run once"])
@pytest.mark.parametrize(("tool", "most"), [("book.note", 10), ("book.create", 120)])
async def test_no_limit_is_slipped_by_racing(tmp_path: Path, tool: str, most: int, runs_twice: bool) -> None:
    """Sixty-four at once, in runs of their own, most of them in one batch: exactly as many get through as fit."""
    async with new_world(tmp_path, runs_twice=runs_twice) as world:
        amount = "1" if tool == "book.note" else "args.amount"
        await under(world, limit(most, tool=tool, amount=amount, per=None), mode="autonomous", asks=False)
        runs = [(await world.begin("limited")).run_id for _ in range(64)]
        world.target.pause = 0.001

        async def one(nth: int) -> Action:
            args = {"text": f"{nth}"} if tool == "book.note" else {"shelf": f"{nth}", "amount": 12}
            return await world.propose(tool, args, run=runs[nth])

        done: Sequence[Action] = await asyncio.gather(*(one(nth) for nth in range(64)))
        await world.settled()
        states = [(await world.get(action)).state for action in done]
        assert states.count(State.SUCCEEDED) == 10
        assert states.count(State.DENIED) == 54
        assert {action.reason for action in done if action.state is State.DENIED} == {"limit_exceeded"}
        assert len(world.target.rows) == 10
        await check(world)


@pytest.mark.parametrize("then", ["deny", "approve"])
async def test_the_audit_names_a_limit_that_was_passed(
    world: World, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """As it would be by a node that left the check out."""
    await under(world, limit(30, then))
    await create(world, 20)
    for checks in ("PROPOSAL", "CLAIM"):
        kept = tuple(one for one in getattr(policy, checks) if one is not limits)
        monkeypatch.setattr(policy, checks, kept)
    passed = await create(world, 20)
    assert passed.state is State.PENDING_APPROVAL
    await world.check_ledger()
    [finding] = (await audit(world.node, TENANT)).findings
    assert (finding.table, finding.stream) == ("impacts", passed.action_id)
    assert "has passed the limit shelf-day" in finding.what
    await world.cancel(passed)
    await check(world)


async def test_the_audit_names_an_action_that_counts_in_no_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await under(world, limit(30))
    monkeypatch.setattr("signoff.app.action.propose.counted", lambda b, action: ())
    uncounted = await create(world, 20)
    await world.check_ledger()
    [finding] = (await audit(world.node, TENANT)).findings
    assert (finding.table, finding.stream, finding.column) == ("impacts", uncounted.action_id, "nth")
