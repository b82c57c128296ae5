# SPDX-License-Identifier: Apache-2.0
"""What a person delegates: counted for what it grants, cut by what they may do now, gone at the next call."""

import asyncio
from typing import Any

import pytest

from signoff.app.authority import people
from signoff.app.authority.delegations import Wanted, grant, revoke
from signoff.app.authority.permissions import publish_roles
from signoff.app.recover import revoke_delegations
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.delegation import Delegation
from signoff.core.errors import Conflict, Forbidden, Malformed, NotFound
from signoff.core.principal import Caller
from signoff.core.run import Run
from tests.world import HOUR, SECOND, TENANT, World, envelope

FREE = "free"


async def ready(world: World, *environments: str) -> None:
    """Publish a page under which a note is made at once."""
    more = f"environments: [{', '.join(environments)}]" if environments else ""
    await world.publish(envelope(workflow=FREE, mode="autonomous", asks=False, more=more))


async def granted(world: World, who: Caller | None = None, *, key: str | None = None, **given: Any) -> Delegation:
    """Have Zoe, or another, delegate notes to the agent for an hour."""
    wanted = Wanted(
        given.pop("agent", world.cast.agent).id,
        tuple(given.pop("tools", ("book.note",))),
        tuple(given.pop("environments", ("production",))),
        given.pop("purpose", "keep notes"),
        not_after=given.pop("not_after", world.clock.us + HOUR),
        **given,
    )
    return await grant(world.node, who or world.cast.zoe, wanted, key)


async def part(world: World, whole: Delegation, **given: Any) -> Delegation:
    """Have the agent pass a part on to its rival."""
    given = {"agent": world.cast.rival, "not_after": None, "parent_id": whole.delegation_id} | given
    return await granted(world, given.pop("who", world.cast.agent), **given)


async def begun(world: World, under: Delegation, who: Caller | None = None, **given: Any) -> Run:
    return await world.begin(FREE, who, delegation=under.delegation_id, **given)


async def note(world: World, text: str = "a", who: Caller | None = None) -> Action:
    return await world.propose("book.note", {"text": text}, who=who)


async def test_a_run_under_a_delegation_is_in_its_grantors_name_and_does_what_it_covers(world: World) -> None:
    await ready(world)
    mine = await granted(world)
    run = await begun(world, mine)
    assert (run.principal_id, run.delegation_id) == (world.cast.zoe.id, mine.delegation_id)
    assert (await note(world)).state is State.SUCCEEDED
    denied = await world.propose("book.stamp", {"text": "a"})
    assert (denied.state, denied.reason) == (State.DENIED, "delegation_narrower")


async def test_its_condition_is_over_the_arguments(world: World) -> None:
    await ready(world)
    await begun(world, await granted(world, condition="args.text.startsWith('ok')"))
    assert (await note(world, "ok then")).state is State.SUCCEEDED
    assert (await note(world, "no")).reason == "delegation_narrower"


async def test_it_ends_by_the_time_of_the_transaction(world: World) -> None:
    await ready(world)
    mine = await granted(world)
    await begun(world, mine)
    world.clock.us = mine.not_after
    await fresh(world)
    assert (await note(world)).reason == "delegation_expired"
    with pytest.raises(Forbidden) as refused:
        await begun(world, mine)
    assert refused.value.code == "delegation.not_in_force"


async def fresh(world: World) -> None:
    token, _ = await people.mint_token(world.node, world.cast.olga, world.cast.agent.id)
    world.cast.agent = people.caller_of_token(world.node, token)


async def test_a_revoked_one_stops_the_next_call_and_voids_what_waits(world: World) -> None:
    mine = await granted(world, tools=("book.*",))
    await world.begin("books", delegation=mine.delegation_id)
    waiting = await world.propose()
    assert waiting.state is State.PENDING_APPROVAL
    approved = await world.approved(args={"shelf": "b", "amount": 1})
    await revoke(world.node, world.cast.zoe, mine.delegation_id, "no longer needed")
    for one in (waiting, approved):
        after = await world.get(one)
        assert (after.state, after.reason) == (State.VOIDED, "delegation_revoked")
    assert (await world.propose(args={"shelf": "c", "amount": 1})).reason == "delegation_revoked"
    assert not world.target.written


