# SPDX-License-Identifier: Apache-2.0
"""A named person opens a tier, or reviews class D: for what they saw, until it changes or they take it back."""

import pytest

from signoff.app.authority import people
from signoff.app.authority.clearances import Clearable, clear, clearable, withdraw_clearance
from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.clearance import Clearance, Cleared
from signoff.core.errors import Conflict, Forbidden, NotFound
from signoff.core.principal import Caller
from tests.target import TOOLS, contract
from tests.world import TENANT, World, envelope

ALLOW = "{id: small, tool: book.create, when: args.amount < 50, then: allow, tier: routine}"
OTHER = "{id: note, tool: book.note, when: 'true', then: allow, tier: notes}"
SHELF = "{id: room, tool: book.create, when: facts.shelf.room > args.amount, then: allow, tier: routine}"
FACTS = "facts: {shelf: {tool: book.shelf, args: {shelf: args.shelf}, max_age: 5s}}"


def page(*rules: str, mode: str = "autonomous", version: str = "1", more: str = "", roles: str = "Clerk") -> str:
    text = envelope(workflow="tiered", mode=mode, version=version, more=more, roles=roles.split())
    if not rules:
        return text
    listed = "\n".join(f"    - {rule}" for rule in rules)
    return text.replace("  approval_roles:", f"  rules:\n{listed}\n  approval_roles:")


async def publish(world: World, text: str) -> None:
    world.clock.advance(0.001)  # of two pages of one instant nobody could tell the newer
    await world.publish(text)


async def look(world: World) -> Clearable:
    return await clearable(world.node, world.cast.admin, "tiered")


async def opened(world: World, tier: str = "routine", who: Caller | None = None) -> Clearance:
    digest = next(one.digest for one in (await look(world)).tiers if one.name == tier)
    given, _ = await clear(
        world.node,
        who or world.cast.admin,
        "tiered",
        Cleared.TIER,
        tier,
        digest,
        "forty matched, none erred",
    )
    return given


async def reviewed(world: World, who: Caller, tool: str = "book.erase") -> Clearance:
    digest = next(one.digest for one in (await look(world)).reviews if one.tool == tool)
    given, _ = await clear(world.node, who, "tiered", Cleared.CLASS_D, tool, digest, "read and found in order")
    return given


async def told(world: World, action: Action) -> str:
    shown = await world.document(action)
    return str(next(check["detail"] for check in shown["decision"]["checks"] if check["check"] == "rules"))


async def small(world: World, amount: int = 12) -> Action:
    return await world.propose(args={"shelf": "a", "amount": amount})


