# SPDX-License-Identifier: Apache-2.0
"""A receipt is true by the keys given, or it is refused; nothing in it can change unnoticed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.bundle import HASHES_MAX, Bundle, Opening, Proof, bundle, read, read_statement
from signoff.ledger.canonical import canonical, to_base64
from signoff.ledger.checkpoint import VerifierKey
from signoff.ledger.entry import encode, leaf_hash
from signoff.ledger.errors import Refused
from signoff.ledger.verify import Outcome, Verdict, verify_receipt

from . import sample
from .sample import ARGS, AT, KEYS, LOG_KEY, OUTCOME_INDEX, RECEIPT_KEY, SALT, entries, statement

FORMS = {"promised": sample.promised(), "included": sample.included(), "opened": sample.opened()}
DUE = AT + OUTCOME_INDEX + 60_000_000


def judge(data: bytes, **given: Any) -> Outcome:
    return verify_receipt(data, KEYS, **given).outcome


# --- true receipts ---------------------------------------------------------------------------------------------------


def test_a_receipt_whose_entry_the_log_signed_is_included() -> None:
    verdict = verify_receipt(FORMS["included"], KEYS)
    assert (verdict.outcome, verdict.exit_code, verdict.fix) == (Outcome.INCLUDED, 0, "")
    assert verdict.statement == statement()
    assert verdict.proof == sample.proof(OUTCOME_INDEX, 7)
    assert verdict.checkpoint is not None
    assert verdict.checkpoint.size == 7


@pytest.mark.parametrize("size", [5, 6, 7])
def test_it_is_included_at_every_size_from_its_entry_on(size: int) -> None:
    data = bundle(sample.signed(statement()), proof=sample.proof(4, size), checkpoint=sample.checkpoint(size))
    assert judge(data) is Outcome.INCLUDED


def test_openings_may_ride_along_and_be_left_out() -> None:
    assert judge(FORMS["opened"]) is Outcome.INCLUDED
    assert read(FORMS["opened"]).openings == {"args": Opening(SALT, ARGS)}
    assert judge(bundle(sample.signed(statement()), openings={"args": Opening(SALT, ARGS)})) is Outcome.PROMISED


@pytest.mark.parametrize(
    ("now", "outcome", "code"),
    [
        (None, Outcome.PROMISED, 2),
        (AT, Outcome.PROMISED, 2),
        (DUE - 1, Outcome.PROMISED, 2),
        (DUE, Outcome.FALSE, 1),
        (DUE + 10**12, Outcome.FALSE, 1),
    ],
)
def test_a_promise_holds_until_it_is_due_and_is_broken_after(now: int | None, outcome: Outcome, code: int) -> None:
    verdict = verify_receipt(FORMS["promised"], KEYS, now_us=now)
    assert (verdict.outcome, verdict.exit_code) == (outcome, code)
    assert verdict.statement == statement()


def test_an_included_receipt_has_no_due_time() -> None:
    assert judge(FORMS["included"], now_us=DUE + 10**12) is Outcome.INCLUDED


# --- any change ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_no_byte_of_a_receipt_can_change(form: str) -> None:
    """Every byte, flipped in its lowest bit and by case, is refused: never true, and never a promise either."""
    data = FORMS[form]
    for at, byte in enumerate(data):
        for mask in (0x01, 0x20):
            assert judge(data[:at] + bytes([byte ^ mask]) + data[at + 1 :]) is Outcome.FALSE, (at, mask)


@given(st.sampled_from(list(FORMS)), st.data())
def test_no_byte_can_become_any_other_or_go_or_come(form: str, data: st.DataObject) -> None:
    before = FORMS[form]
    at = data.draw(st.integers(0, len(before) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != before[at]))
    assert judge(before[:at] + bytes([other]) + before[at + 1 :]) is Outcome.FALSE
    assert judge(before[:at] + before[at + 1 :]) is Outcome.FALSE
    assert judge(before[:at] + bytes([other]) + before[at:]) is Outcome.FALSE


objects = st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner))


objects = st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner))


@given(st.binary(max_size=60) | objects.map(canonical))
def test_bytes_that_are_no_receipt_are_false(data: bytes) -> None:
    assert judge(data) is Outcome.FALSE


def altered(change: Callable[[dict[str, Any]], Any], form: str = "opened") -> bytes:
    value = json.loads(FORMS[form])
    change(value)
    return canonical(value)


def put(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that puts the last of `path` at the place the others name."""
    *way, last, new = path

    def change(value: Any) -> None:
        for step in way:
            value = value[step]
        value[last] = new

    return change


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(value: Any) -> None:
        for step in path[:-1]:
            value = value[step]
        del value[path[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("extra", 1),
        put("v", 2),
        put("v", True),
        put("type", "signoff.other"),
        put("envelope", None),
        put("envelope", []),
        put("envelope", "extra", 1),
        put("envelope", "signatures", 0, "keyid", LOG_KEY.id),
        put("proof", None),
        put("proof", "extra", 1),
        put("proof", "index", 3),
        put("proof", "index", True),
        put("proof", "index", -1),
        put("proof", "index", 7),
        put("proof", "size", 8),
        put("proof", "size", "7"),
        put("proof", "hashes", []),
        put("proof", "hashes", None),
        put("proof", "hashes", 0, to_base64(bytes(32))),
        put("proof", "hashes", 0, to_base64(bytes(31))),
        put("proof", "hashes", [to_base64(bytes(32))] * (HASHES_MAX + 1)),
        drop("proof"),
        drop("proof", "index"),
        put("checkpoint", None),
        put("checkpoint", ""),
        put("checkpoint", sample.checkpoint(6)),
        put("checkpoint", sample.checkpoint(7, bytes(32))),
        put("checkpoint", sample.checkpoint(7, origin="acme.test/sales/1")),
        put("checkpoint", sample.checkpoint(7, name="acme.test/receipt", by="receipt")),
        put("checkpoint", sample.checkpoint(7, by="stranger")),
        put("entry", None),
        put("entry", "extra", 1),
        put("entry", "index", 3),
        put("entry", "leaf", to_base64(entries()[3])),
        put("entry", "leaf", to_base64(b"{}")),
        put("openings", {}),
        put("openings", None),
        put("openings", "args", None),
        put("openings", "args", "extra", 1),
        put("openings", "args", "value", "amount_cents", 118_001),
        put("openings", "args", "salt", to_base64(bytes(32))),
        put("openings", "args", "salt", to_base64(SALT[:31])),
        put("openings", "preview", {"salt": to_base64(SALT), "value": ARGS}),
    ],
)
def test_whatever_the_signature_does_not_bind_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    assert judge(altered(change)) is Outcome.FALSE


