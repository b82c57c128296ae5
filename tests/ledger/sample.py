# SPDX-License-Identifier: Apache-2.0
"""One small log with fixed keys, from which the tests and the golden files are made."""

from functools import cache
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.ledger import checkpoint as notes
from signoff.ledger.bundle import Opening, Proof, bundle
from signoff.ledger.canonical import canonical, sha256_hex
from signoff.ledger.checkpoint import VerifierKey
from signoff.ledger.commitment import commit
from signoff.ledger.dsse import PAYLOAD_TYPE, envelope, pae
from signoff.ledger.entry import encode, leaf_hash
from signoff.ledger.merkle import Frontier, inclusion_proof

ORIGIN = "acme.test/finance/1"
LOG_NAME, RECEIPT_NAME = "acme.test/log", "acme.test/receipt"
AT = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
OUTCOME_INDEX = 4
SALT = sha256(b"a salt for tests").digest()
ARGS = {"vendor_id": "V-7", "amount_cents": 118_000, "memo": "Rechnung 17, Büromöbel"}


def private(purpose: str) -> Ed25519PrivateKey:
    """Return a test key; anyone can make it, so it signs nothing but tests."""
    return Ed25519PrivateKey.from_private_bytes(sha256(f"signoff test key: {purpose}".encode()).digest())


def key(purpose: str, name: str, **sizes: int) -> VerifierKey:
    return VerifierKey(name, private(purpose).public_key().public_bytes_raw(), **sizes)


LOG_KEY, RECEIPT_KEY = key("log", LOG_NAME), key("receipt", RECEIPT_NAME)
KEYS = (LOG_KEY, RECEIPT_KEY)


@cache
def entries() -> tuple[bytes, ...]:
    """Return seven entries of three streams; entry 4 is the outcome of the action."""
    told: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]] = [
        ("run.begun", "run_1", {"state": "open", "workflow": "invoice_reconcile"}, None),
        ("action.proposed", "act_1", {"state": "pending_approval", "args": commit(SALT, canonical(ARGS))}, None),
        ("action.approved", "act_1", {"state": "approved"}, {"votes": [{"person": "prs_1", "decision": "approve"}]}),
        ("action.dispatching", "act_1", {"state": "dispatching", "fence": 1}, None),
        ("action.succeeded", "act_1", {"state": "succeeded", "cost_usd_micros": 2000, "error": None}, None),
        ("halt.asked", "hlt_1", {"scope": "agent", "is_lifted": False}, None),
        ("run.completed", "run_1", {"state": "completed"}, None),
    ]
    return log(told)


def log(
    told: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]], tenant: str = "finance"
) -> tuple[bytes, ...]:
    """Return the entries of a log: what was told, as streams of one tenant."""
    heads: dict[str, tuple[int, str]] = {}
    made = []
    for number, (kind, stream, members, rows) in enumerate(told):
        seq, prev = heads.get(stream, (0, ""))
        entry = {
            "v": 1,
            "type": kind,
            "tenant": tenant,
            "stream": stream,
            "seq": seq + 1,
            "prev": prev,
            "at": AT + number,
        }
        data = encode({**entry, "set": members} | ({"rows": rows} if rows else {}))
        heads[stream] = (seq + 1, leaf_hash(data).hex())
        made.append(data)
    return tuple(made)


def checkpoint(
    size: int, root: bytes | None = None, *, origin: str = ORIGIN, name: str = LOG_NAME, by: str = "log"
) -> str:
    """Return a signed note over the sample log at `size`, or over another root."""
    if root is None:
        tree = Frontier()
        tree.absorb(map(leaf_hash, entries()[:size]))
        root = tree.root()
    body = notes.body(origin, size, root)
    return notes.note(body, name, private(by).public_key().public_bytes_raw(), private(by).sign(body))


def proof(index: int, size: int) -> Proof:
    nodes = {(level, at): one for level, at, one in Frontier().extend(map(leaf_hash, entries()[:size]))}
    return Proof(index, size, tuple(inclusion_proof(index, size, lambda level, at: nodes[level, at])))


def statement(**members: Any) -> dict[str, Any]:
    """Return the statement about the outcome, with other or further members of its predicate."""
    predicate = {
        "receipt_id": "rcp_1",
        "log": ORIGIN,
        "leaf": leaf_hash(entries()[OUTCOME_INDEX]).hex(),
        "due_s": 60,
        "at": AT + OUTCOME_INDEX,
        "tool": "erp.create_journal_entry",
        "commitments": {"args": commit(SALT, canonical(ARGS))},
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "act_1", "digest": {"sha256": sha256_hex(b"the approved bytes")}}],
        "predicateType": "https://signoff.dev/receipt/v1",
        "predicate": predicate | members,
    }


def signed(value: dict[str, Any], by: str = "receipt", name: str = RECEIPT_NAME) -> dict[str, Any]:
    payload = canonical(value)
    return envelope(payload, key(by, name).id, private(by).sign(pae(PAYLOAD_TYPE, payload)))


def promised() -> bytes:
    return bundle(signed(statement()))


def included() -> bytes:
    return bundle(
        signed(statement()), proof=proof(OUTCOME_INDEX, 7), checkpoint=checkpoint(7), entry=entries()[OUTCOME_INDEX]
    )


def opened() -> bytes:
    return bundle(
        signed(statement()),
        proof=proof(OUTCOME_INDEX, 7),
        checkpoint=checkpoint(7),
        entry=entries()[OUTCOME_INDEX],
        openings={"args": Opening(SALT, ARGS)},
    )
