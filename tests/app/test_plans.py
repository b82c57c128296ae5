# SPDX-License-Identifier: Apache-2.0
"""Several steps, decided each and approved as one: they run in order, and the first that departs ends the rest."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from signoff.app.action import approve, defer, lists, plans
from signoff.app.authority import people, policies
from signoff.core.action.lifecycle import Action, State
from signoff.core.action.plan import STEPS_MAX
from signoff.core.errors import Conflict, Forbidden, Malformed, Misuse, NotFound
from signoff.core.principal import Caller
from signoff.core.proposal import Proposal
from tests.app.test_approval import refused
from tests.target import Row
from tests.world import DAY, HOUR, SECOND, TENANT, World, envelope

Step = tuple[str, Mapping[str, Any]]
NOTES: tuple[Step, ...] = tuple(("book.note", {"text": text}) for text in ("one", "two", "three"))
LEND: Step = ("book.lend", {"shelf": "a", "until": "may"})


async def planned(
    world: World, *steps: Step, key: str | None = None, who: Caller | None = None, again: bool = False
) -> list[Action]:
    world.clock.advance(0.001)
    proposals = [Proposal(world.run_id, tool, dict(args), {}, again) for tool, args in steps or NOTES]
    return await plans.propose_plan(world.node, who or world.cast.agent, world.run_id, proposals, key)


async def now(world: World, steps: list[Action]) -> list[Action]:
    return [await world.get(step) for step in steps]


async def states(world: World, steps: list[Action]) -> list[str]:
    return [str(step.state) for step in await now(world, steps)]


async def reasons(world: World, steps: list[Action]) -> list[str | None]:
    return [step.reason for step in await now(world, steps)]


async def done(world: World, steps: list[Action]) -> list[str]:
    """Let the clock take the plan on until nothing of it moves."""
    for _ in range(2 * len(steps)):
        await world.tick(0.25)
    return await states(world, steps)


async def test_one_vote_approves_every_step_and_they_are_done_in_order(world: World) -> None:
    steps = await planned(world)
    assert [step.state for step in steps] == [State.PENDING_APPROVAL] * 3
    assert len({step.digest for step in steps}) == len({step.approval_id for step in steps}) == 1
    assert world.target.calls == []
    await world.vote(steps[1])
    assert await done(world, steps) == ["succeeded"] * 3
    assert [call.args["text"] for call in world.target.calls if "text" in call.args] == ["one", "two", "three"]
    claimed = [step.claimed_at or 0 for step in await now(world, steps)]
    assert claimed == sorted(claimed)
    assert [len(await world.votes(step)) for step in steps] == [1, 1, 1]
    await world.check_ledger()


async def test_a_step_is_not_sent_before_the_one_before_it_has_succeeded(world: World) -> None:
    steps = await planned(world)
    world.target.plan.append("lost_before")
    await world.vote(steps[0])
    for _ in range(3):
        await world.tick(0.25)
    assert await states(world, steps) == ["in_doubt", "approved", "approved"]
    assert await reasons(world, steps[1:]) == [None, None]
    await world.pass_time(180, 5)
    assert await done(world, steps) == ["succeeded"] * 3
    await world.check_ledger()


async def test_the_first_step_that_fails_ends_the_rest(world: World) -> None:
    steps = await planned(world)
    world.target.plan.extend(["ok", "error:shelf_closed"])
    await world.vote(steps[0])
    assert await done(world, steps) == ["succeeded", "failed", "voided"]
    assert (await reasons(world, steps))[2] == "plan_broken"
    assert await world.spent() == (0, 250_000)
    await world.check_ledger()


async def test_a_step_whose_preview_has_changed_ends_the_rest(world: World) -> None:
    first, second, third = ("book.create", {"shelf": "a", "amount": 1}), ("book.note", {"text": "x"}), NOTES[0]
    steps = await planned(world, first, second, third)
    world.target.rows["E-0"] = Row("E-0", "elsewhere", "a", 100)
    await world.vote(steps[0])
    assert await done(world, steps) == ["voided"] * 3
    assert await reasons(world, steps) == ["drift", "plan_broken", "plan_broken"]
    assert world.target.written == {}
    await world.check_ledger()


async def test_a_step_that_is_denied_denies_the_plan(world: World) -> None:
    """Whether it is seen at the first look or only once something was gathered."""
    steps = await planned(world, NOTES[0], ("book.burn", {}), NOTES[1])
    assert [step.state for step in steps] == [State.DENIED] * 3
    assert [step.reason for step in steps] == ["plan_broken", "tool_not_allowed", "plan_broken"]
    world.target.reading["book.preview"] = "fail"
    steps = await planned(world, NOTES[0], ("book.create", {"shelf": "a", "amount": 1}), NOTES[1], again=True)
    assert [step.state for step in steps] == [State.DENIED] * 3
    assert [step.reason for step in steps] == ["plan_broken", "preview_failed", "plan_broken"]
    assert world.target.written == {}
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_a_denied_plan_counts_as_one_refusal_of_the_run(world: World) -> None:
    await world.under(more="loops: {max_denials: 2}")
    await planned(world, *NOTES, ("book.burn", {}))
    assert (await world.propose("book.note", {"text": "later"})).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_one_no_ends_the_plan(world: World) -> None:
    steps = await planned(world)
    await world.vote(steps[1], decision="reject")
    assert await states(world, steps) == ["rejected"] * 3
    assert await done(world, steps) == ["rejected"] * 3
    assert world.target.calls == []
    await world.check_ledger()


async def test_duties_add_up_over_the_steps(world: World) -> None:
    """A step that owes another role's word keeps the others back, though their own approvals are there."""
    boss = "{id: two, tool: book.note, when: args.text == 'two', then: approve, approve: {roles: [Boss]}}"
    text = envelope(workflow="ruled").replace("  approval_roles:", f"  rules:\n    - {boss}\n  approval_roles:")
    await world.publish(text)
    await world.begin("ruled")
    bea, _ = await people.add_person(world.node, world.cast.admin, "Bea", "bea@play.test", ("Boss",))
    steps = await planned(world)
    (line,) = (await lists.approvals(world.node, world.cast.ann, None, 10, role="Boss")).items
    assert {role for asked in line["owed"] for role in asked["roles"]} == {"Boss", "Clerk"}
    await world.vote(steps[0], world.cast.ann)
    assert await done(world, steps) == ["pending_approval"] * 3
    await refused(world.vote(steps[0], world.cast.ann), Conflict, "approval.already_voted")
    await world.vote(steps[0], Caller(TENANT, bea.person_id, bea.roles))
    assert await done(world, steps) == ["succeeded"] * 3
    assert [len(await world.votes(step)) for step in steps] == [1, 2, 1]
    await world.check_ledger()


