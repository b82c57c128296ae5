# SPDX-License-Identifier: Apache-2.0
"""Erase a subject: everything that is kept of the actions about it goes at once, by its key; the log stays as it is.

What is left tells that something was there, when and under which digests, and nothing of what it was. So the log still
verifies, and so do receipts that were issued before.
"""

import logging
from dataclasses import dataclass
from typing import Final

from signoff.app import record
from signoff.app.action.case import require_standing
from signoff.app.action.documents import Document, when
from signoff.app.action.late import is_open
from signoff.app.action.subject import tag_of
from signoff.app.world import World
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Malformed, NotFound, Unavailable
from signoff.core.principal import Caller, require
from signoff.core.subject import Subject
from signoff.ports.storage import Transaction

log = logging.getLogger("signoff.subjects")
NAMED_MAX = 20
AT_ONCE = 200
LISTED_MAX = 200
GOES: Final = (
    "of each action: its arguments, claims, preview, facts, result or error, details of its decision, and what people"
    " said of it",
    "the key they are sealed under, so that no copy of them opens, and their salts, so that no guess can be held"
    " against the log",
)
STAYS: Final = (
    "entries of the log and receipts: ids, digests, enums, times and money, and commitments whose salts are gone; they"
    " are the evidence that something was done, and by whose authority",
    "rows of state, which are the sum of those entries",
    "keyed digests, by which an equal call, resource or subject is found again; only this installation's own keys could"
    " test a guess against them",
    "the task and the summary of each run, under the run's own key until its page has them erased: they are about the"
    " whole run",
    "calls of tools whose contracts name no subject, under their runs' keys likewise",
    "what the governed systems themselves hold",
)
NOTES: Final = (
    "A backup keeps the destroyed key until it expires: whoever restores one has to erase again.",
    "Blocks that a file system or a disk has set free, or keeps as a snapshot, are beyond the reach of any program.",
    "There is no legal hold yet: nothing stops an erasure but a call that is under way.",
)
EACH_US = 30_000_000


@dataclass(frozen=True, slots=True)
class Shown:
    """A subject with its actions, oldest first; `reason` is why it was erased, if it was."""

    subject: Subject
    actions: tuple[Action, ...]
    reason: str | None = None

    @property
    def underway(self) -> tuple[Action, ...]:
        """Actions that are not over, so that nothing can be erased yet."""
        return tuple(action for action in self.actions if is_underway(action))

    @property
    def undoable(self) -> int:
        """How many writes stand that could be undone, as far as their states tell."""
        standing = (State.SUCCEEDED, State.REVERSAL_FAILED)
        return sum(action.is_write and action.state in standing for action in self.actions)

    @property
    def looks_owed(self) -> int:
        """How many writes that failed as absent are to be looked for once more."""
        return sum(action.state is State.FAILED and action.look_at is not None for action in self.actions)


def is_underway(action: Action) -> bool:
    """Tell whether somebody or something still needs what is kept of an action: it is not concluded, or found late."""
    return not action.is_concluded or is_open(action)


async def show(world: World, caller: Caller, subject: str) -> Shown:
    """Return a subject with everything that an erasure would take, or has taken last.

    Args:
        subject: the text as its tools' contracts make it, such as `vendor/V-1042`.

    Raises:
        Forbidden: neither admin nor auditor.
        NotFound: no call was ever about it.
    """
    require(caller, "admin", "auditor")
    tag = tag_of(world, caller.tenant, _checked(subject, "subject"))
    return await world.storage.view(caller.tenant, lambda tx: _found(world, tx, tag))


async def erase(world: World, caller: Caller, subject: str, reason: str) -> Shown:
    """Destroy the key of a subject and everything that was sealed under it, and rewrite the database's files.

    Erasing what is erased already changes nothing.

    Raises:
        Forbidden: the caller is no admin.
        NotFound: no call was ever about it.
        Conflict: calls about it are under way; nothing was erased.
    """
    require(caller, "admin")
    tag = tag_of(world, caller.tenant, _checked(subject, "subject"))
    _checked(reason, "reason")
    shown = await world.storage.view(caller.tenant, lambda tx: _found(world, tx, tag))
    if shown.subject.erased_at is None:
        subject_id, key_id = shown.subject.subject_id, shown.subject.payload_key
        wrapped, seal = world.keyring.mint(caller.tenant)
        kept = seal.seal(subject_id, "reason", reason)

        def body(tx: Transaction) -> None:
            require_standing(tx, caller)
            now = tx.subjects.get(subject_id)
            assert now is not None
            if now.erased_at is not None:
                return
            actions = tx.actions.of_subject(subject_id)
            if underway := [action for action in actions if is_underway(action)]:
                raise _underway(underway)
            for action in actions:
                if action.look_at is not None:  # there will be nothing to look by
                    record.move(tx, action, "action.late_look_ended", look_at=None)
            count = tx.payloads.erase_subject(subject_id)
            tx.payloads.destroy_key(now.payload_key)
            tx.payloads.add_key(wrapped)
            record.move(
                tx,
                now,
                "subject.erased",
                [kept],
                payload_key=wrapped.key_id,
                erased_at=tx.now,
                erased_by=caller.id,
                reason=kept.commitment,
                erased_actions=len(actions),
                erased_payloads=count,
            )

        await world.storage.transact(caller.tenant, body, guards=("subjects", tag))
        world.keyring.forget(caller.tenant, key_id)
        world.remembered.forget(caller.tenant)
    await scrub(world, caller.tenant)
    return await world.storage.view(caller.tenant, lambda tx: _found(world, tx, tag))


