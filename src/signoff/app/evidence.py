# SPDX-License-Identifier: Apache-2.0
"""The log for those who audit it: published checkpoints, entries byte for byte, and proofs; and a node's vital signs.

Only a recorded checkpoint is ever shown, and proofs are for its size or a smaller one (RFC 9162, section 2.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from signoff.app.action.circuits import open_circuits
from signoff.app.action.documents import Document, receipt_bundle, when
from signoff.app.action.masking import masks
from signoff.app.audit import AuditReport, audit
from signoff.app.world import World
from signoff.core.action.lifecycle import State
from signoff.core.errors import Malformed, NotFound, Unavailable
from signoff.core.principal import Caller, require
from signoff.core.redaction import redacted
from signoff.ledger import bundle as bundles
from signoff.ledger import merkle
from signoff.ledger.canonical import from_base64
from signoff.ledger.checkpoint import parse
from signoff.ledger.epochs import Epoch
from signoff.ports.storage import LogHead, Transaction

DUE_MAX = 200


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a look at the database tells of a tenant's health; lag in seconds."""

    states: dict[str, int]
    pending: int
    halts: int
    ledger_size: int
    lag_s: float
    unsigned: int
    late: int
    escalated: int
    broken_off: dict[str, str]
    clock_jump_s: float
    unreceipted: int = 0
    unswept: int = 0


def require_auditor(caller: Caller) -> None:
    """Refuse whoever may not look into the log.

    Raises:
        Forbidden: neither auditor, operator nor admin.
    """
    require(caller, "auditor", "operator")


def epoch_of(world: World, caller: Caller, number: int | None) -> Epoch:
    """Return an epoch of the caller's log by its number, by default the present one.

    Raises:
        NotFound: this database holds none of that number.
    """
    held = world.logs[caller.tenant]
    found = held.current if number is None else held.numbered(number)
    if found is None:
        raise NotFound(
            what=f"There is no epoch {number} of this log.",
            why=f"This database holds {', '.join(str(one.number) for one in held.all)}.",
            fix="Leave `epoch` out for the present one.",
            code="ledger.no_epoch",
        )
    return found


def epochs_of(world: World, caller: Caller) -> list[Document]:
    """Return the epochs of the log that this database holds, oldest first; `size` is final where one has followed."""
    require_auditor(caller)
    held = world.logs[caller.tenant]
    return [
        {
            "epoch": one.number,
            "origin": one.origin,
            "size": after.opening.had_size if (after := held.following(one)) and after.opening else None,
            "known": None
            if one.opening is None
            else {
                "origin": one.opening.known_origin,
                "size": one.opening.known_size,
                "root": one.opening.known_root,
            },
        }
        for one in held.all
    ]


async def checkpoint(world: World, caller: Caller, size: int | None = None, number: int | None = None) -> LogHead:
    """Return the last published checkpoint, or that of a size.

    Args:
        number: of the epoch; None is the present one.

    Raises:
        Unavailable: none is published yet.
        NotFound: none of that size was published.
    """
    require_auditor(caller)
    epoch = epoch_of(world, caller, number)

    def body(tx: Transaction) -> LogHead:
        if size is None:
            return _head(tx, epoch)
        found = tx.ledger.head_at(epoch.origin, size)
        if found is None:
            raise NotFound(
                what=f"No checkpoint of size {size} was published.",
                why="Entries are integrated in batches, and each batch has one checkpoint.",
                fix="Ask for the last one, and prove its consistency with the one you kept.",
                code="ledger.no_checkpoint",
            )
        return found

    return await world.storage.view(caller.tenant, body)


async def entries(
    world: World, caller: Caller, first: int, limit: int, number: int | None = None
) -> tuple[list[Document], int | None]:
    """Return integrated entries of an epoch from index `first` on, and the index of the next page."""
    require_auditor(caller)
    epoch = epoch_of(world, caller, number)

    def body(tx: Transaction) -> tuple[list[Document], int | None]:
        head = tx.ledger.head(epoch.origin)
        size = head.size if head else 0
        lines = []
        for index in range(first, min(size, first + limit)):
            data = tx.ledger.entry_at(epoch.first + index)
            if data is not None:
                lines.append({"index": index, "leaf": merkle.leaf_hash(data).hex(), "entry": data.decode()})
        return lines, first + limit if first + limit < size else None

    return await world.storage.view(caller.tenant, body)


async def inclusion(world: World, caller: Caller, index: int, size: int | None, number: int | None = None) -> Document:
    """Return the proof that entry `index` lies in the tree of `size`, by default the last published.

    Raises:
        Malformed: there is no such entry at that size, or the log has not that size yet.
    """
    require_auditor(caller)
    epoch = epoch_of(world, caller, number)

    def body(tx: Transaction) -> Document:
        head = _head(tx, epoch)
        of = head.size if size is None else size
        if not 0 <= index < of <= head.size:
            raise _out_of_range("index" if of <= head.size else "size", head.size)
        node = epoch.reader(tx.ledger.nodes())
        hashes = [one.hex() for one in merkle.inclusion_proof(index, of, node)]
        return {"epoch": epoch.number, "index": index, "size": of, "leaf": node(0, index).hex(), "hashes": hashes}

    return await world.storage.view(caller.tenant, body)


