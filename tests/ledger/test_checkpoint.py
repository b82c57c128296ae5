# SPDX-License-Identifier: Apache-2.0
"""A checkpoint counts when a log key signed these very bytes, and in no other case."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.canonical import from_base64, to_base64
from signoff.ledger.checkpoint import (
    VerifierKey,
    body,
    log_key_name,
    note,
    parse,
    parse_keys,
    parse_verifier_key,
    receipt_key_name,
    tenant_of,
    verified_signers,
    verifier_key,
    verify,
)
from signoff.ledger.errors import Refused

from .sample import KEYS, LOG_KEY, LOG_NAME, ORIGIN, RECEIPT_KEY, RECEIPT_NAME, checkpoint, key, private

# The published example of C2SP signed-note and of its Go implementation.
EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE_NOTE = (
    b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
)


def test_the_published_example_verifies_with_its_key() -> None:
    published = parse_verifier_key(EXAMPLE_KEY)
    text, signature = EXAMPLE_NOTE
    raw = from_base64(signature, "The signature", 68)
    assert raw[:4] == published.hash
    assert published.verifies(raw[4:], text)
    assert not published.verifies(raw[4:], text + b"\n")


def test_a_checkpoint_is_three_lines_a_blank_one_and_a_signature() -> None:
    lines = checkpoint(7).split("\n")
    assert lines[:2] == [ORIGIN, "7"]
    assert len(from_base64(lines[2], "The root")) == 32
    assert lines[3] == ""
    assert lines[4].startswith(f"— {LOG_NAME} ")
    assert lines[5:] == [""]


@pytest.mark.parametrize("size", [0, 1, 4, 7])
def test_a_signed_checkpoint_verifies_and_says_what_it_was_made_of(size: int) -> None:
    found = verify(checkpoint(size), KEYS)
    assert (found.origin, found.size) == (ORIGIN, size)
    assert body(found.origin, found.size, found.root) == checkpoint(size).encode().partition(b"\n\n")[0] + b"\n"
    assert verify(checkpoint(size).encode(), KEYS) == found


@given(st.data())
def test_no_byte_of_a_checkpoint_can_change(data: st.DataObject) -> None:
    text = checkpoint(7).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(Refused):
        verify(text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :], KEYS)


def test_a_key_of_another_purpose_cannot_speak_for_a_log() -> None:
    with pytest.raises(Refused, match="signed by no given key"):
        verify(checkpoint(7, name=RECEIPT_NAME, by="receipt"), KEYS)
    with pytest.raises(Refused, match="signed by no given key"):
        verify(checkpoint(7, origin="other.test/finance/1"), KEYS)


def test_a_key_named_like_the_origin_speaks_for_that_log() -> None:
    assert verify(checkpoint(7, name=ORIGIN), [key("log", ORIGIN)]).size == 7


def test_a_key_counts_only_for_its_log_sizes() -> None:
    for first, last, counts in [(0, 6, False), (0, 7, True), (7, 7, True), (7, None, True), (8, None, False)]:
        limited = VerifierKey(LOG_KEY.name, LOG_KEY.public, first, last)
        if counts:
            assert verify(checkpoint(7), [limited]).size == 7
        else:
            with pytest.raises(Refused, match="range"):
                verify(checkpoint(7), [limited])


def line(name: str, by: VerifierKey, purpose: str, message: bytes) -> str:
    return f"— {name} {to_base64(by.hash + private(purpose).sign(message))}\n"


def test_signatures_of_keys_that_are_not_given_are_passed_over() -> None:
    """C2SP signed-note: verifiers ignore signatures from unknown keys, so that witnesses can be added."""
    text = checkpoint(7) + line("witness.test", key("witness", "witness.test"), "witness", b"anything")
    assert verify(text, KEYS).size == 7
    assert verified_signers(parse(text), KEYS) == (LOG_KEY,)


def test_one_false_signature_of_a_given_key_spoils_the_note() -> None:
    witness = key("witness", "witness.test")
    text = checkpoint(7) + line("witness.test", witness, "witness", b"anything")
    with pytest.raises(Refused, match="is false"):
        verify(text, [*KEYS, witness])


def test_a_true_signature_of_a_witness_alone_is_not_enough() -> None:
    witness = key("witness", "witness.test")
    text = checkpoint(7)
    head = text[: text.index("— ")]
    with pytest.raises(Refused, match="signed by no given key"):
        verify(head + line("witness.test", witness, "witness", text.encode().partition(b"\n\n")[0] + b"\n"), [witness])


def test_a_note_nobody_could_verify_is_not_written() -> None:
    message = body(ORIGIN, 7, bytes(32))
    with pytest.raises(Refused, match="does not fit"):
        note(message, LOG_NAME, LOG_KEY.public, private("log").sign(message + b" "))
    with pytest.raises(Refused, match="does not fit"):
        note(message, LOG_NAME, LOG_KEY.public, private("receipt").sign(message))


ROOT = to_base64(bytes(32))
SIGNATURE = f"— {LOG_NAME} {to_base64(LOG_KEY.hash + bytes(64))}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n7\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT}\n\n",
        f"{ORIGIN}\n7\n{ROOT}\nan extension line\n\n{SIGNATURE}",
        f"{ORIGIN}\n7\n{ROOT}\nan extension line\n{SIGNATURE}",
        f"{ORIGIN}\n7\n{ROOT}\n\n\n{SIGNATURE}",
        f"{ORIGIN}\n07\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\n-7\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\n+7\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\n 7\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\n٧\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\n9007199254740992\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\n7\n{ROOT[:-1]}\n\n{SIGNATURE}",
        f"{ORIGIN}\n7\n{to_base64(bytes(31))}\n\n{SIGNATURE}",
        f"{ORIGIN}\n7\n{ROOT}\n\n{SIGNATURE[:-1]}",
        f"{ORIGIN}\n7\n{ROOT}\n\n{SIGNATURE}\n",
        f"{ORIGIN}\r\n7\r\n{ROOT}\r\n\r\n{SIGNATURE}",
        f"{ORIGIN}\n7\n{ROOT}\n\n{SIGNATURE.replace('—', '-')}",
        f"{ORIGIN}\n7\n{ROOT}\n\n{SIGNATURE.replace('— ', '—  ')}",
        f"{ORIGIN}\n7\n{ROOT}\n\n— {LOG_NAME} {to_base64(LOG_KEY.hash)}\n",
        f"{ORIGIN}\n7\n{ROOT}\n\n— a+b {to_base64(bytes(68))}\n",
        f"{ORIGIN}\n7\n{ROOT}\n\n" + SIGNATURE * 33,
        f"{ORIGIN}\n7\n{ROOT}\n\n— {'n' * 65536} {to_base64(bytes(68))}\n",
        f"two words\n7\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\ud800\n7\n{ROOT}\n\n{SIGNATURE}",
        f"{ORIGIN}\x00\n7\n{ROOT}\n\n{SIGNATURE}",
    ],
)
def test_what_is_spelt_otherwise_is_no_checkpoint(text: str) -> None:
    with pytest.raises(Refused):
        parse(text)


def test_as_many_signatures_as_c2sp_asks_for_are_read() -> None:
    assert len(parse(f"{ORIGIN}\n7\n{ROOT}\n\n" + SIGNATURE * 16).signatures) == 16


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, 32), ("a b", 1, 32), ("a\nb", 1, 32), ("a+b", 1, 32), ("a\u00a0b", 1, 32), ("a", -1, 32), ("a", 2**53, 32)]
    + [("a", 1, length) for length in (0, 31, 33)],
)
def test_a_body_that_could_be_read_otherwise_is_not_written(origin: str, size: int, root: int) -> None:
    with pytest.raises(Refused):
        body(origin, size, bytes(root))


# --- keys ------------------------------------------------------------------------------------------------------------

names = st.text(st.characters(categories=["L", "N"]) | st.sampled_from("./-_"), min_size=1)


@given(names)
def test_a_verifier_key_is_read_back_as_it_was_written(name: str) -> None:
    text = verifier_key(name, LOG_KEY.public)
    assert parse_verifier_key(text) == VerifierKey(name, LOG_KEY.public)
    assert text.startswith(VerifierKey(name, LOG_KEY.public).id + "+")


@given(st.data())
def test_no_character_of_a_verifier_key_can_change(data: st.DataObject) -> None:
    text = verifier_key(LOG_NAME, LOG_KEY.public)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda one: one != text[at]))
    with pytest.raises(Refused):
        parse_verifier_key(text[:at] + other + text[at + 1 :])


def spelt(first_byte: bytes, public: bytes, name: str = "a") -> str:
    return f"{name}+{VerifierKey(name, public).hash.hex()}+{to_base64(first_byte + public)}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b",
        "a+00000000+",
        spelt(b"\x04", LOG_KEY.public),
        spelt(b"\x01", bytes(31)),
        spelt(b"", bytes(32)),
        verifier_key("a", LOG_KEY.public).upper(),
        " " + verifier_key("a", LOG_KEY.public),
    ],
)
def test_what_is_spelt_otherwise_is_no_key(text: str) -> None:
    with pytest.raises(Refused):
        parse_verifier_key(text)


@pytest.mark.parametrize(("name", "public"), [("", 32), ("a b", 32), ("a+b", 32), ("a\n", 32), ("a", 31), ("a", 33)])
def test_a_key_that_could_not_be_read_is_not_written(name: str, public: int) -> None:
    with pytest.raises(Refused):
        verifier_key(name, bytes(public))


LOG_LINE, RECEIPT_LINE = verifier_key(LOG_NAME, LOG_KEY.public), verifier_key(RECEIPT_NAME, RECEIPT_KEY.public)


def test_a_key_file_lists_keys_with_the_sizes_at_which_they_count() -> None:
    text = f"# keys of acme.test\n\n{LOG_LINE} 0 41\n  {RECEIPT_LINE}\t42 \n"
    assert parse_keys(text) == (
        VerifierKey(LOG_NAME, LOG_KEY.public, 0, 41),
        VerifierKey(RECEIPT_NAME, RECEIPT_KEY.public, 42, None),
    )
    assert parse_keys(f"{LOG_LINE}\n") == (LOG_KEY,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        f"{LOG_LINE} 5 4\n",
        f"{LOG_LINE} -1\n",
        f"{LOG_LINE} 1 2 3\n",
        f"{LOG_LINE} one\n",
        f"{LOG_LINE} 01\n",
        f"{LOG_LINE} # the log\n",
        f"{LOG_LINE} 0 4\n{LOG_LINE} 9 12\n",
        f"{LOG_LINE}\nnonsense\n",
    ],
)
def test_a_key_file_with_any_line_that_is_not_understood_is_refused_whole(text: str) -> None:
    with pytest.raises(Refused):
        parse_keys(text)


@pytest.mark.parametrize(
    ("origin", "tenant", "installation"),
    [
        ("acme.test/finance/1", "finance", "acme.test"),
        ("acme.test/a/b/finance/2", "finance", "acme.test/a/b"),
        ("finance/1", "", "finance"),
        ("acme.test", "", "acme.test"),
    ],
)
def test_an_origin_names_its_tenant_and_the_keys_that_speak_for_it(origin: Any, tenant: str, installation: str) -> None:
    assert tenant_of(origin) == tenant
    assert (log_key_name(origin), receipt_key_name(origin)) == (f"{installation}/log", f"{installation}/receipt")