async def test_an_edit_between_two_votes_has_both_people_look_again(world: World) -> None:
    boss = "{id: two, tool: book.note, when: \"args.text == 'two'\", then: approve, approve: {roles: [Boss]}}"
    text = envelope(workflow="ruled").replace("  approval_roles:", f"  rules:\n    - {boss}\n  approval_roles:")
    await world.publish(text)
    await world.begin("ruled")
    bea, _ = await people.add_person(world.node, world.cast.admin, "Bea", "bea@play.test", ("Boss",))
    boss_caller = Caller(TENANT, bea.person_id, bea.roles)
    steps = await planned(world)
    await world.vote(steps[0], world.cast.ann)
    edited = await world.edit(steps[2], {"text": "four"})
    first = await world.get(steps[0])
    assert first.look_at is not None
    assert [step.look_at for step in await now(world, steps)][1:] == [None, None]
    await world.vote(edited, boss_caller)
    assert await states(world, steps) == ["pending_approval"] * 3
    await world.vote(edited, world.cast.ann)
    assert await done(world, steps) == ["succeeded"] * 3
    shown = await world.document(steps[0])
    assert [(vote["counts"], vote["reason"]) for vote in shown["approval"]["votes"]] == [
        (False, "because"),
        (True, "because"),
    ]
    await world.check_ledger()


async def test_a_review_window_begins_when_the_turn_of_its_step_has_come(world: World) -> None:
    hold = "holds:\n  - {tool: book.lend, window: 1h, on_timeout: proceed}"
    await world.under(more=hold)
    steps = await planned(world, NOTES[0], LEND, NOTES[1])
    await world.vote(steps[0])
    assert await done(world, steps) == ["succeeded", "held", "approved"]
    assert (await world.get(steps[1])).hold_until is not None
    await world.tick(2 * HOUR / SECOND)
    assert await done(world, steps) == ["succeeded"] * 3
    await world.check_ledger()