def test_an_unknown_signature_under_its_checkpoint_is_refused_too() -> None:
    """Elsewhere such lines are passed over; in a receipt they would be bytes that nothing binds."""
    extra = f"— witness.test {to_base64(bytes(68))}\n"
    assert judge(altered(put("checkpoint", sample.checkpoint(7) + extra))) is Outcome.FALSE
    verdict = verify_receipt(FORMS["promised"], KEYS, checkpoint=(sample.checkpoint(7) + extra).encode())
    assert verdict.outcome is Outcome.PROMISED


# --- true signatures over what is not so -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        {"leaf": leaf_hash(entries()[3]).hex()},
        {"leaf": leaf_hash(entries()[OUTCOME_INDEX]).hex().upper()},
        {"leaf": None},
        {"log": "acme.test/sales/1"},
        {"log": ""},
        {"log": 1},
        {"receipt_id": ""},
        {"at": True},
        {"at": "now"},
        {"due_s": -1},
        {"due_s": None},
        {"commitments": {"args": "sha256:" + "0" * 64}},
        {"commitments": {}},
        {"commitments": {"args": 1}},
        {"commitments": []},
        {"commitments": None},
    ],
)
def test_a_signed_statement_that_does_not_fit_the_rest_is_refused(members: dict[str, Any]) -> None:
    assert judge(altered(put("envelope", sample.signed(statement(**members))))) is Outcome.FALSE


@pytest.mark.parametrize(
    "members",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://signoff.dev/receipt/v2"},
        {"predicate": []},
        {"extra": 1},
        {"subject": []},
        {"subject": {}},
        {"subject": [{"name": "act_1"}]},
        {"subject": [{"name": "act_1", "digest": {"sha256": "0" * 63}}]},
        {"subject": [{"name": "", "digest": {"sha256": "0" * 64}}]},
        {"subject": [{"name": "act_1", "digest": {"sha256": "0" * 64, "md5": ""}}]},
        {"subject": [{"name": "act_1", "digest": {"sha256": "0" * 64}, "uri": ""}]},
        {"subject": statement()["subject"] * 2},
    ],
)
def test_a_signed_statement_of_another_kind_is_no_receipt(members: dict[str, Any]) -> None:
    assert judge(bundle(sample.signed(statement() | members))) is Outcome.FALSE


def test_further_members_of_the_predicate_are_free() -> None:
    assert judge(bundle(sample.signed(statement(voters=[{"person": "prs_1"}], cost=None)))) is Outcome.PROMISED


def test_a_statement_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(Refused):
        read_statement(json.dumps(statement()).encode())


