# SPDX-License-Identifier: Apache-2.0
"""Every write of state, with the entry that explains it: the two are written here and nowhere else.

A row is the fold of its stream's entries: the first sets every field that has a value, each later one what changed.
`signoff ledger verify` folds them again and compares every column.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from operator import attrgetter
from typing import Any

from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import Action, check_move
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.authority.limit import Counted
from signoff.core.authority.publication import Publication
from signoff.core.principal import Agent, ApiKey, Person
from signoff.core.run import Run
from signoff.core.subject import Subject
from signoff.core.values import changed
from signoff.ledger.entry import encode, leaf_hash
from signoff.ports.storage import R, SealedPayload, Transaction

IDS: dict[type, str] = {
    Action: "action_id",
    Run: "run_id",
    Person: "person_id",
    Agent: "agent_id",
    ApiKey: "key_id",
    Halt: "halt_id",
    Publication: "publication_id",
    Clearance: "clearance_id",
    Delegation: "delegation_id",
    Subject: "subject_id",
}
# The text of a publication is too long for an entry and needs none: its digest is there and is recomputed.
NOT_FOLDED = frozenset({"tenant", "seq", "head", "text"})


def begin(
    tx: Transaction, row: R, type_: str, payloads: Sequence[SealedPayload] = (), impacts: Sequence[Counted] = ()
) -> R:
    """Insert `row` with the first entry of its stream; returns it with `seq` and `head` set.

    Args:
        impacts: what an action counts for in the limits of its page.
    """
    names, read = _FOLDED[type(row)]
    values = {name: _plain(value) for name, value in zip(names, read(row), strict=True) if value is not None}
    row = _append(tx, row, type_, values, _rows(payloads, (), impacts or None, values), {})
    tx.insert(row)
    if impacts and type(row) is Action:
        tx.sums.count(row.action_id, impacts)
    _keep(tx, payloads)
    if isinstance(row, Action):
        tx.passed(f"new->{row.state}")
    return row


def move(
    tx: Transaction,
    row: R,
    type_: str,
    payloads: Sequence[SealedPayload] = (),
    votes: Sequence[Vote] = (),
    impacts: Sequence[Counted] | None = None,
    **changes: Any,
) -> R:
    """Change `row` by an entry that names what changed; an action moves only along its table.

    Args:
        impacts: what the action counts for from now on, in place of what it counted for; None leaves that as it is.

    Raises:
        Conflict: the move is not in the table, or the row moved meanwhile.
    """
    if type(row) is Action and "state" in changes:
        check_move(row.state, changes["state"])
        tx.passed(f"{row.state}->{changes['state']}")
    told = {name: _plain(value) for name, value in changes.items() if getattr(row, name) != value}
    after = _append(tx, row, type_, told, _rows(payloads, votes, impacts, told), changes)
    tx.update(row, after, (*changes, "seq", "head"))
    if impacts is not None and type(after) is Action:
        tx.sums.count(after.action_id, impacts)
    for vote in votes:
        tx.actions.add_vote(vote)
    _keep(tx, payloads)
    return after


def as_of(tx: Transaction, kind: type[R], stream: str, seq: int) -> R:
    """Return a noun as its entries told it up to `seq`; enums are left as the text they are."""
    told: dict[str, Any] = {}
    head = ""
    for _, entry in tx.ledger.entries_of(stream)[:seq]:
        told |= json.loads(entry)["set"]
        head = leaf_hash(entry).hex()
    return kind(tenant=tx.tenant, seq=seq, head=head, **told)


def _append(
    tx: Transaction, row: R, type_: str, told: dict[str, Any], rows: dict[str, Any], changes: dict[str, Any]
) -> R:
    stream = getattr(row, IDS[type(row)])
    seq = row.seq + 1
    entry: dict[str, Any] = {
        "v": 1,
        "type": type_,
        "tenant": tx.tenant,
        "stream": stream,
        "seq": seq,
        "prev": row.head,
        "at": tx.now,
        "set": told,
    }
    if rows:
        entry["rows"] = rows
    data = encode(entry)
    tx.ledger.append(stream, seq, tx.now, data)
    return changed(row, seq=seq, head=leaf_hash(data).hex(), **changes)


def _keep(tx: Transaction, payloads: Sequence[SealedPayload]) -> None:
    for payload in payloads:
        tx.payloads.add(payload)


def _rows(
    payloads: Sequence[SealedPayload],
    votes: Sequence[Vote],
    impacts: Sequence[Counted] | None,
    told: dict[str, Any],
) -> dict[str, Any]:
    """Return what an entry says beside its stream's columns: votes, impacts, and commitments that no column holds.

    So no payload is ever kept that the log does not commit to.
    """
    rows: dict[str, Any] = {"votes": [_vote(vote) for vote in votes]} if votes else {}
    if impacts is not None:
        rows["impacts"] = [{"key": one.key, "nth": one.nth, "at": one.at, "amount": one.amount} for one in impacts]
    held = [*told.values(), *(vote.reason for vote in votes)]
    if beside := [payload for payload in payloads if payload.commitment not in held]:
        rows["payloads"] = [{"name": payload.name, "commitment": payload.commitment} for payload in beside]
    return rows


def _vote(vote: Vote) -> dict[str, Any]:
    return {
        name: value for name, value in asdict(vote).items() if value is not None and name not in ("tenant", "action_id")
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def folded_names(kind: type) -> tuple[str, ...]:
    """Return the columns of a noun that its entries must add up to."""
    return tuple(field.name for field in fields(kind) if field.name not in NOT_FOLDED)


_FOLDED = {kind: (folded_names(kind), attrgetter(*folded_names(kind))) for kind in IDS}