async def test_people_vote_on_the_digest_of_the_plan_alone(world: World) -> None:
    steps = await planned(world)
    other = await world.propose("book.note", {"text": "alone"})
    for digest in (other.digest, "sha256:" + "0" * 64, ""):
        await refused(world.vote(steps[0], digest=digest), Conflict, "approval.digest_mismatch")
    await refused(world.vote(steps[2], world.cast.olga), Forbidden, "approval.own_request")
    await refused(world.vote(steps[2], world.cast.zoe), Forbidden, "approval.role_missing")
    assert await states(world, steps) == ["pending_approval"] * 3
    await world.check_ledger()


async def test_reads_and_what_is_allowed_wait_for_their_turn_in_a_plan(world: World) -> None:
    look = ("book.shelf", {"shelf": "a"})
    steps = await planned(world, look, NOTES[0], look, NOTES[1])
    assert await done(world, steps) == ["proposed", "pending_approval", "proposed", "pending_approval"]
    assert world.target.calls == []
    await world.vote(steps[1])
    assert await done(world, steps) == ["succeeded"] * 4
    await world.check_ledger()


async def test_a_plan_of_which_nothing_asks_runs_by_itself(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    steps = await planned(world)
    assert await done(world, steps) == ["succeeded"] * 3
    await world.check_ledger()


async def test_in_suggest_a_plan_is_shown_and_nothing_of_it_runs(world: World) -> None:
    await world.under(mode="suggest")
    steps = await planned(world, ("book.shelf", {"shelf": "a"}), *NOTES)
    assert await done(world, steps) == ["suggested"] * 4
    assert world.target.written == {}
    await world.check_ledger()


async def test_an_edit_of_a_step_makes_another_plan_of_it_and_voids_the_votes(world: World) -> None:
    steps = await planned(world)
    before = steps[0].digest
    edited = await world.edit(steps[1], {"text": "another"})
    after = await now(world, steps)
    assert {step.digest for step in after} == {edited.digest} != {before}
    await refused(world.vote(steps[0], digest=before), Conflict, "approval.digest_mismatch")
    await world.vote(edited)
    assert await done(world, steps) == ["succeeded"] * 3
    assert [call.args["text"] for call in world.target.calls if "text" in call.args] == ["one", "another", "three"]
    await world.check_ledger()


async def test_the_same_plan_is_collected_and_never_made_twice(world: World) -> None:
    steps = await planned(world, key="k")
    assert await planned(world, key="k") == steps == await planned(world)
    await refused(planned(world, *NOTES[:2], key="k"), Conflict, "idempotency.key_reused")
    await refused(planned(world, *NOTES[:2]), Conflict, "plan.step_known")
    await refused(planned(world, LEND, LEND), Conflict, "plan.step_known")
    assert len(await world.actions()) == 3
    more = await planned(world, *NOTES[:2], again=True)
    assert {step.action_id for step in more}.isdisjoint(step.action_id for step in steps)
    await world.check_ledger()


async def test_a_plan_has_steps_and_not_too_many(world: World) -> None:
    with pytest.raises(Malformed):
        await plans.propose_plan(world.node, world.cast.agent, world.run_id, [])
    with pytest.raises(Malformed):
        await planned(world, *(("book.note", {"text": str(n)}) for n in range(STEPS_MAX + 1)))
    with pytest.raises(NotFound):
        await planned(world, who=world.cast.rival)
    assert await world.actions() == []


async def test_what_is_withdrawn_halted_or_too_late_ends_the_whole_plan(world: World) -> None:
    steps = await planned(world)
    await world.cancel(steps[2])
    assert await states(world, steps) == ["voided", "voided", "cancelled"]

    steps = await planned(world, again=True)
    await world.tick(2 * DAY / SECOND)
    assert sorted(await states(world, steps)) == ["expired", "voided", "voided"]

    await world.begin()
    steps = await planned(world, NOTES[0], LEND)
    lift = await world.halt("tool:book.lend")
    assert await states(world, steps) == ["voided", "stopped"]
    await world.lift(lift)
    assert await done(world, steps) == ["voided", "stopped"]
    assert world.target.calls == []
    await world.check_ledger()


async def test_a_withdrawn_version_ends_the_whole_plan(world: World) -> None:
    run = await world.under()
    steps = await planned(world)
    await policies.withdraw(world.node, world.cast.admin, "envelope", run.workflow, "1")
    await world.tick()
    assert set(await states(world, steps)) == {"voided"}
    await world.check_ledger()


async def test_a_vote_at_the_deadline_is_too_late_for_all_of_it(world: World) -> None:
    steps = await planned(world)
    world.clock.us = steps[0].expires_at or 0
    await refused(world.vote(steps[1]), Conflict, "approval.expired")
    assert sorted(await states(world, steps)) == ["expired", "voided", "voided"]
    await world.check_ledger()


async def test_the_inbox_shows_a_plan_as_one_item_with_its_steps(world: World) -> None:
    steps = await planned(world, NOTES[0], ("book.create", {"shelf": "a", "amount": 1}))
    await world.propose("book.note", {"text": "alone"})
    page = await lists.approvals(world.node, world.cast.ann, None, 10)
    line, alone = page.items
    assert (line["approval_id"], line["digest"]) == (steps[0].plan_id, steps[0].digest)
    assert [step["action_id"] for step in line["plan"]["steps"]] == [step.action_id for step in steps]
    assert line["plan"]["steps"][1]["summary"]
    assert alone["plan"] is None
    assert await lists.decided_on(world.node, world.cast.ann, steps[0].plan_id or "") in {
        step.action_id for step in steps
    }
    shown = await world.document(steps[1])
    assert (shown["plan"]["step"], shown["plan"]["plan_id"]) == (2, steps[0].plan_id)
    until = world.clock.now() + 3_600_000_000
    await defer.defer(world.node, world.cast.ann, steps[0].action_id, steps[0].digest or "", "later", until)
    assert [one["plan"] for one in (await lists.approvals(world.node, world.cast.ann, None, 10)).items] == [None]
    await world.check_ledger()


async def test_a_node_that_dies_after_recording_a_plan_goes_on_with_it(world: World) -> None:
    world.fail_at("proposed->pending_approval:before")
    proposals = [Proposal(world.run_id, tool, dict(args)) for tool, args in NOTES]
    with pytest.raises(BaseException):  # noqa: B017
        await plans.propose_plan(world.node, world.cast.agent, world.run_id, proposals)
        raise RuntimeError
    await world.crash()
    await world.tick(1)
    steps = await world.actions()
    assert [step.state for step in steps] == [State.PENDING_APPROVAL] * 3
    await world.vote(steps[0])
    assert await done(world, steps) == ["succeeded"] * 3
    await world.check_ledger()


async def test_a_step_that_is_undone_before_the_next_is_sent_ends_the_rest(world: World) -> None:
    steps = await planned(world)
    world.target.plan.extend(["ok", "lost_before"])
    await world.vote(steps[0])
    for _ in range(2):
        await world.tick(0.25)
    assert await states(world, steps) == ["succeeded", "in_doubt", "approved"]
    reversal = await world.undo(await world.get(steps[0]))
    await world.vote(reversal)
    for _ in range(2):
        await world.tick(0.25)
    assert await states(world, steps) == ["reversed", "in_doubt", "voided"]
    await world.check_ledger()


@pytest.mark.parametrize("other", ["halt", "expire", "cancel", "reject"])
async def test_whatever_comes_first_there_is_one_end_of_the_whole_plan(world: World, other: str) -> None:
    """Approved, or ended by the other: never a part of each."""
    for round_ in range(6):
        await world.begin()
        steps = await planned(world)
        world.clock.advance(0.001)

        async def end(steps: list[Action] = steps) -> object:
            if other == "halt":
                return await world.lift(await world.halt("tool:book.note"))
            if other == "expire":
                world.clock.us = steps[0].expires_at or 0
                await world.tick_without_waiting()
                return None
            if other == "cancel":
                return await world.cancel(steps[1])
            return await approve.vote(
                world.node, world.cast.bob, steps[2].action_id, "reject", steps[2].digest or "", "no"
            )

        async def yes(steps: list[Action] = steps) -> object:
            return await approve.vote(
                world.node, world.cast.ann, steps[0].action_id, "approve", steps[0].digest or "", ""
            )

        calls = (yes(), end()) if round_ % 2 else (end(), yes())
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            assert not isinstance(answer, BaseException) or isinstance(answer, Misuse), answer
        found = await done(world, steps)
        assert not {"pending_approval", "approved", "proposed"} & set(found), found
        ended = [number for number, state in enumerate(found) if state != "succeeded"]
        assert ended == list(range(ended[0], 3)) if ended else True, found
    await world.check_ledger()