def test_keys_of_other_purposes_and_installations_cannot_sign_receipts() -> None:
    other = sample.key("other", "other.test/receipt")
    for by, name in (("log", sample.LOG_NAME), ("other", "other.test/receipt")):
        verdict = verify_receipt(bundle(sample.signed(statement(), by, name)), [*KEYS, other])
        assert (verdict.outcome, verdict.statement) == (Outcome.FALSE, None)
        assert "does not speak for" in verdict.what


def test_a_receipt_key_counts_only_for_entries_of_its_log_sizes() -> None:
    for first, last, outcome in [(0, 4, Outcome.FALSE), (0, 5, Outcome.INCLUDED), (6, None, Outcome.FALSE)]:
        keys = [LOG_KEY, VerifierKey(RECEIPT_KEY.name, RECEIPT_KEY.public, first, last)]
        assert verify_receipt(FORMS["included"], keys).outcome is outcome


def test_an_entry_of_another_tenant_is_refused() -> None:
    entry = encode({"v": 1, "type": "t", "tenant": "sales", "stream": "s", "seq": 1, "prev": "", "at": 0, "set": {}})
    data = bundle(
        sample.signed(statement(leaf=leaf_hash(entry).hex())),
        proof=Proof(0, 1, ()),
        checkpoint=sample.checkpoint(1, leaf_hash(entry)),
        entry=entry,
    )
    assert "another tenant" in verify_receipt(data, KEYS).what


# --- a checkpoint kept elsewhere -------------------------------------------------------------------------------------


def against(text: str, form: str = "included") -> Verdict:
    return verify_receipt(FORMS[form], KEYS, checkpoint=text.encode())


def test_the_proof_must_hold_against_a_checkpoint_kept_elsewhere() -> None:
    assert against(sample.checkpoint(7)).outcome is Outcome.INCLUDED


def test_two_signed_trees_of_one_size_are_found_and_named() -> None:
    verdict = against(sample.checkpoint(7, bytes(32)))
    assert (verdict.outcome, verdict.exit_code) == (Outcome.FALSE, 1)
    assert "two different trees" in verdict.what


def test_a_kept_checkpoint_can_stand_in_for_a_missing_one() -> None:
    data = bundle(sample.signed(statement()), proof=sample.proof(4, 7))
    assert judge(data) is Outcome.UNKNOWN
    assert judge(data, checkpoint=sample.checkpoint(7).encode()) is Outcome.INCLUDED
    assert judge(data, checkpoint=sample.checkpoint(7, bytes(32)).encode()) is Outcome.FALSE


@pytest.mark.parametrize("text", [sample.checkpoint(6), sample.checkpoint(7, origin="acme.test/sales/1")])
def test_what_cannot_be_compared_offline_is_not_called_true(text: str) -> None:
    verdict = against(text)
    assert (verdict.outcome, verdict.exit_code) == (Outcome.UNKNOWN, 2)


@pytest.mark.parametrize("text", ["", "nonsense", sample.checkpoint(7, by="stranger"), sample.checkpoint(7) + "\n"])
def test_a_kept_checkpoint_that_is_not_signed_by_the_log_is_misuse(text: str) -> None:
    verdict = against(text)
    assert (verdict.outcome, verdict.exit_code, verdict.statement) == (Outcome.UNKNOWN, 2, None)


def test_without_keys_nothing_can_be_told() -> None:
    assert verify_receipt(FORMS["included"], []).exit_code == 2


def test_a_stranger_s_keys_make_it_false() -> None:
    assert verify_receipt(FORMS["included"], [sample.key("stranger", "acme.test/receipt")]).outcome is Outcome.FALSE


def test_every_answer_but_true_says_how_to_mend_it() -> None:
    answers = [
        against(sample.checkpoint(6)),
        verify_receipt(b"", KEYS),
        verify_receipt(FORMS["promised"], KEYS, None, DUE),
    ]
    for verdict in answers:
        assert verdict.what
        assert verdict.why
        assert verdict.fix


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_bundle_is_read_back_as_it_was_written() -> None:
    parts = read(FORMS["opened"])
    again = bundle(
        parts.envelope, proof=parts.proof, checkpoint=parts.checkpoint, entry=parts.entry, openings=parts.openings
    )
    assert again == FORMS["opened"]
    assert read(FORMS["promised"]) == Bundle(parts.envelope, None, None, None, {})


@pytest.mark.parametrize(
    "parts",
    [
        {"checkpoint": sample.checkpoint(7)},
        {"entry": entries()[4]},
        {"proof": Proof(7, 7, ())},
        {"proof": Proof(0, 1, (b"short",))},
        {"openings": {"args": Opening(b"short", ARGS)}},
    ],
)
def test_a_bundle_that_would_be_refused_is_not_written(parts: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        bundle(sample.signed(statement()), **parts)


def test_a_receipt_beyond_its_bound_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused, match="larger"):
        read(b" " * (8 * 1024 * 1024 + 1))
