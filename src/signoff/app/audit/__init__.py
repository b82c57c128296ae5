# SPDX-License-Identifier: Apache-2.0
"""Audit: verify the whole log again, and compare every row of state with the entries that tell of it.

`audit` works on a running node; `audit_rows` on any transaction, so that a database can be verified without a node.
One pass over the entries checks log and state together; a second, over the hashes alone, checks the tree.
"""

from collections.abc import Sequence
from dataclasses import replace

from signoff.app import epochs
from signoff.app.audit.actions import Actions
from signoff.app.audit.findings import AuditReport as AuditReport
from signoff.app.audit.findings import Finding as Finding
from signoff.app.audit.findings import Findings
from signoff.app.audit.kept import read_kept, streams_without_entry
from signoff.app.audit.limits import Limits
from signoff.app.audit.payloads import COMMITTED, Payloads
from signoff.app.audit.spend import Spend
from signoff.app.audit.state import End, Fold, Step
from signoff.app.audit.streams import Progress, check_streams
from signoff.app.audit.tree import check_tree, name_missing
from signoff.app.pages import Shelf
from signoff.app.payloads import Keyring
from signoff.app.world import World
from signoff.core.action.lifecycle import Action
from signoff.core.errors import Corrupt, SignoffError
from signoff.core.run import Run
from signoff.ledger.checkpoint import VerifierKey, parse_keys
from signoff.ledger.epochs import STREAM, Epochs, family, read_epochs
from signoff.ports.storage import Transaction

PAYLOADS_UNCHECKED = "Payloads were not opened, nor marks of pending entries compared: the keys were not given."


async def audit(
    world: World,
    tenant: str,
    *,
    against: Sequence[bytes] = (),
    keys: Sequence[VerifierKey] | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Audit a tenant of a running node, on one snapshot; also against the newest checkpoint of its mirror.

    Args:
        against: checkpoints and receipts kept elsewhere, byte for byte.
        keys: log and receipt keys; None takes those of the node, which an auditor should not.
        progress: called from another thread.
    """
    origin = (await epochs.look_at_log(world, tenant)).current.origin
    mirrored, unreadable = _newest_mirrored(world, tenant)  # before the snapshot, so that it can only be behind
    known = parse_keys(world.log_keys) if keys is None else keys

    def body(tx: Transaction) -> AuditReport:
        return audit_rows(tx, origin, known, world.keyring, against=[*against, *mirrored], progress=progress)

    report = await world.storage.view(tenant, body)
    if unreadable is None:
        return report
    total, first = report.findings_total + 1, report.first or unreadable
    return replace(report, findings=(*report.findings, unreadable), findings_total=total, first=first)


def _newest_mirrored(world: World, tenant: str) -> tuple[list[bytes], Finding | None]:
    """Return the newest checkpoint that the mirror keeps, if any, or why it cannot be read."""
    try:
        kept, _ = epochs.mirrored(world, tenant)
    except SignoffError as error:
        return [], Finding("mirror", error.what, error.why, error.fix)
    return [kept.note.encode()] if kept else [], None


def audit_rows(
    tx: Transaction,
    origin: str,
    keys: Sequence[VerifierKey],
    keyring: Keyring | None,
    *,
    against: Sequence[bytes] = (),
    progress: Progress | None = None,
) -> AuditReport:
    """Audit what one tenant has stored.

    Args:
        origin: of the tenant's log, in any of its epochs.
        keyring: opens payloads; None leaves them unopened, and the report says so.
    """
    found, tell = Findings(), progress or _nothing
    _check_database(tx, found)
    held = _epochs(tx, origin, found)
    kept = read_kept(tx, held, keys, against, found)
    shelf = Shelf()
    actions = Actions(tx, held, keys, shelf, found)
    payloads, limits = Payloads(tx, keyring, found), Limits(tx, shelf, found)
    steps: dict[type, list[Step]] = {kind: [payloads.step] for kind in COMMITTED}
    ends: dict[type, list[End]] = {kind: [payloads.end] for kind in COMMITTED}
    steps |= {Action: [actions.step, limits.step, payloads.step], Run: [actions.step_run, payloads.step]}
    ends |= {Action: [actions.end, limits.end, payloads.end], Run: [actions.end_run, payloads.end]}
    fold = Fold(tx, found, steps, ends)
    streams = check_streams(tx, found, fold, kept.promised, tell)
    if keyring is not None:
        _check_marks(tx, found)
    fold.finish()
    actions.finish()
    limits.finish()
    Spend(tx, shelf, found).finish()
    payloads.finish(streams.entries == 0)
    streams_without_entry(tx, kept, found)
    *earlier, tree = check_tree(tx, held, keys, kept.checkpoints, found, tell)
    if tree.size + sum(one.size for one in earlier) != streams.integrated:
        name_missing(tx, found)
    return AuditReport(
        origin=tree.origin,
        entries=streams.entries,
        pending=streams.pending,
        size=tree.size,
        root=tree.root,
        checkpoints=tree.checkpoints,
        proved=tree.proved,
        rows=fold.counts | actions.counts() | limits.counts() | payloads.counts(),
        receipts=actions.receipts,
        payloads=payloads.opened,
        erased=payloads.erased,
        findings=tuple(found.kept),
        findings_total=found.total,
        first=found.first,
        unchecked=(PAYLOADS_UNCHECKED,) if keyring is None else (),
        earlier=tuple((one.origin, one.size, one.root) for one in earlier),
    )


def audit_log(
    tx: Transaction, origin: str, keys: Sequence[VerifierKey], progress: Progress | None = None
) -> tuple[int, Finding | None]:
    """Verify the log alone: entries, streams, tree and checkpoints; returns how many entries, and the first finding."""
    found, tell = Findings(), progress or _nothing
    streams = check_streams(tx, found, None, {}, tell)
    trees = check_tree(tx, _epochs(tx, origin, found), keys, (), found, tell)
    if sum(tree.size for tree in trees) != streams.integrated:
        name_missing(tx, found)
    return streams.entries, found.first


def _epochs(tx: Transaction, origin: str, found: Findings) -> Epochs:
    """Return the epochs that the database holds; where it does not tell them truly, the first alone."""
    try:
        return epochs.read(tx, family(origin))
    except Corrupt as error:
        found.add("entries", error.what, error.why, error.fix, stream=STREAM)
        return read_epochs(family(origin), ())


def _check_marks(tx: Transaction, found: Findings) -> None:
    try:
        for stream, seq in tx.ledger.unmarked():
            what = f"Entry {seq} of {stream[:64]} has not the mark of this installation."
            why = "One that waits for its place has a mark that takes the log key; one that has its place has none."
            found.add("entries", what, why, stream=stream, seq=seq, column="mark")
    except Corrupt as error:
        found.add("entries", error.what, error.why, error.fix)


def _check_database(tx: Transaction, found: Findings) -> None:
    try:
        for table, fault in tx.stored.faults():
            what = f"The database is not as this version made it: {fault}."
            found.add(table, what, "A trigger, an index or a table can make the same rows say other things.")
    except Corrupt as error:
        found.add(str(error.detail.get("table", "database")), error.what, error.why, error.fix)


def _nothing(part: str, done: int, total: int) -> None:
    """Tell nobody."""
