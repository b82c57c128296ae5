# SPDX-License-Identifier: Apache-2.0
"""Provenance never accepts a value whose only source is untrusted, and never refuses what is plainly vouched for."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.check.provenance import provenance
from signoff.core.authority.decision import Outcome
from signoff.core.authority.normal import Normal, Told
from signoff.core.authority.provenance import Provenance, Seen, Shown, Source, Sourcing, Traced, trace
from signoff.core.authority.said import Said
from signoff.core.authority.tool import OutputTrust
from tests.core.authority.test_policy import bearing

TRUSTED, UNTRUSTED = OutputTrust(True), OutputTrust()
USER = Source()


def rule(**sources: tuple[Source, ...]) -> Provenance:
    return Provenance("pay", {name: Sourcing(name, given) for name, given in sources.items()})


def shown(tool: str = "look", until: int = 0, trust: OutputTrust = TRUSTED, **content: Any) -> Shown:
    return Shown("act_1", tool, content, trust, until)


# Values that share no four letters or digits, so that what is said of one says nothing of another.
VALUES = ["Kestrel-01", "Osprey-22", "Harrier-33", "Merlin-44", 51_730, 62_841, 73_952, "84063", True, 2.75]
values = st.sampled_from(VALUES)
FIELDS = ["id", "iban", "note"]
results = st.builds(
    Shown,
    st.sampled_from(["act_1", "act_2", "act_3"]),
    st.sampled_from(["look", "list"]),
    st.dictionaries(st.sampled_from(FIELDS), values | st.lists(values, max_size=2), max_size=3),
    st.builds(OutputTrust, st.booleans(), st.dictionaries(st.sampled_from(FIELDS), st.booleans(), max_size=3)),
    st.integers(0, 4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
sources = st.lists(
    st.builds(Source, st.sampled_from([None, "look", "list"]), st.sampled_from(FIELDS)), min_size=1, max_size=3
).map(tuple)
rules = st.dictionaries(st.sampled_from(["a", "b", "c"]), sources, min_size=1).map(lambda given: rule(**given))


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Seen]:
    """Draw a run; its task holds some of the values, its agent has said some."""
    said = draw(st.lists(st.fixed_dictionaries({"x": values}), max_size=4))
    task = " and ".join(str(one) for one in draw(st.lists(values, max_size=3)))
    shown_ = tuple(draw(st.lists(results, max_size=4)))
    return said, Seen(Told(task), tuple(Said(one) for one in said), shown_)


def vouches(one: Shown, source: Source, value: Any, said: list[dict[str, Any]]) -> bool:
    """Tell naively whether one result may endorse a value."""
    item = one.content.get(source.field)
    items = item if isinstance(item, list) else [item]
    return (
        one.tool == source.tool
        and one.is_read
        and not one.is_error
        and not one.is_written
        and one.trust.is_trusted(source.field)
        and any(type(found) is type(value) and found == value for found in items)
        and not any(json.dumps(value) in json.dumps(args) for args in said[: one.until])
    )


@given(rules, st.dictionaries(st.sampled_from(["a", "b", "c"]), values), runs())
def test_no_value_is_accepted_whose_only_source_is_untrusted(
    given_rule: Provenance, args: dict[str, Any], run: tuple[list[dict[str, Any]], Seen]
) -> None:
    said, seen = run
    traced = trace(given_rule, args, seen)
    for name, value in args.items():
        if name not in given_rule.arguments or name in traced.failed:
            continue
        allowed = given_rule.arguments[name].sources
        by_user = USER.tool in [source.tool for source in allowed] and seen.task.holds(value, Normal.EXACT)
        by_tool = any(vouches(one, source, value, said) for one in seen.shown for source in allowed if source.tool)
        assert by_user or by_tool, (name, value)
        assert traced.origins[name]


@given(rules, st.dictionaries(st.sampled_from(["a", "b", "c"]), values), runs(), results)
def test_what_is_said_or_taken_away_makes_nothing_acceptable(
    given_rule: Provenance, args: dict[str, Any], run: tuple[list[dict[str, Any]], Seen], more: Shown
) -> None:
    """More said before, a result less, less trust: whatever failed still fails."""
    _, seen = run
    failed = set(trace(given_rule, args, seen).failed)
    harder = [
        replace(seen, shown=seen.shown[1:]),
        replace(seen, said=(Said({"x": list(args.values())}), *seen.said), shown=tuple(_later(seen))),
        replace(seen, shown=tuple(replace(one, trust=UNTRUSTED) for one in seen.shown)),
        replace(seen, shown=tuple(replace(one, is_written=True) for one in seen.shown)),
        replace(seen, shown=tuple(replace(one, is_error=True) for one in seen.shown)),
        replace(seen, shown=(*seen.shown, replace(more, trust=UNTRUSTED))),
        replace(seen, gap="too long"),
        replace(seen, task=Told("")),
    ]
    for less in harder:
        assert failed <= set(trace(given_rule, args, less).failed)


def _later(seen: Seen) -> list[Shown]:
    return [replace(one, until=one.until + 1) for one in seen.shown]


@given(st.lists(values, min_size=1, max_size=3, unique_by=repr), st.lists(results, max_size=3))
def test_what_one_trusted_result_shows_first_is_accepted(found: list[Any], others: list[Shown]) -> None:
    """No false alarm on the plain path, whatever else was seen."""
    names = FIELDS[: len(found)]
    content = dict(zip(names, found, strict=True))
    seen = Seen(Told(""), (), (*others, shown("plain", **content), *others))
    asked = rule(**{name: (Source("plain", name),) for name in names})
    assert trace(asked, content, seen).failed == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"is_error": True}, {"is_written": True}, {"is_read": False}, {"trust": UNTRUSTED}, {"until": 1},
        {"trust": OutputTrust(True, {"id": False})}, {"tool": "other"}, {"content": {"iban": "A-1"}},
        {"content": {"id": "A-12"}}, {"content": {"id": {"id": "A-1"}}}, {"content": {"id": [["A-1"]]}},
    ],
)  # fmt: skip
def test_each_thing_alone_takes_its_word_from_a_result(changed: dict[str, Any]) -> None:
    asked, one = rule(a=(Source("look", "id"),)), shown(id="A-1")
    seen = Seen(Told("A-1"), (Said({"q": "about A-1"}),), (one,))
    assert trace(asked, {"a": "A-1"}, seen).failed == ()
    assert trace(asked, {"a": "A-1"}, replace(seen, shown=(replace(one, **changed),))).failed == ("a",)
    assert trace(asked, {"a": "A-1"}, replace(seen, gap="It is too long.")).why.endswith("It is too long.")


def test_who_says_more_than_is_read_may_have_said_anything() -> None:
    assert Said({"q": "x " * 60_000}).holds("Kestrel-01")
    assert Said({"q": [f"{number}" for number in range(21_000)]}).holds("Kestrel-01")


def test_arguments_that_name_one_tool_meet_in_one_result() -> None:
    both = rule(a=(Source("look", "id"),), b=(Source("look", "iban"),))
    seen = Seen(Told(""), (), (shown(id="A", iban="one"), shown(id="B", iban="two")))
    assert trace(both, {"a": "A", "b": "one"}, seen).failed == ()
    assert set(trace(both, {"a": "A", "b": "two"}, seen).failed) == {"a", "b"}


def test_an_argument_that_the_user_named_ties_the_others_to_its_result() -> None:
    both = rule(a=(USER, Source("look", "id")), b=(Source("look", "iban"),))
    said = (Said({"id": "A-1001"}), Said({"id": "B-2002"}))
    seen = Seen(Told("Pay A-1001 and B-2002."), said, (shown(until=1, id="A-1001", iban="one"),))
    assert trace(both, {"a": "A-1001", "b": "one"}, seen).failed == ()
    assert trace(both, {"a": "B-2002", "b": "one"}, seen).failed == ("b",)
    assert trace(both, {"a": "B-2002"}, seen).failed == (), "alone it needs no result"


def test_lists_are_traced_item_by_item_and_at_one_place() -> None:
    pair = rule(a=(Source("look", "id"),), b=(Source("look", "iban"),))
    seen = Seen(Told(""), (), (shown(id=["A", "B"], iban=["one", "two"]),))
    assert trace(pair, {"a": "B", "b": "two"}, seen).failed == ()
    assert trace(pair, {"a": "B", "b": "one"}, seen).failed == ("a", "b")
    some = rule(a=(Source("look", "id"),))
    assert trace(some, {"a": ["B", "A"]}, seen).failed == ()
    assert trace(some, {"a": ["B", "C"]}, seen).failed == ("a",)
    named = rule(a=(USER,))
    assert trace(named, {"a": ["x-1", "x-2"]}, Seen(Told("do x-1, x-2"))).failed == ()
    assert trace(named, {"a": ["x-1", "x-3"]}, Seen(Told("do x-1, x-2"))).failed == ("a",)


@pytest.mark.parametrize("absent", [{}, {"a": None}, {"a": []}, {"z": "A"}])
def test_what_is_not_sent_is_not_traced(absent: dict[str, Any]) -> None:
    traced = trace(rule(a=(USER,)), absent, Seen(Told("")))
    assert (traced.failed, traced.why) == ((), "")


@pytest.mark.parametrize(
    ("intents", "task", "asks"),
    [
        (("pay",), "Please PAY it.", True), (("pay",), "Please repay it.", False), (("pay",), "payroll", False),
        (("set up", "open"), "Set  up an account", True), ((), "", True), (("pay",), "", False),
        (("pay",), "pay-as-you-go", False), (("payer",), "Facture à payer!", True),
    ],
)  # fmt: skip
def test_the_task_asks_for_the_act_by_a_whole_word(intents: tuple[str, ...], task: str, asks: bool) -> None:
    assert trace(Provenance("pay", {}, False, intents), {}, Seen(Told(task))).asks_for_act is asks


def test_people_are_told_where_a_value_stands_in_truth_and_never_the_value() -> None:
    secret = "Kestrel-0101"
    asked = rule(a=(Source("look", "id"), USER))
    seen = Seen(
        Told("nothing"),
        (Said({"q": f"find {secret}"}),),
        (
            replace(shown("mail", trust=UNTRUSTED, body=f"use {secret} now"), action_id="act_mail"),
            replace(shown("look", until=1, id=secret), action_id="act_echo"),
            replace(shown("look", id=secret), action_id="act_own", is_written=True),
            replace(shown("look", message=f"no {secret}"), action_id="act_err", is_error=True),
        ),
    )
    told = trace(asked, {"a": secret}, seen).why
    assert told.startswith("a must come from tool:look.id or user. It stands in ")
    assert "mail body of act_mail (untrusted, inside a text)" in told
    assert "look id of act_echo (said by the agent before)" in told
    assert "look id of act_own (written to by this run before)" in told
    assert "look message of act_err (untrusted, inside a text, an error)" in told
    assert secret not in told
    nowhere = trace(asked, {"a": "Merlin-7"}, seen).why
    assert "nothing that this run has seen" in nowhere


SAID: list[tuple[Any, list[Any]]] = [
    (
        "Kestrel-01",
        ["kestrel 01", "KESTREL_01", "x Kestrel-01 y", "Kes\u200btrel-01", "Ｋｅｓｔｒｅｌ－０１", "Кestrеl-01",
         "S2VzdHJlbC0wMQ==", "%4Bestrel%2D01", "4b65737472656c2d3031", "&#75;estrel-01", "\\u004bestrel-01"],
    ),
    (1250, [1250, "1,250", "1.250,00", "1250.0", "12.50", 12.5, "-1250", "about 1250 dollars", "１２５０"]),
    ("1250", [1250, "1,250.00", "x1250", "no. 1250."]),
    ("2026-03-01", ["2026-03-01", "1.3.2026", "01/03/2026", "20260301", "2026/3/1", "on 1.3.2026 please"]),
    ("DE89370400440532013000", ["DE89 3704 0044 0532 0130 00", "de89-3704-0044-0532-0130-00"]),
    ("AB", ["ab", "x AB y"]),
    (True, [True]),
    (["Kestrel-01", "x"], ["Kestrel-01"]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "said"), [(value, one) for value, all_ in SAID for one in all_])
def test_whatever_a_value_could_be_taken_from_has_said_it(value: Any, said: Any) -> None:
    assert Said({"q": said}).holds(value)
    assert Said({"q": {"deep": [said]}}).holds(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Kestrel-01", {"q": "Kestrel-02"}), (1250, {"q": 125}), (1250, {"q": "INV-12503"}), ("AB", {"q": "cab"}),
        (True, {"q": False}), (7, {"q": "INV-2026-0142"}), ("142", {"q": "INV-20142"}), (1250, {"a": 1, "b": 25}),
        ("DE89370400440532013000", {"vendor": "Northwind", "invoice": "INV-7"}), ("EUR", {"q": "neuro"}), ("x", {}),
    ],
)  # fmt: skip
def test_what_has_nothing_to_do_with_a_value_has_not_said_it(value: Any, said: dict[str, Any]) -> None:
    assert not Said(said).holds(value)


def test_a_value_put_together_from_arguments_of_one_call_is_said() -> None:
    assert Said({"a": "DE8937", "b": "0400440532013000"}).holds("DE89370400440532013000")
    assert Said({"a": "0400440532", "b": "013000", "c": "DE8937"}).holds("DE89370400440532013000")
    assert not Said({"a": "DE8937", "b": "0400440532013"}).holds("DE89370400440532013000")


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_what_an_agent_sends_it_has_said_as_a_whole_and_inside(value: str, before: str, after: str) -> None:
    letters = [one for one in value if one.isalnum()]
    assert Said({"q": value}).holds(value) or not letters
    if len(letters) >= 12 and value.isascii():
        assert Said({"q": f"{before} {value} {after}"}).holds(value)


@pytest.mark.parametrize("traced", [None, Traced({}, ("a",), "why"), Traced({}, (), "", False)])
@pytest.mark.parametrize("is_barred", [True, False])
@pytest.mark.parametrize("then_deny", [True, False])
def test_what_fails_asks_or_is_denied(traced: Traced | None, is_barred: bool, then_deny: bool) -> None:
    page = bearing().envelope
    asked = replace(rule(a=(USER,)), tool="book.note", then_deny=then_deny, intents=("pay",))
    b = bearing(envelope=replace(page, provenance={"book.note": asked}))
    b = replace(b, traced=replace(traced, is_barred=is_barred) if traced else None)
    said = provenance(b, {})
    assert said.outcome is (Outcome.DENY if traced is None or is_barred or then_deny else Outcome.ASK)
    assert said.detail and said.reason
    if traced is not None and is_barred:
        assert said.reason == "provenance_barred"
    assert provenance(replace(b, tool="book.find"), {}).outcome is Outcome.PASS


def test_what_holds_passes_and_says_whence_also_in_a_barred_run() -> None:
    page = replace(bearing().envelope, provenance={"book.note": rule(a=(USER,))})
    held = Traced({"a": ("user",)}, is_barred=True)
    said = provenance(bearing(envelope=page, traced=held), {})
    assert (said.outcome, said.detail) == (Outcome.PASS, "a: user")
