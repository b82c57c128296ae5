# SPDX-License-Identifier: Apache-2.0
"""Caps beyond the task: no user, agent, workflow or tenant spends a micro-dollar more in a period than a page says."""

import asyncio
from pathlib import Path

import pytest

from signoff.app.audit import audit
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority import policy
from signoff.core.authority.check.spend import spend_caps
from signoff.core.authority.spend import began
from signoff.core.run import Run
from tests.app.test_limits import check
from tests.target import contract, without
from tests.world import DAY, HOUR, TENANT, World, envelope, new_world

SCOPES = ("user", "agent", "workflow", "tenant")


async def under(world: World, *caps: str, workflow: str = "thrifty", asks: bool = False, version: str = "1") -> Run:
    """Begin a run under a page with caps; notes cost USD 0.25 and run by themselves."""
    more = f"spend: [{', '.join(caps)}]" if caps else ""
    mode = "assist" if asks else "autonomous"
    await world.publish(envelope(workflow=workflow, mode=mode, asks=asks, more=more, version=version))
    return await world.begin(workflow)


def cap(per: str, usd: str = "1", window: str = "1d") -> str:
    return f"{{per: {per}, window: {window}, usd: {usd}}}"


async def note(world: World, text: str, run: str | None = None) -> Action:
    return await world.propose("book.note", {"text": text}, run=run)


async def stands(world: World, scope: str, who: str, window: int = DAY) -> tuple[int, int]:
    """Return what is settled and reserved in the present period, as a reader sees it."""
    since = began(world.clock.us, window)
    return await world.node.storage.view(TENANT, lambda tx: tx.sums.spent(window, since).get((scope, who), (0, 0)))


@pytest.mark.parametrize("per", SCOPES)
async def test_a_cap_is_reached_and_not_passed_over_all_runs_of_its_scope(world: World, per: str) -> None:
    await under(world, cap(per))
    for nth in range(4):
        assert (await note(world, f"{nth}")).state is State.SUCCEEDED
        await world.begin("thrifty")
    denied = await note(world, "one more")
    assert (denied.state, denied.reason) == (State.DENIED, "spend_cap_exhausted")
    told = await world.detail(denied)
    assert f"The cap of this {per}: USD 1.00 is spent" in told
    assert "The period ends 2026-05-29 00:00Z." in told
    assert (await world.propose("book.find", {"key": "free"})).state is State.SUCCEEDED, "it costs nothing"
    await check(world)


@pytest.mark.parametrize(
    ("per", "is_shared"), [("user", True), ("agent", False), ("workflow", False), ("tenant", True)]
)
async def test_a_cap_is_about_its_scope_alone(world: World, per: str, is_shared: bool) -> None:
    """Another agent of the same user, in another workflow, spends out of what both share."""
    await under(world, cap(per))
    for nth in range(4):
        await note(world, f"{nth}")
    await world.publish(envelope(workflow="other", mode="autonomous", asks=False, more=f"spend: [{cap(per)}]"))
    await world.begin("other", who=world.cast.rival)
    other = await world.propose("book.note", {"text": "other"}, who=world.cast.rival)
    assert (other.reason == "spend_cap_exhausted") is is_shared, other
    await check(world)


async def test_all_caps_of_a_page_hold_at_once(world: World) -> None:
    await under(world, cap("user", "9"), cap("tenant", "0.50"), cap("agent", "0.75", "30d"))
    assert [(await note(world, f"{nth}")).state for nth in range(3)] == [State.SUCCEEDED] * 2 + [State.DENIED]
    world.clock.us = began(world.clock.us, DAY) + DAY
    await world.begin("thrifty")
    assert [(await note(world, f"day {nth}")).reason for nth in range(2)] == [None, "spend_cap_exhausted"]
    await check(world)


async def test_what_is_set_aside_counts_and_comes_back_when_nothing_was_done(world: World) -> None:
    run = await under(world, cap("workflow", "0.50"), asks=True)
    first, second = await note(world, "a"), await note(world, "b")
    assert await stands(world, "workflow", "thrifty") == (0, 500_000)
    assert (await note(world, "c")).reason == "spend_cap_exhausted"
    await world.cancel(first)
    assert (await world.vote(second)).state is State.SUCCEEDED
    assert await stands(world, "agent", run.agent_id) == (250_000, 0)
    assert (await note(world, "d")).state is State.PENDING_APPROVAL
    await check(world)