def subject_document(shown: Shown) -> Document:
    """Return what people are told of a subject: what an erasure takes, or has taken, and what it leaves and why."""
    subject, is_erased = shown.subject, shown.subject.erased_at is not None
    return {
        "subject_id": subject.subject_id,
        "met": when(subject.met_at),
        "erased": when(subject.erased_at),
        "erased_by": subject.erased_by,
        "reason": shown.reason,
        "erased_payloads": subject.erased_payloads,
        "scrubbed": when(subject.scrubbed_at),
        "actions": [
            {
                "action_id": action.action_id,
                "run_id": action.run_id,
                "tool": action.tool,
                "state": str(action.state),
                "proposed": when(action.proposed_at),
                "receipt_id": action.receipt_id if action.ended_at is not None else None,
            }
            for action in shown.actions[:LISTED_MAX]
        ],
        "actions_total": len(shown.actions),
        "underway": [action.action_id for action in shown.underway],
        "goes": [] if is_erased else [*GOES, *_goes_too(shown)],
        "stays": list(STAYS),
        "notes": [*_owed(subject), *NOTES],
    }


def _goes_too(shown: Shown) -> list[str]:
    told = []
    if count := shown.undoable:
        told.append(f"the means to undo: {count} writes that stand could then be taken back by hand alone")
    if count := shown.looks_owed:
        told.append(f"{count} looks that are owed a day after a write failed as absent")
    return told


def _owed(subject: Subject) -> list[str]:
    if subject.erased_at is None or subject.scrubbed_at is not None:
        return []
    return [
        "The key is destroyed. The database's files still have to be rewritten, which waits for whoever reads an older"
        " state or for room on the disk; it is tried every half minute."
    ]


async def finish_erasures(world: World, tenant: str) -> None:
    """Try again what an erasure still owes, now and then: the writer stands still while it is done."""
    now, last = world.clock.now(), world.scrubbed_at.get(tenant)
    if last is None or now >= last + EACH_US:
        world.scrubbed_at[tenant] = now
        await scrub(world, tenant)


async def scrub(world: World, tenant: str) -> bool:
    """Rewrite the database's files if a subject was erased since, and record that; False where it is still owed."""
    if not await world.storage.view(tenant, lambda tx: tx.subjects.unscrubbed(1), is_short=True):
        return True
    owed = await world.storage.view(tenant, lambda tx: tx.subjects.unscrubbed(AT_ONCE))
    try:
        is_done = await world.storage.scrub()
    except Unavailable as error:
        log.warning("the database could not be rewritten after an erasure, and it is tried again: %s", error.why)
        return False
    if not is_done:
        log.warning("somebody still reads what was erased; the database is rewritten once they have done")
        return False

    def body(tx: Transaction) -> None:
        for subject in owed:
            now = tx.subjects.get(subject.subject_id)
            if now is not None and now.scrubbed_at is None:
                record.move(tx, now, "subject.scrubbed", scrubbed_at=tx.now)

    await world.storage.transact(tenant, body, guards=("subjects",))
    return len(owed) < AT_ONCE


def _found(world: World, tx: Transaction, tag: str) -> Shown:
    known = tx.subjects.of_tag(tag)
    if not known:
        raise NotFound(
            what="Nothing is kept of this subject.",
            why="No call was ever about it, as the contracts of the tools name their subjects.",
            fix="Write it just as the contract's `subject` makes it, such as vendor/V-1042; case and spaces count.",
            code="subject.unknown",
        )
    subject = next((one for one in known if one.erased_at is None), known[-1])
    reason = world.keyring.open(tx, subject.subject_id, "reason") if subject.reason else None
    return Shown(subject, tuple(tx.actions.of_subject(subject.subject_id)), reason)


def _underway(actions: list[Action]) -> Conflict:
    named = ", ".join(f"{action.action_id} ({action.state})" for action in actions[:NAMED_MAX])
    return Conflict(
        what="Nothing was erased: calls about this subject are not over.",
        why=f"{len(actions)} still need what is kept of them: {named}{' ...' if len(actions) > NAMED_MAX else ''}.",
        fix="Cancel what was not sent, settle what is in doubt, wait for what is under way; then erase.",
        code="subject.underway",
    )


def _checked(text: str, path: str) -> str:
    if text.strip():
        return text
    raise Malformed(
        what=f"The {path} is empty.",
        why="An erasure is of somebody, and for a reason that is kept.",
        fix=f"Give the {path}.",
        path=path,
    )