async def test_an_allow_lifts_only_under_a_tier_that_a_person_opened(world: World) -> None:
    await publish(world, page(ALLOW))
    await world.begin("tiered")
    waiting = await world.propose(args={"shelf": "b", "amount": 1})
    assert waiting.state is State.PENDING_APPROVAL
    assert "if its tier routine were open" in await told(world, waiting)
    given = await opened(world)
    assert (given.kind, given.name, given.by) == (Cleared.TIER, "routine", world.cast.admin.id)
    assert (await small(world, 2)).state is State.SUCCEEDED
    assert (await small(world, 60)).state is State.PENDING_APPROVAL, "beyond the rule people are asked"
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_closing_a_tier_holds_from_the_next_decision_on_and_it_may_be_opened_again(world: World) -> None:
    await publish(world, page(ALLOW))
    await world.begin("tiered")
    given = await opened(world)
    assert (await small(world, 1)).state is State.SUCCEEDED
    await withdraw_clearance(world.node, world.cast.otto, "tiered", given.clearance_id, "an audit asks")
    assert (await small(world, 2)).state is State.PENDING_APPROVAL
    again = await opened(world)
    assert again.clearance_id != given.clearance_id
    assert (await small(world, 3)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_tier_that_is_closed_between_decision_and_claim_is_not_sent(world: World) -> None:
    await publish(world, page(ALLOW))
    await world.begin("tiered")
    given = await opened(world)
    first = await world.propose("book.create", {"shelf": "a", "amount": 1})
    assert first.state is State.SUCCEEDED
    # While another holds the shelf, what is allowed waits for it unclaimed.
    world.target.plan.append("lost_before")
    holding = await small(world, 2)
    assert holding.state is State.IN_DOUBT
    waiting = await small(world, 3)
    assert (waiting.state, waiting.verdict) == (State.PROPOSED, "allow")
    await withdraw_clearance(world.node, world.cast.admin, "tiered", given.clearance_id, "no longer")
    await world.pass_time(130, 10)
    ended = await world.get(waiting)
    assert (ended.state, ended.reason) == (State.DENIED, "stricter_decision")
    await world.check_ledger()


@pytest.mark.parametrize(
    "changed",
    [
        (ALLOW.replace("50", "51"),), (ALLOW, OTHER.replace("notes", "routine")), (ALLOW.replace("small", "little"),),
        (ALLOW.replace("book.create", "book.note").replace("args.amount < 50", "'true'"),),
    ],
)  # fmt: skip
async def test_a_changed_rule_closes_its_tier_by_its_digest(world: World, changed: tuple[str, ...]) -> None:
    await publish(world, page(ALLOW))
    await world.begin("tiered")
    await opened(world)
    old = world.run_id
    await publish(world, page(*changed, version="2"))
    await world.begin("tiered")
    assert (await small(world, 1)).state is State.PENDING_APPROVAL
    tier = (await look(world)).tiers[0]
    assert tier.given is None
    assert tier.had_other
    assert (await world.propose(args={"shelf": "b", "amount": 1}, run=old)).state is State.SUCCEEDED, (
        "it keeps its page"
    )
    await world.check_ledger()


async def test_what_a_tier_does_not_name_may_change_and_it_stays_open(world: World) -> None:
    await publish(world, page(ALLOW))
    await opened(world)
    deny = "{id: never, tool: book.create, when: args.amount > 90, then: deny}"
    await publish(world, page(deny, ALLOW, version="2", more="purpose: said otherwise"))
    await world.begin("tiered")
    assert (await small(world)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_another_source_of_a_fact_closes_the_tier_that_stands_on_it(world: World) -> None:
    await publish(world, page(SHELF, more=FACTS))
    await opened(world)
    await publish(world, page(SHELF, more=FACTS.replace("args.shelf", "\"'x'\""), version="2"))
    await world.begin("tiered")
    assert (await small(world)).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_only_a_named_author_or_admin_opens_and_only_what_they_saw(world: World) -> None:
    await publish(world, page(ALLOW))
    for who in (world.cast.agent, world.cast.ann, world.cast.otto, world.cast.zoe):
        with pytest.raises(Forbidden):
            await opened(world, who=who)
    digest = (await look(world)).tiers[0].digest
    await publish(world, page(ALLOW.replace("50", "5000"), version="2"))
    with pytest.raises(Conflict) as refused:
        await clear(world.node, world.cast.admin, "tiered", Cleared.TIER, "routine", digest, "as before")
    assert refused.value.code == "clearance.digest_mismatch"
    for kind, name in ((Cleared.TIER, "rutine"), (Cleared.CLASS_D, "book.note"), (Cleared.CLASS_D, "routine")):
        with pytest.raises(NotFound):
            await clear(world.node, await _all_roles(world), "tiered", kind, name, digest, "a guess")
    with pytest.raises(NotFound):
        await clearable(world.node, world.cast.admin, "other")
    with pytest.raises(Forbidden):
        await clearable(world.node, world.cast.agent, "tiered")
    await world.check_ledger()


async def test_a_person_who_lost_the_role_opens_nothing_though_their_key_says_otherwise(world: World) -> None:
    await publish(world, page(ALLOW))
    author = Caller(TENANT, world.cast.zoe.id, ("author",))
    await world.give_roles(world.cast.zoe, "author")
    given = await opened(world, who=author)
    await world.give_roles(world.cast.zoe)
    with pytest.raises(Forbidden):
        await opened(world, who=author)
    with pytest.raises(Forbidden):
        await withdraw_clearance(world.node, author, "tiered", given.clearance_id, "mine")
    await people.change_person(world.node, world.cast.admin, world.cast.zoe.id, roles=["author"], is_active=False)
    with pytest.raises(Forbidden):
        await opened(world, who=author)
    await world.check_ledger()


async def test_the_same_again_is_the_same_and_a_withdrawal_too(world: World) -> None:
    await publish(world, page(ALLOW, OTHER))
    first = await opened(world)
    assert (await opened(world)) == first
    assert (await opened(world, "notes")).clearance_id != first.clearance_id
    gone, reason = await withdraw_clearance(world.node, world.cast.admin, "tiered", first.clearance_id, "enough")
    assert gone.is_withdrawn
    assert reason == "forty matched, none erred"
    assert (await withdraw_clearance(world.node, world.cast.otto, "tiered", first.clearance_id, "again"))[0] == gone
    with pytest.raises(NotFound):
        await withdraw_clearance(world.node, world.cast.admin, "books", first.clearance_id, "of another workflow")
    with pytest.raises(NotFound):
        await withdraw_clearance(world.node, world.cast.admin, "tiered", "clr_nothing", "none such")
    assert [one.is_withdrawn for one, _ in (await look(world)).ever] == [False, True]
    await world.check_ledger()


async def test_opening_tells_which_inert_controls_it_lifts(world: World) -> None:
    more = "safety: {block_on_prompt_injection_score_gte: 0.5}\nbudgets: {max_tokens_per_task: 10}"
    await publish(world, page(ALLOW, more=more))
    assert [one.control for one in (await look(world)).lifts] == ["injection score", "token budget"]
    await world.begin("tiered")
    await opened(world)
    assert (await small(world)).state is State.SUCCEEDED
    await world.check_ledger()


@pytest.mark.parametrize("mode", ["assist", "watch", "suggest"])
async def test_an_open_tier_lifts_nothing_outside_autonomous_and_is_evidence(world: World, mode: str) -> None:
    await publish(world, page(ALLOW, mode=mode))
    await opened(world)
    await world.begin("tiered")
    action = await small(world)
    assert action.state is (State.SUGGESTED if mode == "suggest" else State.PENDING_APPROVAL)
    assert "rules:pass:rule_would_allow" in (action.checks or "")
    assert "if the mode were autonomous" in await told(world, action)
    await world.check_ledger()


async def test_in_watch_a_read_asks_and_in_suggest_nothing_is_run(world: World) -> None:
    await publish(world, page(mode="watch"))
    await world.begin("tiered")
    assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.PENDING_APPROVAL
    await publish(world, page(mode="suggest", version="2"))
    await world.begin("tiered")
    suggested = await small(world)
    assert (suggested.state, bool(suggested.preview)) == (State.SUGGESTED, True)
    assert world.target.calls == []
    await world.check_ledger()


async def test_an_edit_that_an_open_tier_would_let_through_still_asks(world: World) -> None:
    """Whoever edits decides for others to look at, not for it to be sent."""
    await publish(world, page(ALLOW))
    await opened(world)
    await world.begin("tiered")
    edited = await world.edit(await small(world, 80), {"shelf": "a", "amount": 8})
    assert edited.state is State.PENDING_APPROVAL
    assert (await world.vote(edited)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_claims_reach_the_rules_and_are_the_agents_own(world: World) -> None:
    sure = "{id: sure, tool: book.note, when: action.confidence >= 0.9, then: allow, tier: routine}"
    await publish(world, page(sure))
    await opened(world)
    await world.begin("tiered")
    assert (await world.propose("book.note", {"text": "a"})).state is State.PENDING_APPROVAL
    unsure = await world.propose("book.note", {"text": "b"}, claims={"confidence": 0.5})
    assert unsure.state is State.PENDING_APPROVAL
    certain = await world.propose("book.note", {"text": "c"}, claims={"confidence": 0.95})
    assert certain.state is State.SUCCEEDED
    await world.check_ledger()


async def test_class_d_is_denied_until_reviewed_and_then_asks_two_people_of_different_roles(world: World) -> None:
    await publish(world, page(roles="Clerk Boss"))
    await world.begin("tiered")
    erase = {"shelf": "a"}
    denied = await world.propose("book.erase", erase)
    assert (denied.state, denied.reason) == (State.DENIED, "class_d_unreviewed")
    await world.give_roles(world.cast.zoe, "compliance")
    await reviewed(world, world.cast.zoe)
    waiting = await world.propose("book.erase", erase, again=True)
    assert waiting.state is State.PENDING_APPROVAL
    assert [one["distinct_roles"] for one in (await world.document(waiting))["approval"]["owed"]] == [False, True]
    assert (await world.vote(waiting, world.cast.ann)).state is State.PENDING_APPROVAL
    assert (await world.vote(waiting, world.cast.bob)).state is State.PENDING_APPROVAL, "two clerks are of one role"
    await world.give_roles(world.cast.otto, "operator", "Boss")
    assert (await world.vote(waiting, world.cast.otto)).state is State.SUCCEEDED
    roles = {vote.person_id: vote.role for vote in await world.votes(waiting)}
    assert roles[world.cast.otto.id] == "Boss"
    await world.check_ledger()


async def test_who_holds_both_roles_counts_once_and_leaves_the_other_role_to_another(world: World) -> None:
    await publish(world, page(roles="Clerk Boss"))
    await world.begin("tiered")
    await world.give_roles(world.cast.zoe, "compliance")
    await reviewed(world, world.cast.zoe)
    await world.give_roles(world.cast.bob, "Clerk", "Boss")
    waiting = await world.propose("book.erase", {"shelf": "a"})
    await world.vote(waiting, world.cast.ann)
    assert (await world.vote(waiting, world.cast.bob)).state is State.SUCCEEDED
    assert {vote.role for vote in await world.votes(waiting)} == {"Clerk", "Boss"}
    await world.check_ledger()


async def test_nobody_but_compliance_reviews_class_d(world: World) -> None:
    await publish(world, page(roles="Clerk Boss"))
    await world.give_roles(world.cast.zoe, "author", "operator", "auditor")
    for who in (world.cast.admin, world.cast.zoe, world.cast.ann, world.cast.agent):
        with pytest.raises(Forbidden):
            await reviewed(world, who)
    await world.check_ledger()


async def test_a_page_with_one_role_cannot_ask_two_people_of_different_roles(world: World) -> None:
    await publish(world, page())
    await world.begin("tiered")
    await world.give_roles(world.cast.zoe, "compliance")
    await reviewed(world, world.cast.zoe)
    assert (await world.propose("book.erase", {"shelf": "a"})).reason == "class_d_one_role"
    await world.check_ledger()


@pytest.mark.parametrize("what", ["contract", "rule", "withdrawn"])
async def test_what_changes_after_a_class_d_review_ends_it(world: World, what: str) -> None:
    """Also for what waits: its claim looks at the review again."""
    await publish(world, page(roles="Clerk Boss"))
    await world.begin("tiered")
    await world.give_roles(world.cast.zoe, "compliance")
    given = await reviewed(world, world.cast.zoe)
    await world.give_roles(world.cast.bob, "Boss")
    waiting = await world.propose("book.erase", {"shelf": "a"})
    await world.vote(waiting, world.cast.ann)
    if what == "contract":
        await world.publish(contract(book_erase=[*TOOLS["book.erase"], "timeout: 5s"]))
    elif what == "rule":
        ask = "{id: two, tool: book.erase, when: 'true', then: approve}"
        await publish(world, page(ask, roles="Clerk Boss", version="2"))
        await world.begin("tiered")
    else:
        await withdraw_clearance(world.node, world.cast.zoe, "tiered", given.clearance_id, "the law changed")
    assert (await world.propose("book.erase", {"shelf": "b"})).reason == "class_d_unreviewed"
    ended = await world.vote(waiting, world.cast.bob)
    if what == "rule":
        assert ended.state is State.SUCCEEDED, "its run keeps the page that was reviewed"
    else:
        assert ended.state is State.VOIDED
        assert ended.reason in ("class_d_unreviewed", "contract_changed")
    await world.check_ledger()


async def test_no_allow_lifts_class_d(world: World) -> None:
    rule = "{id: easy, tool: book.erase, when: 'true', then: allow, tier: routine}"
    await publish(world, page(rule, roles="Clerk Boss"))
    await world.give_roles(world.cast.zoe, "compliance")
    await reviewed(world, world.cast.zoe)
    await opened(world)
    await world.begin("tiered")
    assert (await world.propose("book.erase", {"shelf": "a"})).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_an_agents_reversal_owes_what_the_original_owed(world: World) -> None:
    """Two people approved it, so one alone does not let the agent take it back."""
    two = "{id: two, tool: book.note, when: 'true', then: approve, approve: {roles: [Clerk], count: 2}}"
    await publish(world, page(two))
    await world.begin("tiered")
    waiting = await world.propose("book.note", {"text": "x"})
    await world.vote(waiting, world.cast.ann)
    done = await world.vote(waiting, world.cast.bob)
    assert done.state is State.SUCCEEDED
    reversal = await world.undo(done, world.cast.agent)
    assert [duty.count for duty in duties_of(reversal)] == [1, 2]
    assert (await world.vote(reversal, world.cast.ann)).state is State.PENDING_APPROVAL
    assert (await world.vote(reversal, world.cast.bob)).state is State.SUCCEEDED
    await world.check_ledger()


async def _all_roles(world: World) -> Caller:
    roles = ("admin", "author", "compliance")
    await world.give_roles(world.cast.olga, *roles)
    return Caller(TENANT, world.cast.olga.id, roles)