async def test_a_reservation_stays_in_the_period_of_its_proposal(world: World) -> None:
    """It is approved on the next day, is settled out of the day before, and leaves the new day whole."""
    world.clock.us = began(world.clock.us, DAY) + 23 * HOUR
    await under(world, cap("workflow", "0.25"), asks=True)
    waiting = await note(world, "late")
    yesterday = began(waiting.proposed_at, DAY)
    world.clock.us = yesterday + 25 * HOUR
    assert await stands(world, "workflow", "thrifty") == (0, 0)
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    await world.begin("thrifty")
    assert (await note(world, "the day's own")).state is State.PENDING_APPROVAL
    then = await world.node.storage.view(TENANT, lambda tx: tx.sums.spent(DAY, yesterday)["workflow", "thrifty"])
    assert then == (250_000, 0)
    await check(world)


async def test_a_lower_cap_of_a_new_version_closes_and_takes_nothing_back(world: World) -> None:
    await under(world, cap("tenant"))
    for nth in range(4):
        await note(world, f"{nth}")
    await under(world, cap("tenant", "0.30"), version="2")
    assert (await note(world, "more")).reason == "spend_cap_exhausted"
    await check(world)


async def test_a_reversal_by_a_person_stays_within_the_caps(world: World) -> None:
    await under(world, cap("tenant", "0.25"))
    done = await note(world, "a")
    assert (await world.undo(done)).reason == "spend_cap_exhausted"
    await check(world)


@pytest.mark.parametrize("runs_twice", [True, False], ids=["bodies run twice", "bodies run once"])
@pytest.mark.parametrize("per", SCOPES)
async def test_sixty_four_at_once_spend_a_cap_to_the_last_micro_dollar(
    tmp_path: Path, per: str, runs_twice: bool
) -> None:
    """Each costs a third of a cent and a bit: thirteen fit, and not one more, whoever comes first."""
    price = "cost: {usd: 0.003333}"
    async with new_world(
        tmp_path, runs_twice=runs_twice, text=contract(book_note=[*without("book.note", "cost"), price])
    ) as world:
        await under(world, cap(per, "0.043329"))
        runs = [(await world.begin("thrifty")).run_id for _ in range(64)]
        world.target.pause = 0.001
        world.target.plan.extend(["ok", "error:shelf_closed", "lost_after", "ok"])
        done = await asyncio.gather(*(note(world, f"{nth}", runs[nth]) for nth in range(64)))
        await world.settled()
        states = [(await world.get(action)).state for action in done]
        assert states.count(State.DENIED) == 51, states
        assert {one.reason for one in done if one.state is State.DENIED} == {"spend_cap_exhausted"}
        settled, reserved = await stands(world, "tenant", "")
        assert settled + reserved == 12 * 3333, "one ended without effect, and its money came back"
        assert reserved == 3333, "one is in doubt, and keeps its money"
        assert (await note(world, "in its place", runs[0])).state is State.SUCCEEDED
        assert (await note(world, "one too many", runs[1])).reason == "spend_cap_exhausted"
        await world.pass_time(3)
        assert await stands(world, "tenant", "") == (13 * 3333, 0)
        await check(world)


async def test_the_audit_names_a_cap_that_was_passed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would be by a node that left the check out; what others spend under pages of their own is no breach."""
    await under(world, cap("tenant", "0.50"))
    await note(world, "a")
    await under(world, workflow="free")
    for nth in range(3):
        await note(world, f"free {nth}")
    await world.begin("thrifty")
    assert (await note(world, "b")).reason == "spend_cap_exhausted"
    await check(world)
    for checks in ("PROPOSAL", "CLAIM"):
        kept = tuple(one for one in getattr(policy, checks) if one is not spend_caps)
        monkeypatch.setattr(policy, checks, kept)
    passed = await note(world, "c")
    assert passed.state is State.SUCCEEDED
    await world.check_ledger()
    [finding] = (await audit(world.node, TENANT)).findings
    assert finding.stream == passed.action_id
    assert "has passed the cap of its tenant" in finding.what
    assert "USD 1.25 are settled or set aside in the period, the cap is 0.50" in finding.why