async def test_what_waits_is_void_also_where_the_node_died_after_the_revocation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from signoff.app.authority import delegations

    async def dies(*_: object) -> None:
        return None

    mine = await granted(world, tools=("book.*",))
    await world.begin("books", delegation=mine.delegation_id)
    waiting = await world.propose()
    with monkeypatch.context() as patched:
        patched.setattr(delegations, "_void_waiting", dies)
        await revoke(world.node, world.cast.otto, mine.delegation_id)
    await world.tick(1)
    assert (await world.get(waiting)).state is State.VOIDED


async def test_what_was_approved_is_looked_at_again_when_it_is_claimed(world: World) -> None:
    mine = await granted(world, tools=("book.*",), not_after=world.clock.us + 60 * SECOND)
    await world.begin("books", delegation=mine.delegation_id)
    approved = await world.approved()
    await world.tick(61)
    after = await world.get(approved)
    assert (after.state, after.reason) == (State.VOIDED, "delegation_expired")


async def test_uses_are_counted_for_what_is_done_or_may_be_and_not_for_reads(world: World) -> None:
    await ready(world)
    mine = await granted(world, tools=("book.*",), uses_max=2)
    await begun(world, mine)
    assert (await world.propose("book.shelf", {"shelf": "a"})).state is State.SUCCEEDED
    assert (await note(world, "1")).state is State.SUCCEEDED
    assert (await world.propose("book.stamp", {})).reason == "args_invalid"
    await begun(world, mine)  # another run has no uses of its own
    assert (await note(world, "2")).state is State.SUCCEEDED
    assert (await note(world, "3")).reason == "delegation_used_up"
    assert (await world.propose("book.shelf", {"shelf": "b"})).state is State.SUCCEEDED


async def test_no_two_calls_take_the_last_use_or_the_last_dollar(world: World) -> None:
    await ready(world)
    bounds: tuple[dict[str, Any], ...] = ({"uses_max": 3}, {"usd_micros_max": 900_000})  # a note costs USD 0.25
    for given in bounds:
        mine = await granted(world, tools=("book.note",), **given)
        ids = [(await begun(world, mine)).run_id for _ in range(4)]
        calls = [world.propose("book.note", {"text": f"{n}"}, run=ids[n % 4]) for n in range(12)]
        ended = await asyncio.gather(*calls)
        assert sum(one.state is State.SUCCEEDED for one in ended) == 3
        assert {one.reason for one in ended} == {None, "delegation_used_up"}


async def test_what_ended_without_effect_gives_its_use_back(world: World) -> None:
    mine = await granted(world, tools=("book.*",), uses_max=1)
    await world.begin("books", delegation=mine.delegation_id)
    waiting = await world.propose()
    assert (await world.propose(args={"shelf": "b", "amount": 1})).reason == "delegation_used_up"
    await world.cancel(waiting)
    second = await world.propose(args={"shelf": "c", "amount": 1})
    assert (await world.vote(second)).state is State.SUCCEEDED


async def test_a_part_does_no_more_than_the_whole_and_uses_it_up(world: World) -> None:
    await ready(world)
    rival = world.cast.rival
    whole = await granted(world, tools=("book.*",), uses_max=2, condition="args.text != 'never'")
    mine = await part(world, whole, tools=("book.note",))
    assert (mine.grantor_id, mine.root_id, mine.uses_max) == (world.cast.zoe.id, whole.delegation_id, 2)
    assert mine.not_after == whole.not_after
    run = await begun(world, mine, rival)
    assert run.principal_id == world.cast.zoe.id
    assert (await note(world, "never", rival)).reason == "delegation_narrower"
    assert (await world.propose("book.stamp", {"text": "1"}, who=rival)).reason == "delegation_narrower"
    assert (await note(world, "1", rival)).state is State.SUCCEEDED
    await begun(world, whole)
    assert (await note(world, "2")).state is State.SUCCEEDED
    assert (await note(world, "3")).reason == "delegation_used_up"
    assert (await world.propose("book.note", {"text": "4"}, who=rival, run=run.run_id)).reason == "delegation_used_up"


async def test_revoking_the_whole_revokes_its_parts_and_a_part_alone_leaves_the_whole(world: World) -> None:
    await ready(world)
    rival = world.cast.rival
    whole = await granted(world)
    one, two = await part(world, whole), await part(world, whole)
    first, second = await begun(world, one, rival), await begun(world, two, rival)
    await revoke(world.node, world.cast.agent, one.delegation_id)
    denied = await world.propose("book.note", {"text": "1"}, who=rival, run=first.run_id)
    assert denied.reason == "delegation_revoked"
    assert (await world.propose("book.note", {"text": "2"}, who=rival, run=second.run_id)).state is State.SUCCEEDED
    await revoke(world.node, world.cast.olga, whole.delegation_id)  # the agents' owner
    assert (await world.propose("book.note", {"text": "3"}, who=rival, run=second.run_id)).state is State.DENIED