async def consistency(
    world: World, caller: Caller, first: int, second: int | None, number: int | None = None
) -> Document:
    """Return the proof that the tree of size `first` is the beginning of that of size `second`.

    Raises:
        Malformed: the sizes are not in order, or the log has not reached the second yet.
    """
    require_auditor(caller)
    epoch = epoch_of(world, caller, number)

    def body(tx: Transaction) -> Document:
        head = _head(tx, epoch)
        of = head.size if second is None else second
        if not 0 <= first <= of <= head.size:
            raise _out_of_range("first" if of <= head.size else "second", head.size)
        hashes = merkle.consistency_proof(first, of, epoch.reader(tx.ledger.nodes()))
        return {"epoch": epoch.number, "first": first, "second": of, "hashes": [one.hex() for one in hashes]}

    return await world.storage.view(caller.tenant, body)


async def head_shown(world: World, tenant: str) -> Document | None:
    """Return what people are shown of the last checkpoint; its time is that of the last entry it covers."""
    origin = world.origin(tenant)

    def body(tx: Transaction) -> Document | None:
        head = tx.ledger.head(origin)
        if head is None:
            return None
        root = parse(head.note).root.hex()
        shown = {"origin": head.origin, "size": head.size, "root": root, "at": when(tx.ledger.last_at())}
        return shown | {"is_mirrored": world.mirror.last(head.origin) is not None}

    return await world.storage.view(tenant, body)


async def receipt_shown(world: World, caller: Caller, receipt_id: str) -> Document | None:
    """Return a receipt as people read it: its signed statement, its openings and its proof; None until it is signed.

    Raises:
        NotFound: there is none such for this caller.
    """

    def body(tx: Transaction) -> tuple[bytes | None, bool]:
        data = receipt_bundle(world, tx, caller, receipt_id, is_leaving=False)
        owed = tx.receipts.get(receipt_id)
        action = tx.actions.get(owed.action_id) if owed else None
        run = tx.runs.get(action.run_id) if action else None
        return data, run is not None and masks(tx, world.shelf.envelope(tx, run.envelope), run)

    data, is_masked = await world.storage.view(caller.tenant, body)
    if data is None:
        return None
    parts = bundles.read(data)
    signed = bundles.read_statement(from_base64(parts.envelope["payload"], "The payload"))["predicate"]
    note = parse(parts.checkpoint) if parts.checkpoint is not None else None
    preview, outcome = parts.openings.get("preview"), parts.openings.get("outcome")
    inclusion = None
    if parts.proof is not None and note is not None:
        inclusion = {
            "index": parts.proof.index,
            "size": parts.proof.size,
            "root": note.root.hex(),
            "path": [one.hex() for one in parts.proof.hashes],
        }
    shown: Document = signed | {
        "action_id": signed["action"],
        "run_id": signed["run"],
        "at": when(signed["at"]),
        "due": when(signed["at"] + signed["due_s"] * 1_000_000),
        "voters": [vote | {"at": when(vote["at"])} for vote in signed["voters"]],
        "key_id": parts.envelope["signatures"][0]["keyid"],
        "changes": preview.value["changes"] if preview else None,
        "result": outcome.value.get("result") if outcome else None,
        "inclusion": inclusion,
    }
    if is_masked:
        shown |= {name: redacted(shown[name]) for name in ("changes", "result")}
    return shown


async def vitals(world: World, tenant: str) -> Vitals:
    """Return a tenant's vital signs. The lag is how long the most overdue timer has been due."""

    def body(tx: Transaction) -> Vitals:
        states = tx.actions.count_states()
        head = tx.ledger.head(world.origin(tenant))
        due = [
            at
            for action in tx.actions.due(tx.now, DUE_MAX)
            if (at := action.expires_at if action.look_at is None else action.look_at) is not None
        ]
        return Vitals(
            states=states,
            pending=states.get(State.PENDING_APPROVAL, 0) + states.get(State.HELD, 0),
            halts=len(tx.authority.halts_in_force()),
            ledger_size=head.size if head else 0,
            lag_s=max(0, tx.now - min(due)) / 1_000_000 if due else 0.0,
            unsigned=len(tx.receipts.unsigned(DUE_MAX)),
            late=len(tx.actions.late("", DUE_MAX)),
            broken_off=open_circuits(world, tx),
            escalated=len(tx.actions.escalated("", DUE_MAX)),
            clock_jump_s=world.clock.jump_us() / 1_000_000,
            unreceipted=sum(len(one.found) for one in world.sweeps.of(tenant)),
            unswept=sum(bool(one.problem) for one in world.sweeps.of(tenant)),
        )

    return await world.storage.view(tenant, body)


def _head(tx: Transaction, epoch: Epoch) -> LogHead:
    head = tx.ledger.head(epoch.origin)
    if head is None:
        raise Unavailable(
            what="There is no checkpoint yet.",
            why="The first entries are not integrated.",
            fix="Ask again in a second.",
            code="ledger.no_checkpoint",
            retry_after_s=1,
        )
    return head


def _out_of_range(path: str, size: int) -> Malformed:
    return Malformed(
        what="There is no such proof.",
        why=f"`{path}` lies outside the log, whose published size is {size}.",
        fix="Count entries from 0, and name sizes up to the published one, the smaller first.",
        code="ledger.out_of_range",
        path=path,
    )


async def verify(world: World, caller: Caller, against: Sequence[bytes]) -> AuditReport:
    """Verify everything a tenant has stored, on one snapshot.

    Raises:
        Forbidden: neither auditor, operator nor admin.
    """
    require_auditor(caller)
    return await audit(world, caller.tenant, against=against)
