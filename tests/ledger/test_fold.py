# SPDX-License-Identifier: Apache-2.0
"""A pass over a log finds whatever was changed, cut, doubled, moved or forged, and names the first of it."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.canonical import canonical
from signoff.ledger.checkpoint import VerifierKey
from signoff.ledger.entry import NAMES, Entry, decode, encode, leaf_hash
from signoff.ledger.errors import Refused
from signoff.ledger.fold import Fold, Report, check_stream, fold, verify_log
from signoff.ledger.merkle import EMPTY_ROOT, Frontier

from .sample import KEYS, LOG_KEY, ORIGIN, checkpoint, entries, log

LOG = list(enumerate(entries()))
NOTES = [checkpoint(3), checkpoint(5), checkpoint(7)]


def run(stored: Any, notes: Any = NOTES, **given: Any) -> Report:
    return verify_log(stored, notes, KEYS, **given)


def found(report: Report) -> tuple[int | None, str]:
    assert report.bad is not None
    assert report.bad.why
    assert report.bad.fix
    assert not report.is_sound
    return report.bad.index, f"{report.bad.what} {report.bad.why}"


# --- a sound log -----------------------------------------------------------------------------------------------------


def test_a_log_as_it_was_written_is_sound() -> None:
    report = run(LOG)
    assert report.is_sound
    assert (report.origin, report.size, report.checkpoints, report.proved) == (ORIGIN, 7, 3, 7)
    tree = Frontier()
    tree.absorb(map(leaf_hash, entries()))
    assert report.root == tree.root()
    assert report.heads["act_1"] == (4, leaf_hash(entries()[4]))


def test_checkpoints_may_come_in_any_order_and_twice() -> None:
    assert run(LOG, [*NOTES[::-1], NOTES[0], checkpoint(0)]).checkpoints == 5


def test_what_no_checkpoint_signs_yet_is_told_apart() -> None:
    report = run(LOG, NOTES[:2])
    assert report.is_sound
    assert (report.size, report.proved) == (7, 5)


def test_an_empty_log_is_sound() -> None:
    report = run([], [])
    assert (report.is_sound, report.size, report.root, report.origin) == (True, 0, EMPTY_ROOT, None)
    assert run([], [checkpoint(0)]).is_sound


@given(st.integers(0, 7), st.sets(st.integers(0, 7)))
def test_any_beginning_of_a_log_is_sound_with_its_own_checkpoints(size: int, sizes: set[int]) -> None:
    report = run(LOG[:size], [checkpoint(one) for one in sizes if one <= size])
    assert report.is_sound
    assert report.proved == max((one for one in sizes if one <= size), default=0)


def test_a_log_longer_than_one_batch_is_sound() -> None:
    long = log([("t", f"s_{number % 7}", {"n": number, "text": "ü" * (number % 3)}, None) for number in range(9000)])
    report = run(enumerate(long), [])
    assert (report.is_sound, report.size) == (True, 9000)
    tree = Frontier()
    tree.extend(map(leaf_hash, long))
    assert report.root == tree.root()


def test_entries_that_wait_for_the_tree_are_checked_behind_it() -> None:
    stored = LOG[:5] + [(None, data) for _, data in LOG[5:]]
    seen: list[int | None] = []
    report = run(stored, NOTES[:2], each=lambda index, entry: seen.append(index))
    assert (report.is_sound, report.size, report.pending, report.proved) == (True, 5, 2, 5)
    assert seen == [0, 1, 2, 3, 4, None, None]
    assert found(run([*stored[:6], (None, entries()[4])], NOTES[:2]))[0] is None
    assert "waiting" in found(run([*stored[:6], (None, b"{}")], NOTES[:2]))[1]
    assert found(run([*stored[:6], LOG[6]], NOTES[:2]))[0] == 5
    assert found(run([*stored[:6], LOG[6], stored[6]], NOTES[:2]))[0] == 6
    assert "ends at size 5" in found(run(stored))[1]


def test_a_log_s_next_epoch_goes_on_where_its_streams_stood() -> None:
    before = run(LOG[:4], [])
    rest = [(index, data) for index, data in enumerate(entries()[4:])]
    assert run(rest, [], heads=before.heads).is_sound
    assert found(run(rest, []))[0] == 0
    assert before.heads == run(LOG[:4], []).heads  # what was given is not changed


# --- tampering -------------------------------------------------------------------------------------------------------


@given(st.data())
def test_any_byte_of_any_entry_that_changes_is_found(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, 6))
    before = entries()[index]
    at = data.draw(st.integers(0, len(before) - 1))
    after = before[:at] + bytes([before[at] ^ data.draw(st.integers(1, 255))]) + before[at + 1 :]
    report = run([*LOG[:index], (index, after), *LOG[index + 1 :]])
    named, _ = found(report)
    assert named is None or named >= index
    assert report.proved <= index  # nothing that holds the change is called proved


@pytest.mark.parametrize("index", range(7))
def test_an_entry_that_is_deleted_is_named(index: int) -> None:
    assert found(run(LOG[:index] + LOG[index + 1 :]))[0] == index
    closed_up = list(enumerate(entries()[:index] + entries()[index + 1 :]))
    assert not run(closed_up).is_sound


@pytest.mark.parametrize("size", range(7))
def test_a_log_that_is_cut_is_found_by_a_checkpoint_kept_elsewhere(size: int) -> None:
    kept = [note for at, note in ((3, NOTES[0]), (5, NOTES[1])) if at <= size]
    assert run(LOG[:size], kept).is_sound  # by what the old copy itself holds, nothing is wrong
    index, why = found(run(LOG[:size], [*kept, NOTES[2]]))
    assert index == size
    assert f"ends at size {size}" in why


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (2, 5), (3, 4)])
def test_entries_that_changed_places_are_found(one: int, other: int) -> None:
    swapped = list(entries())
    swapped[one], swapped[other] = swapped[other], swapped[one]
    assert not run(enumerate(swapped)).is_sound


def test_an_entry_that_stands_twice_is_found() -> None:
    assert found(run([*LOG[:5], (5, entries()[4]), *LOG[6:]]))[0] == 5


@pytest.mark.parametrize("index", [0, 4, 6])
def test_an_entry_written_anew_in_good_form_is_found_by_the_next_checkpoint(index: int) -> None:
    """The forger even mends `prev` of what follows; only the signed root is beyond reach."""
    forged = decode(entries()[index])
    forged["set"]["state"] = "forged"
    told: list[tuple[int, bytes]] = []
    heads: dict[str, str] = {}
    for at, data in LOG:
        entry = forged if at == index else decode(data)
        entry["prev"] = heads.get(entry["stream"], "")
        told.append((at, encode(entry)))
        heads[entry["stream"]] = leaf_hash(told[-1][1]).hex()
    assert run(told, []).is_sound
    report = run(told)
    assert found(report)[0] is None
    assert "signs other entries" in found(report)[1]
    assert report.proved == max(size for size in (0, 3, 5) if size <= index)


def changed(index: int, **members: Any) -> list[tuple[int, bytes]]:
    value = json.loads(entries()[index]) | members
    return [*LOG[:index], (index, canonical(value)), *LOG[index + 1 :]]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"seq": 4}, "`seq` is 4, where 3 follows"),
        ({"seq": 1, "prev": ""}, "`seq` is 1, where 3 follows"),
        ({"prev": "0" * 64}, "`prev` is not the hash"),
        ({"tenant": "sales"}, "another tenant"),
        ({"v": 2}, "`v` is not 1"),
        ({"v": True}, "`v` is not of type int"),
        ({"seq": True}, "`seq` is not of type int"),
        ({"at": -1}, "`at` below 0"),
        ({"type": ""}, "is empty"),
        ({"stream": ""}, "is empty"),
        ({"set": {"a": 1.5}}, "float"),
        ({"set": {"a": [0.5]}}, "float"),
        ({"set": []}, "not of type dict"),
        ({"extra": 1}, "unknown or missing"),
        ({"rows": []}, "not of type dict"),
        ({"set": {"a": "x" * 300_000}}, "at most 262144 bytes"),
    ],
)
def test_each_way_not_to_be_an_entry_is_named_with_its_index(members: dict[str, Any], why: str) -> None:
    index, text = found(run(changed(3, **members)))
    assert index == 3
    assert why in text


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"1", b"null", entries()[3] + b" ", entries()[3].replace(b'"at"', b'"at" ', 1), b"[" * 3000],
)
def test_bytes_that_are_no_entry_are_named_with_their_index(data: bytes) -> None:
    assert found(run([*LOG[:3], (3, data), *LOG[4:]]))[0] == 3


MEMBERS = ["v", "type", "tenant", "stream", "seq", "prev", "at", "set", "rows", "x"]
SCALARS = [None, True, False, 0, 1, 2, -1, 1.5, "", "a", "0" * 64]
NESTED = [[], {}, {"a": 1.5}, {"é": 1}, {"a": {"b": []}}, {"a": 2**53}]


def quick_look_and_decode_agree(members: dict[str, Any]) -> None:
    """`verify_log` reads most entries without `decode`; the two must agree on what an entry is."""
    try:
        data = canonical(json.loads(entries()[0]) | members)
    except Refused:
        return
    try:
        entry = decode(data)
    except Refused:
        assert not run([(0, data)], []).is_sound
    else:
        assert run([(0, data)], []).is_sound is (check_stream(None, entry, entry["tenant"]) is None)


@pytest.mark.parametrize("name", MEMBERS)
def test_the_quick_look_judges_each_member_as_decode_does(name: str) -> None:
    for value in [*SCALARS, *NESTED]:
        quick_look_and_decode_agree({name: value})


@given(st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from([*SCALARS, *NESTED])))
def test_the_quick_look_passes_nothing_that_decode_refuses(members: dict[str, Any]) -> None:
    quick_look_and_decode_agree(members)


@pytest.mark.parametrize("name", NAMES)
def test_a_member_under_another_name_is_found(name: str) -> None:
    """Also where its place in the order stays."""
    data = entries()[3].replace(f'"{name}":'.encode(), f'"{name}_":'.encode(), 1)
    assert "unknown or missing" in found(run([*LOG[:3], (3, data), *LOG[4:]]))[1]


def test_members_in_the_order_of_code_points_are_found_where_utf_16_has_another() -> None:
    told = decode(entries()[3]) | {"set": {"\ufb33": 1, "\U0001f600": 2}}
    other = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    assert other != canonical(told)
    assert "gives other bytes" in found(run([*LOG[:3], (3, other), *LOG[4:]], []))[1]
    assert "prev" in found(run([*LOG[:3], (3, canonical(told)), *LOG[4:]], []))[1]


# --- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (checkpoint(5, bytes(32)), "signs other entries"),
        (checkpoint(0, bytes(32)), "signs other entries"),
        (checkpoint(8, bytes(32)), "ends at size 7"),
        (checkpoint(5, by="stranger"), "no given key"),
        (checkpoint(5, origin="acme.test/sales/1"), "checkpoint is of acme.test/sales/1"),
        (checkpoint(5, name="acme.test/receipt", by="receipt"), "no given key"),
        ("nonsense", "no checkpoint"),
    ],
)
def test_a_checkpoint_that_does_not_hold_is_found(note: str, why: str) -> None:
    assert why in found(run(LOG, [*NOTES, note]))[1]


def test_a_checkpoint_past_its_key_s_sizes_is_found() -> None:
    keys = [VerifierKey(LOG_KEY.name, LOG_KEY.public, 0, 5)]
    assert verify_log(LOG, NOTES[:2], keys).is_sound
    assert "range" in found(verify_log(LOG, NOTES, keys))[1]


def test_a_log_under_another_origin_is_another_log() -> None:
    assert run(LOG, origin=ORIGIN).is_sound
    assert "This is the log" in found(run(LOG, origin="acme.test/finance/2"))[1]
    assert found(run(LOG, [], origin="acme.test/sales/1"))[0] == 0


# --- folding ---------------------------------------------------------------------------------------------------------


def test_the_state_of_a_stream_is_what_its_entries_set_last() -> None:
    states = fold(map(decode, entries()))
    assert states["run_1"] == {"state": "completed", "workflow": "invoice_reconcile"}
    assert states["act_1"]["state"] == "succeeded"
    assert states["act_1"]["fence"] == 1
    assert states["act_1"]["error"] is None
    assert states["hlt_1"] == {"scope": "agent", "is_lifted": False}


def test_state_and_rows_can_be_folded_in_the_pass_that_verifies() -> None:
    folded = Fold()
    assert run(LOG, each=lambda index, entry: folded.add(entry)).is_sound
    assert folded.states == fold(map(decode, entries()))
    assert folded.rows == {"act_1": {"votes": [{"person": "prs_1", "decision": "approve"}]}}


values = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(-3, 3), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["s", "t"]), values, st.lists(values, max_size=2)), max_size=12))
def test_folding_is_merging_and_appending_in_order(
    told: list[tuple[str, dict[str, Any], list[dict[str, Any]]]],
) -> None:
    stored: list[Entry] = [
        decode(data) for data in log([("t", stream, members, {"kept": rows}) for stream, members, rows in told])
    ]
    folded = Fold()
    for entry in stored:
        folded.add(entry)
    for stream in {stream for stream, _, _ in told}:
        expected: dict[str, Any] = {}
        for _, members, _ in (one for one in told if one[0] == stream):
            expected = {**expected, **members}
        assert folded.states[stream] == expected
        assert folded.rows[stream]["kept"] == [row for one, _, rows in told if one == stream for row in rows]
    assert stored == [decode(encode(entry)) for entry in stored]  # folding changes no entry