async def test_a_part_that_is_wider_is_refused(world: World) -> None:
    whole = await granted(world, uses_max=2)
    wider: tuple[dict[str, Any], ...] = (
        {"tools": ("book.*",)},
        {"environments": ("sandbox",)},
        {"uses_max": 3},
        {"not_after": whole.not_after + 1},
        {"not_before": whole.not_before - 1},
    )
    for given in wider:
        with pytest.raises(Forbidden) as refused:
            await part(world, whole, **given)
        assert refused.value.code == "delegation.wider", given
    with pytest.raises(NotFound):  # not the rival's to pass on
        await part(world, whole, who=world.cast.rival)
    with pytest.raises(Forbidden):  # and no person's
        await granted(world, world.cast.zoe, parent_id=whole.delegation_id)
    with pytest.raises(Forbidden):  # nor does an agent grant anything of its own
        await granted(world, world.cast.agent, agent=world.cast.rival)


async def test_only_who_has_to_do_with_it_revokes_it(world: World) -> None:
    mine = await granted(world)
    with pytest.raises(Forbidden):
        await revoke(world.node, world.cast.ann, mine.delegation_id)
    with pytest.raises(NotFound):
        await revoke(world.node, world.cast.rival, mine.delegation_id)
    once = await revoke(world.node, world.cast.otto, mine.delegation_id)
    assert await revoke(world.node, world.cast.zoe, mine.delegation_id) == once


async def test_nobody_begins_a_run_under_what_is_not_theirs(world: World) -> None:
    await ready(world, "sandbox", "production")
    mine = await granted(world)
    with pytest.raises(NotFound):
        await begun(world, mine, world.cast.rival)
    with pytest.raises(NotFound):
        await world.begin(FREE, delegation="dlg_" + "0" * 32)
    with pytest.raises(Forbidden) as refused:
        await begun(world, mine, principal=world.cast.olga.id)
    assert refused.value.code == "run.principal"
    with pytest.raises(Forbidden) as refused:
        await begun(world, mine, environment="sandbox")
    assert refused.value.code == "delegation.other_environment"
    assert (await begun(world, mine)).environment == "production"  # the page's default is not covered
    with pytest.raises(Malformed):
        await begun(world, mine, environment="nowhere")
    later = await granted(world, not_before=world.clock.us + 60 * SECOND)
    with pytest.raises(Forbidden):
        await begun(world, later)


async def test_the_same_grant_under_one_key_is_one_and_other_content_clashes(world: World) -> None:
    until = world.clock.us + HOUR
    first = await granted(world, key="k", not_after=until)
    assert await granted(world, key="k", not_after=until) == first
    with pytest.raises(Conflict):
        await granted(world, key="k", not_after=until, uses_max=1)


