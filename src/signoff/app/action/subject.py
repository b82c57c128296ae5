# SPDX-License-Identifier: Apache-2.0
"""Whom an action's payloads are about: the subject is met when a call is proposed, and its key seals what is said.

Payloads are sealed before the transaction that keeps them. So that transaction looks again: where the subject was
erased or first met meanwhile, the call is sealed anew under the key that is there now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.app import record
from signoff.app.action.case import as_named
from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.authority.contract import Contract, ToolContract
from signoff.core.errors import Conflict, SignoffError
from signoff.core.run import Run
from signoff.core.subject import Subject
from signoff.ports.storage import Transaction
from signoff.ports.vault import WrappedKey

TRIES_MAX = 3


@dataclass(frozen=True, slots=True)
class Met:
    """A subject and its seal; `wrapped` is the key of one that nobody has met before, to be stored with it."""

    subject_id: str
    tag: str
    seal: Seal
    wrapped: WrappedKey | None = None


class Moved(Conflict):
    """The subject is another one by now: seal anew, and try again."""


def subject_tag(
    world: World, tenant: str, contract: Contract | None, tool: ToolContract | None, args: Mapping[str, Any]
) -> tuple[str | None, bool]:
    """Return the keyed digest of the subject that a call is about, None if its contract names none.

    The truth value is False where the contract names one that is no text for these arguments, or an empty one: then
    nobody could erase what is kept of the call, and it is refused.
    """
    if contract is None or tool is None or tool.subject is None:
        return None, True
    try:
        return tag_of(world, tenant, tool.subject.text_of({"args": as_named(world, contract, tool, args)})), True
    except SignoffError:
        return None, False


def tag_of(world: World, tenant: str, subject: str) -> str:
    """Return the keyed digest by which a subject is found."""
    # Told apart from the tags of resources, which may well be the same texts.
    return world.tags[tenant].tag(["subject", subject])


async def meet(world: World, tenant: str, tag: str | None) -> Met | None:
    """Return the subject of a tag with its seal; one that is not there yet is made, and stored by `keep`."""
    if tag is None:
        return None

    def look(tx: Transaction) -> Met | None:
        there = tx.subjects.present(tag)
        return Met(there.subject_id, tag, world.keyring.seal(tx, there.payload_key)) if there else None

    found = await world.storage.view(tenant, look, is_short=True)
    if found is not None:
        return found
    wrapped, seal = world.keyring.mint(tenant)
    return Met(world.mint("sub"), tag, seal, wrapped)


async def meet_of(world: World, run: Run, tool: str, args: Mapping[str, Any]) -> Met | None:
    """Return the subject of a call by the contract that was in force last; `keep` looks whether it still is."""
    pages = world.shelf.present(run.tenant)
    known = pages.tool(tool, run.environment) if pages else None
    if known is None or known[0].subject is None:
        return None
    return await meet(world, run.tenant, subject_tag(world, run.tenant, known[1], known[0], args)[0])


def keep(tx: Transaction, met: Met | None, tag: str | None) -> str | None:
    """Return the id of the subject under whose key a call was sealed, storing it where it is new.

    Args:
        tag: of the subject as this transaction finds it.

    Raises:
        Moved: what was sealed is under another key than it must be.
    """
    if (met.tag if met else None) != tag:
        raise _moved()
    if met is None:
        return None
    there = tx.subjects.present(met.tag)
    if there is not None:
        if there.subject_id != met.subject_id:
            raise _moved()
        return there.subject_id
    if met.wrapped is None:  # it was erased since
        raise _moved()
    tx.payloads.add_key(met.wrapped)
    subject = Subject(tx.tenant, met.subject_id, 0, "", met.tag, met.wrapped.key_id, tx.now)
    return record.begin(tx, subject, "subject.met").subject_id


def require_present(tx: Transaction, subject_id: str | None) -> None:
    """Refuse to keep more under a subject that was erased meanwhile.

    Raises:
        Moved: it was.
    """
    if subject_id is not None and ((there := tx.subjects.get(subject_id)) is None or there.erased_at is not None):
        raise _moved()


def too_busy() -> Conflict:
    """Return the error for a subject that changes faster than a call can be sealed."""
    moved = _moved()
    return Conflict(moved.what, moved.why, moved.fix, code="subject.moved")


def _moved() -> Moved:
    return Moved(
        what="Nothing was recorded: whom this is about was erased or met just now.",
        why="What is kept of a call is sealed under the key of its subject, which changed while it was prepared.",
        fix="Send the same request again.",
        code="subject.moved",
    )
