# SPDX-License-Identifier: Apache-2.0
"""Which epoch of its log a database is in, and whether it is the one that was published last."""

from dataclasses import dataclass
from itertools import count

from signoff.app.world import World
from signoff.core.errors import Corrupt
from signoff.ledger import epochs
from signoff.ledger.epochs import Epochs
from signoff.ledger.errors import Refused
from signoff.ports.storage import LogHead, Transaction


@dataclass(frozen=True, slots=True)
class Loss:
    """What a database lacks: it holds its log up to `had`, and `known` is the last checkpoint kept outside."""

    had: LogHead | None
    known: LogHead
    next_epoch: int  # the first number that nobody has used


def read(tx: Transaction, name: str) -> Epochs:
    """Return the epochs of a tenant's log.

    Args:
        name: `<installation>/<tenant>`.

    Raises:
        Corrupt: the entries that open them were tampered with.
    """
    try:
        return epochs.read_epochs(name, tx.stored.entries_of(epochs.STREAM))
    except Refused as refused:
        raise Corrupt(refused.what, refused.why, refused.fix, code="ledger.epochs", table="entries") from refused


async def open_log(world: World, tenant: str) -> Epochs:
    """Learn which epoch a tenant's log is in: it is opened by nobody else while a node owns the database.

    Raises:
        Corrupt: see `read`; nothing is written or sent under a name that nobody can tell.
    """
    found = await world.storage.view(tenant, lambda tx: read(tx, world.log_name(tenant)))
    world.logs[tenant] = found
    return found


async def look_at_log(world: World, tenant: str) -> Epochs:
    """Learn it to read only: where the database does not tell it truly, the first epoch stands in, and an audit says
    what is wrong."""
    try:
        return await open_log(world, tenant)
    except Corrupt:
        return world.logs.setdefault(tenant, epochs.read_epochs(world.log_name(tenant), ()))


async def loss(world: World, tenant: str) -> Loss | None:
    """Hold the database against the checkpoints kept outside it; None where it lacks nothing of them.

    An epoch that the mirror knows and the database does not is a loss, too: then a backup from before a recovery, or
    the database that was given up by it, has been put in place.
    """
    current = world.logs[tenant].current
    known, last = mirrored(world, tenant)
    head = await world.storage.view(tenant, lambda tx: tx.ledger.head(current.origin))
    if known is None:
        return None
    if known.origin == current.origin:
        at_size = await world.storage.view(tenant, lambda tx: tx.ledger.head_at(current.origin, known.size))
        if at_size is not None and at_size.note == known.note:
            return None
    return Loss(head, known, last + 1)


def mirrored(world: World, tenant: str) -> tuple[LogHead | None, int]:
    """Return the newest checkpoint that the mirror keeps, from the present epoch on, and the last epoch it has seen.

    An empty checkpoint only reserves its epoch: a recovery writes it first, and may have come to nothing.
    """
    current = world.logs[tenant].current.number
    newest: LogHead | None = None
    for number in count(current):
        origin = f"{world.log_name(tenant)}/{number}"
        kept = world.mirror.last(origin)
        if kept is None and number > current:
            return newest, number - 1
        if kept is not None and kept[0]:
            newest = LogHead(origin, *kept)
    raise AssertionError("numbers do not end")