@pytest.mark.parametrize(
    "given",
    [
        {"tools": ()}, {"tools": ("a b",)}, {"tools": ("book.note", "book.note")}, {"environments": ()},
        {"environments": ("*",)}, {"condition": "args."}, {"condition": "args.text + 'x'", "uses_max": -1},
        {"condition": "'text'"}, {"uses_max": -1}, {"not_after": None}, {"not_after": 1},
        {"usd_micros_max": 2**53},
    ],
)  # fmt: skip
async def test_what_cannot_be_delegated_is_refused(world: World, given: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        await granted(world, **given)


async def test_an_installation_may_ask_for_a_delegation(world: World) -> None:
    await ready(world)
    await world.begin(FREE)
    world.node.requires_delegation = True
    denied = await note(world)  # a run that was open before
    assert (denied.state, denied.reason) == (State.DENIED, "delegation_required")
    with pytest.raises(Forbidden) as refused:
        await world.begin(FREE)
    assert refused.value.code == "delegation.required"
    await begun(world, await granted(world))
    assert (await note(world)).state is State.SUCCEEDED


ROLES = """\
version: "{version}"
roles:
  Clerk:
    - tools: [book.*]
      environments: [production]
      when: {when}
"""


async def roles(world: World, version: str = "1", when: str = "args.text != 'never'") -> None:
    text = ROLES.format(version=version, when=when)
    await publish_roles(world.node, world.cast.admin, text)


async def test_once_a_roles_page_is_published_a_role_of_the_principal_has_to_permit_a_call(world: World) -> None:
    await ready(world)
    await world.begin(FREE)
    assert (await note(world, "never")).state is State.SUCCEEDED
    await roles(world)
    assert (await note(world, "1")).state is State.SUCCEEDED
    denied = await world.propose("book.note", {"text": "never"}, again=True)
    assert (denied.state, denied.reason) == (State.DENIED, "not_permitted")
    await world.give_roles(world.cast.olga)
    assert (await note(world, "2")).reason == "not_permitted"


async def test_a_role_that_is_lost_voids_what_was_approved(world: World) -> None:
    await roles(world, when="args.amount < 100")
    await world.begin("books")
    approved = await world.approved()
    await world.give_roles(world.cast.olga)
    await world.tick(1)
    after = await world.get(approved)
    assert (after.state, after.reason) == (State.VOIDED, "not_permitted")


async def test_a_delegation_is_cut_by_what_its_grantor_may_do_now(world: World) -> None:
    await ready(world)
    await roles(world)
    with pytest.raises(Forbidden) as refused:
        await granted(world)  # Zoe has no role
    assert refused.value.code == "delegation.wider"
    mine = await granted(world, world.cast.ann)
    await begun(world, mine)
    assert (await note(world, "1")).state is State.SUCCEEDED
    assert (await note(world, "never")).reason == "grantor_lost"
    await roles(world, "2", when="args.text == '3'")
    assert (await note(world, "2")).reason == "grantor_lost"
    assert (await note(world, "3")).state is State.SUCCEEDED
    await world.give_roles(world.cast.ann)
    assert (await world.propose("book.note", {"text": "3"}, again=True)).reason == "grantor_lost"


async def test_a_grantor_who_was_switched_off_takes_it_along(world: World) -> None:
    await ready(world)
    mine = await granted(world)
    await begun(world, mine)
    await people.change_person(world.node, world.cast.admin, world.cast.zoe.id, is_active=False)
    assert (await note(world)).reason == "principal_inactive"
    with pytest.raises(Forbidden):
        await begun(world, mine)


async def test_the_grantor_cannot_approve_what_is_done_in_their_name(world: World) -> None:
    mine = await granted(world, world.cast.ann, tools=("book.*",))
    await world.begin("books", delegation=mine.delegation_id)
    waiting = await world.propose()
    with pytest.raises(Forbidden) as refused:
        await world.vote(waiting, world.cast.ann)
    assert refused.value.code == "approval.own_request"
    assert (await world.vote(waiting, world.cast.bob)).state is State.SUCCEEDED


async def test_an_agents_own_undo_takes_a_delegation_that_still_counts(world: World) -> None:
    mine = await granted(world, tools=("book.create",))
    await world.begin("books", delegation=mine.delegation_id)
    done = await world.posted()
    reversal = await world.undo(done, world.cast.agent)
    assert reversal.state is State.PENDING_APPROVAL
    await world.cancel(reversal)
    await revoke(world.node, world.cast.zoe, mine.delegation_id)
    assert (await world.undo(done, world.cast.agent)).reason == "delegation_revoked"
    assert (await world.undo(done, world.cast.bob)).state is State.PENDING_APPROVAL  # a person's own


async def test_no_delegation_outlives_the_loss_of_its_revocation(world: World) -> None:
    """What an old backup brings back may have been revoked since."""
    await ready(world)
    mine = await granted(world)
    await begun(world, mine)
    await world.node.storage.transact(TENANT, revoke_delegations)
    assert (await note(world)).reason == "delegation_revoked"


async def test_only_an_admin_publishes_roles_and_a_version_never_changes(world: World) -> None:
    for who in (world.cast.otto, world.cast.ann, world.cast.agent):
        with pytest.raises(Forbidden):
            await publish_roles(world.node, who, ROLES.format(version="1", when="true"))
    await roles(world)
    await roles(world)
    with pytest.raises(Conflict):
        await roles(world, when="true")
    with pytest.raises(Malformed):
        await publish_roles(world.node, world.cast.admin, "version: 2\nroles: []\n")
    with pytest.raises(Malformed):
        await publish_roles(world.node, world.cast.admin, "version: 2\nroles: {Clerk: [{tools: [a]}]}\n")
