# SPDX-License-Identifier: Apache-2.0
"""Policy only narrows: whatever is taken away, added as a duty or used up never turns a no into a yes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.bearing import Bearing, Reversal
from signoff.core.authority.contract import Effect, Risk, load_contract, schema_digest
from signoff.core.authority.decision import STRICTNESS, Decision, Duty, Outcome, Verdict, is_stricter
from signoff.core.authority.envelope import Budgets, Envelope, Loops, Mode
from signoff.core.authority.halt import Halt, Scope, in_force, read_scope
from signoff.core.authority.policy import decide
from signoff.core.authority.provenance import Provenance, Traced
from signoff.core.errors import Malformed
from signoff.core.principal import Agent, Person
from signoff.core.run import Run, RunState, Tally
from tests.target import CONTRACT, DESCRIBED

TOOLS = {
    name: tool
    for contract, _ in [load_contract(CONTRACT, "book.yaml")]
    if contract
    for name, tool in contract.tools.items()
}
ARGS: dict[str, dict[str, Any]] = {
    "book.note": {"text": "x"}, "book.create": {"shelf": "a", "amount": 1}, "book.mail": {"to": "x"},
    "book.find": {"key": "k"}, "book.pay": {"amount": 1}, "book.erase": {"shelf": "a"},
    "book.reverse": {"entry_id": "E"},
}  # fmt: skip
HALT = Halt("t", "hlt_1", 1, "h", Scope.TENANT, "", False, "prs_1", 1, "sha256:r", "key_1")


def bearing(tool: str = "book.note", **changed: Any) -> Bearing:
    given: dict[str, Any] = {
        "now": 10, "tally": Tally(), "halts": (), "agent": Agent("t", "agt_1", 1, "h", "scribe", "prs_owner"),
        "principal": Person("t", "prs_owner", 1, "h", ("Clerk",), "sha256:p", "key_1"), "epoch": 1, "tool": tool,
        "contract": TOOLS.get(tool), "live": DESCRIBED.get(tool), "live_digest": None,
        "run": Run(
            "t", "run_1", 1, "h", RunState.OPEN, "books", "sha256:e", "production", "agt_1", "prs_owner", "agt_1", 0,
            "key_1", "sha256:t",
        ),
        "envelope": Envelope(
            "books.yaml", "", "sha256:e", "books", "1", allowed_tools=frozenset(TOOLS), approval_roles=("Clerk",),
            mode=Mode.AUTONOMOUS, writes_ask=False,
        ),
    }  # fmt: skip
    if tool in DESCRIBED:
        given["live_digest"] = schema_digest(DESCRIBED[tool])
    return Bearing(**given | changed)


def said(b: Bearing, **given: Any) -> Decision:
    return decide(b, ARGS.get(b.tool, {}), **given)


envelopes = st.builds(
    Envelope,
    st.just("books.yaml"), st.just(""), st.just("sha256:e"), st.just("books"), st.just("1"),
    mode=st.sampled_from([Mode.WATCH, Mode.ASSIST, Mode.AUTONOMOUS]),
    budgets=st.builds(
        Budgets, st.none() | st.just(5), st.none() | st.integers(1, 5), st.none() | st.integers(0, 10**6)
    ),
    allowed_tools=st.sets(st.sampled_from(sorted(ARGS)), min_size=4).map(frozenset),
    writes_ask=st.booleans(),
    approval_roles=st.just(("Clerk",)),
    injection_threshold_ppm=st.none() | st.just(700_000),
    citations_for=st.sampled_from([(), ("policy",)]),
    loops=st.builds(Loops, *(st.integers(1, 5) for _ in range(4))),
)  # fmt: skip
tallies = st.builds(
    Tally, *(st.integers(0, 5) for _ in range(4)), st.integers(0, 10**7), st.just(0), st.integers(0, 10**6)
)
bearings = st.builds(
    lambda tool, envelope, tally, changed: bearing(tool, envelope=envelope, tally=tally, **changed),
    st.sampled_from(sorted(ARGS)),
    envelopes,
    tallies,
    st.fixed_dictionaries(
        {},
        optional={
            "epoch": st.sampled_from([None, 1, 2]),
            "is_withdrawn": st.booleans(),
            "now": st.integers(0, 10**7),
            "reversal": st.builds(
                Reversal, st.just(("Clerk",)), st.integers(1, 2), st.booleans(), st.sampled_from(Risk)
            ),
            "is_contract_as_decided": st.sampled_from([True, True, True, False]),
        },
    ),
)  # fmt: skip


def _envelope(b: Bearing, **changed: Any) -> Bearing:
    return replace(b, envelope=replace(b.envelope, **changed))


def _less(b: Bearing, name: str) -> Bearing:
    known = getattr(b.envelope.budgets, name)
    return _envelope(b, budgets=replace(b.envelope.budgets, **{name: max(0, (3 if known is None else known) - 1)}))


def _loops(b: Bearing, name: str) -> Bearing:
    return _envelope(b, loops=replace(b.envelope.loops, **{name: getattr(b.envelope.loops, name) - 1}))


def _more(b: Bearing, name: str, by: int = 1) -> Bearing:
    return replace(b, tally=replace(b.tally, **{name: getattr(b.tally, name) + by}))


def _risk(b: Bearing) -> Bearing:
    worse = {Risk.A: Risk.B, Risk.B: Risk.C, Risk.C: Risk.D, Risk.D: Risk.D}
    return replace(b, contract=replace(b.contract, risk=worse[b.contract.risk])) if b.contract else b


HARDER: dict[str, Callable[[Bearing], Bearing]] = {
    "a tool less": lambda b: _envelope(b, allowed_tools=b.envelope.allowed_tools - {b.tool}),
    "any tool less": lambda b: _envelope(b, allowed_tools=frozenset(sorted(b.envelope.allowed_tools)[1:])),
    "a halt": lambda b: replace(b, halts=(*b.halts, HALT)),
    "a halt of reversals too": lambda b: replace(b, halts=(*b.halts, replace(HALT, stop_undo=True))),
    "a halt of the tool": lambda b: replace(b, halts=(*b.halts, replace(HALT, scope=Scope.TOOL, target=b.tool))),
    "fewer calls": lambda b: _less(b, "calls_max"),
    "a lower cap": lambda b: _less(b, "cap_usd_micros"),
    "a token cap": lambda b: _less(b, "tokens_max"),
    "fewer steps": lambda b: _loops(b, "steps_max"),
    "fewer denials": lambda b: _loops(b, "denials_max"),
    "fewer identical calls": lambda b: _loops(b, "identical_calls_max"),
    "less time": lambda b: _loops(b, "run_seconds_max"),
    "a call sent": lambda b: _more(b, "sent"),
    "a step taken": lambda b: _more(b, "steps"),
    "a denial": lambda b: _more(b, "denied"),
    "the same call again": lambda b: _more(b, "identical"),
    "money spent": lambda b: _more(b, "spent_usd_micros", 100_000),
    "time passed": lambda b: replace(b, now=b.now + 10**6),
    "writes ask": lambda b: _envelope(b, writes_ask=True),
    "mode assist": lambda b: _envelope(b, mode=Mode.ASSIST) if b.envelope.mode is Mode.AUTONOMOUS else b,
    "mode watch": lambda b: _envelope(b, mode=Mode.WATCH),
    "an injection threshold": lambda b: _envelope(b, injection_threshold_ppm=1),
    "citations": lambda b: _envelope(b, citations_for=("law",)),
    "a provenance rule that nobody traced": lambda b: _envelope(b, provenance={b.tool: Provenance(b.tool, {})}),
    "a value that nobody vouches for": lambda b: replace(
        _envelope(b, provenance={b.tool: Provenance(b.tool, {})}), traced=Traced({}, ("x",), "It is nowhere.")
    ),
    "a worse class": _risk,
    "a dearer call": lambda b: replace(b, contract=replace(b.contract, cost_usd_micros=10**6)) if b.contract else b,
    "no pin": lambda b: replace(b, contract=replace(b.contract, schema_digest=None)) if b.contract else b,
    "no contract": lambda b: replace(b, contract=None),
    "another contract": lambda b: replace(b, is_contract_as_decided=False),
    "no server": lambda b: replace(b, live=None, live_digest=None),
    "another tool there": lambda b: replace(b, live_digest="sha256:x"),
    "no resource": lambda b: replace(b, is_resource_known=False),
    "a withdrawal": lambda b: replace(b, is_withdrawn=True),
    "no agent": lambda b: replace(b, agent=None),
    "an agent switched off": lambda b: replace(b, agent=replace(b.agent, is_active=False)) if b.agent else b,
    "tokens revoked": lambda b: replace(b, epoch=9),
    "no principal": lambda b: replace(b, principal=None),
    "a pause": lambda b: replace(b, run=replace(b.run, state=RunState.PAUSED)),
    "a closed run": lambda b: replace(b, run=replace(b.run, state=RunState.COMPLETED)),
}  # fmt: skip


@pytest.mark.parametrize("harder", HARDER)
@given(bearings, st.booleans())
def test_nothing_that_makes_it_harder_makes_it_easier(harder: str, b: Bearing, again: bool) -> None:
    before, after = said(b, again=again), said(HARDER[harder](b), again=again)
    assert STRICTNESS[after.verdict] >= STRICTNESS[before.verdict]
    if before.verdict is after.verdict is Verdict.ASK:
        assert sum(duty.count for duty in after.duties) >= sum(duty.count for duty in before.duties)
        assert not is_stricter(before, after.verdict, after.duties)


@given(bearings, st.booleans())
def test_a_decision_is_whole(b: Bearing, again: bool) -> None:
    found = said(b, again=again)
    assert found == said(b, again=again)
    denials = [check for check in found.checks if check.outcome is Outcome.DENY]
    assert (found.verdict is Verdict.DENY) == bool(denials)
    assert len(denials) <= 1
    assert not denials or found.checks[-1] is denials[0]
    assert not denials or (denials[0].reason and denials[0].detail)
    assert bool(found.duties) == (found.verdict is Verdict.ASK)
    assert found.reserve_usd_micros == (0 if denials else b.contract.cost_usd_micros if b.contract else 0)
    assert all(duty.count >= 1 and duty.roles for duty in found.duties)


@given(bearings)
def test_a_look_again_is_never_stricter_for_what_the_agent_did_since(b: Bearing) -> None:
    later = replace(b, tally=replace(b.tally, steps=99, denied=99, identical=99), now=10**12)
    assert said(later, again=True) == said(b, again=True)


@given(bearings)
def test_suggest_runs_nothing_that_has_an_effect(b: Bearing) -> None:
    found = said(_envelope(b, mode=Mode.SUGGEST))
    if b.contract and b.contract.effect is not Effect.READ and not b.reversal:
        assert found.verdict in (Verdict.SUGGEST, Verdict.DENY)


# --- the kill switch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope.TENANT, Scope.WORKFLOW, Scope.AGENT, Scope.TOOL])
@pytest.mark.parametrize("by_person", [True, False, None])
@pytest.mark.parametrize("stop_undo", [True, False])
def test_a_halt_stops_what_it_covers_and_lets_only_a_persons_reversal_pass(
    scope: Scope, by_person: bool | None, stop_undo: bool
) -> None:
    target = {Scope.TENANT: "", Scope.WORKFLOW: "books", Scope.AGENT: "agt_1", Scope.TOOL: "book.reverse"}[scope]
    reversal = None if by_person is None else Reversal(("Clerk",), by_person=by_person)
    halted = replace(HALT, scope=scope, target=target, stop_undo=stop_undo)
    denial = said(bearing("book.reverse", halts=(halted,), reversal=reversal)).denial
    passes = by_person is True and not stop_undo
    assert (denial is None) == passes
    assert denial is None or denial.reason == "halted"
    elsewhere = replace(halted, target="elsewhere" if target else "never")
    assert said(bearing("book.reverse", halts=(elsewhere,), reversal=reversal)).denial is None


@given(st.lists(st.sampled_from(["a", "b", ""]), min_size=4, max_size=4), st.booleans())
def test_a_halt_that_covers_nothing_of_it_is_not_in_force(names: list[str], is_undo: bool) -> None:
    workflow, agent, tool, target = names
    for scope, own in ((Scope.WORKFLOW, workflow), (Scope.AGENT, agent), (Scope.TOOL, tool)):
        one = replace(HALT, scope=scope, target=target or "x")
        assert (in_force([one], workflow, agent, tool, is_undo=is_undo) is not None) == (
            own == (target or "x") and not is_undo
        )


def test_a_scope_is_read_exactly() -> None:
    assert read_scope("tenant") == (Scope.TENANT, "")
    assert read_scope("tool:a:b") == (Scope.TOOL, "a:b")
    for text in ("", "tenant:", "tenant:x", "workflow", "workflow:", "Tool:x", "everything", "x:y"):
        with pytest.raises(Malformed):
            read_scope(text)


# --- what was approved covers what is owed ----------------------------------------------------------------------------

ROLES = st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, max_size=3, unique=True).map(tuple)
DUTIES = st.lists(st.builds(Duty, ROLES, st.integers(1, 3), st.booleans(), st.just(1), st.just("x")), max_size=3)


@given(DUTIES, DUTIES)
def test_who_met_what_was_owed_has_met_what_is_not_stricter(earlier: list[Duty], later: list[Duty]) -> None:
    """Whatever set of voters meets the earlier duties meets later ones that are called no stricter."""
    decision = Decision(Verdict.ASK, (), tuple(later))
    if is_stricter(decision, Verdict.ASK, tuple(earlier)):
        return
    for owed in later:
        assert any(
            set(met.roles) <= set(owed.roles)
            and met.count >= owed.count
            and met.distinct_from_requester >= owed.distinct_from_requester
            for met in earlier
        )


@given(DUTIES)
def test_the_same_duties_are_not_stricter(duties: list[Duty]) -> None:
    assert not is_stricter(Decision(Verdict.ASK, (), tuple(duties)), Verdict.ASK, tuple(duties))


@pytest.mark.parametrize("earlier", Verdict)
@pytest.mark.parametrize("later", Verdict)
def test_a_stricter_verdict_is_stricter(earlier: Verdict, later: Verdict) -> None:
    order = [Verdict.ALLOW, Verdict.ASK, Verdict.SUGGEST, Verdict.DENY]
    assert is_stricter(Decision(later, ()), earlier, ()) == (order.index(later) > order.index(earlier))
