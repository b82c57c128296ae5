# SPDX-License-Identifier: Apache-2.0
"""Two previews differ exactly where a change outside `ignore` differs, whichever of them is looked at first."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.action.preview import Change, Preview, dig, drift, from_dry_run, from_read, from_value, same
from signoff.core.action.undo import conflict, require_reversible
from signoff.core.errors import Malformed
from tests.core.action.nouns import an_action

value = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)
paths = st.sampled_from(["a", "b", "c", "d"])
previews = st.builds(
    lambda changes, version: Preview(tuple(Change(p, *both) for p, both in changes.items()), version, {}),
    st.dictionaries(paths, st.tuples(value, value), max_size=3),
    st.none() | st.integers(0, 2),
)
ignores = st.lists(st.sampled_from(["a", "b", "c", "d", "version"]), max_size=3, unique=True)


@given(previews, previews, ignores)
def test_drift_is_the_same_from_either_side(one: Preview, other: Preview, ignore: list[str]) -> None:
    assert (drift(one, other, ignore) is None) == (drift(other, one, ignore) is None)


@given(previews, ignores)
def test_nothing_drifts_from_itself(one: Preview, ignore: list[str]) -> None:
    assert drift(one, one, ignore) is None


@given(previews, previews, ignores, st.sampled_from(["a", "b", "c", "d", "version"]))
def test_ignoring_more_never_finds_more(one: Preview, other: Preview, ignore: list[str], more: str) -> None:
    if drift(one, other, ignore) is None:
        assert drift(one, other, [*ignore, more]) is None


@given(previews, previews, ignores)
def test_drift_is_a_difference_outside_what_is_ignored(one: Preview, other: Preview, ignore: list[str]) -> None:
    def seen(preview: Preview) -> Any:
        changes = {c.path: [c.before, c.after] for c in preview.changes if c.path not in ignore}
        return [changes, None if "version" in ignore else preview.version]

    assert (drift(one, other, ignore) is None) == same(seen(one), seen(other))


@given(previews)
def test_a_preview_comes_back_as_it_was_kept(one: Preview) -> None:
    assert from_value(one.as_value()) == one


def test_drift_names_path_and_both_values() -> None:
    told = drift(Preview((Change("a", 1, 2),), None, {}), Preview((Change("a", 1, 3),), None, {}), ())
    assert told == "a was 1 -> 2, is now 1 -> 3"
    assert drift(Preview((), 1, {}), Preview((), 2, {}), ()) == "the target's version was 1, is now 2"
    assert drift(Preview((), 1, {}), Preview((), 2, {}), ("version",)) is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True), (True, 1, False), (0, False, False), ([True], [1], False), ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": None}, False), (None, 0, False), ("1", 1, False), ([1, 2], [2, 1], False),
        ({"a": [1, {"b": "c"}]}, {"a": [1, {"b": "c"}]}, True),
    ],
)  # fmt: skip
def test_values_are_the_same_as_json_is(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected
    assert same(other, one) is expected


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"changes": None}, {"changes": "a"}, {"changes": [1]}, {"changes": [{}]}, {"changes": [{"path": 1}]},
        {"changes": {"path": "a"}}, {"changes": [{"path": "a", "after": 1}, {"path": "a", "after": 2}]},
    ],
)  # fmt: skip
def test_a_dry_run_without_well_formed_changes_is_no_preview(answer: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        from_dry_run(answer)
    assert refused.value.code == "preview.malformed"


def test_a_dry_run_is_read_with_its_version_and_its_answer() -> None:
    answer = {"changes": [{"path": "a", "after": 1}], "version": 7, "note": "x"}
    read = from_dry_run(answer)
    assert read.changes == (Change("a", None, 1),)
    assert read.version == 7
    assert read.answer == answer


def test_a_preview_from_a_read_shows_only_what_changes() -> None:
    read = from_read({"a": {"b": 1}, "c": 2, "version": 3}, {"a.b": 5, "c": 2, "d": None, "e": "new"})
    assert read.changes == (Change("a.b", 1, 5), Change("e", None, "new"))
    assert read.version == 3
    assert read.summary == "changes a.b and 1 more"
    assert from_read({}, {}).summary == "changes nothing"


@given(st.dictionaries(st.sampled_from("xy"), value, max_size=2), st.sampled_from(["x", "x.y", "x.y.x", "z", "x.z"]))
def test_a_path_leads_to_a_value_or_to_nothing(content: dict[str, Any], path: str) -> None:
    found: Any = content
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    assert dig(content, path) == found


# --- undo -------------------------------------------------------------------------------------------------------------


@given(st.dictionaries(paths, value), st.dictionaries(paths, value), st.lists(paths, unique=True).map(tuple))
def test_a_conflict_names_the_first_value_that_moved(
    then: dict[str, Any], now: dict[str, Any], unchanged: tuple[str, ...]
) -> None:
    moved = [path for path in unchanged if not same(then.get(path), now.get(path))]
    told = conflict(then, now, unchanged)
    assert (told is None) == (not moved)
    if told is not None:
        assert told.startswith(f"{moved[0]} was {then.get(moved[0])!r}")
        assert f"is {now.get(moved[0])!r} now" in told


def test_without_an_image_nothing_can_be_compared() -> None:
    assert conflict(None, {"a": 1}, ("a",)) is not None
    assert require_reversible is not None
    assert an_action().reverses is None
