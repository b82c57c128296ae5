# SPDX-License-Identifier: Apache-2.0
"""Sequenced, integrated, published: entries get their place in their tenant's tree, and the tree a signed checkpoint.

One integrator works at a time. Entries, tree nodes and checkpoint are written together, and only a recorded
checkpoint is ever shown or mirrored, so that two integrators could not tell two truths.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from signoff.app.world import World
from signoff.core.errors import Corrupt, Unavailable
from signoff.ledger import checkpoint
from signoff.ledger.entry import leaf_hash
from signoff.ledger.epochs import Epoch
from signoff.ledger.merkle import Frontier
from signoff.ports.storage import LogHead, Transaction

log = logging.getLogger("signoff.integrate")
# Slices are small, since a slice is work on the event loop: 256 entries take some milliseconds.
# A call takes many, so that it keeps up with the writers; it ends all the same, for other timers wait behind it.
ENTRIES_AT_ONCE, SLICES_MAX = 256, 32


async def integrate(world: World, tenant: str) -> int:
    """Integrate what is sequenced, slice by slice, with a checkpoint of each; returns the size of the log, 0 if nothing
    was to be done."""
    epoch = world.logs[tenant].current

    def body(tx: Transaction) -> tuple[LogHead | None, bool]:
        pending = tx.ledger.pending(ENTRIES_AT_ONCE)
        if not pending:
            return None, False
        head = tx.ledger.head(epoch.origin)
        size = head.size if head else 0
        return extend(world, tx, epoch, Frontier(size, _edge(tx, epoch, size)), pending), len(
            pending
        ) == ENTRIES_AT_ONCE

    last: LogHead | None = None
    for _ in range(SLICES_MAX):
        try:
            head, has_more = await world.storage.transact(tenant, body, guards=("ledger",))
        except Corrupt as error:
            _stop_writing(world, error)
            raise
        last = head or last
        if not has_more:
            break
    if last is None:
        return 0
    await mirror(world, last)
    return last.size


def _stop_writing(world: World, error: Corrupt) -> None:
    """Serve reading only: whoever can put an entry beside the log can put anything there, and nothing is sent on it."""
    world.is_read_only = True
    log.critical("%s %s", error.what, error.why)
    world.storage.freeze(
        Unavailable(
            what="This node serves reading only: somebody wrote into its ledger past it.",
            why=error.what,
            fix=error.fix,
            code="node.forged_entry",
            retry_after_s=3600,
        )
    )


def extend(
    world: World, tx: Transaction, epoch: Epoch, frontier: Frontier, pending: Sequence[tuple[str, int, bytes]]
) -> LogHead:
    """Give entries their places at the end of a tree, and record the checkpoint of it as it then is.

    Args:
        frontier: of that tree.
        pending: stream, seq and bytes.
    """
    begin = epoch.first + frontier.size
    tx.ledger.integrate([(stream, seq, begin + nth) for nth, (stream, seq, _) in enumerate(pending)])
    grown = frontier.extend(leaf_hash(entry) for _, _, entry in pending)
    tx.ledger.add_nodes((level, at + epoch.shift(level), node) for level, at, node in grown)
    new = signed_head(world, epoch.origin, frontier.size, frontier.root())
    tx.ledger.publish(new)
    return new


def signed_head(world: World, origin: str, size: int, root: bytes) -> LogHead:
    """Sign a checkpoint; nobody is shown it before it is recorded."""
    text = checkpoint.body(origin, size, root)
    signature = world.signer.sign("log", text)
    name, public = signature.key_id.rsplit("+", 1)[0], world.signer.public_keys("log")[signature.key_id]
    return LogHead(origin, size, checkpoint.note(text, name, public, signature.value))


async def mirror_head(world: World, tenant: str) -> None:
    """Mirror the last recorded checkpoint: a node that died right after recording it did not come to that."""
    origin = world.origin(tenant)
    head = await world.storage.view(tenant, lambda tx: tx.ledger.head(origin))
    if head is not None:
        await mirror(world, head)


async def mirror(world: World, head: LogHead) -> None:
    """Keep a checkpoint beside the database; it syncs a file, which is no work for the event loop.

    The thread is its own, not the loop's: the loop waits for its threads when it ends, and a mirror that hangs, being
    on another disk or over a network, must not keep a node from stopping. A timer that is cancelled leaves it going on.
    """
    loop = asyncio.get_running_loop()
    kept: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not kept.done():
            kept.set_result(None) if error is None else kept.set_exception(error)

    def keep() -> None:
        error: Exception | None = None
        try:
            world.mirror.keep(head.origin, head.size, head.note)
        except Exception as raised:  # noqa: BLE001  # whatever it is, whoever waits is told
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=keep, name="signoff-mirror", daemon=True).start()
    await kept


def _edge(tx: Transaction, epoch: Epoch, size: int) -> list[bytes]:
    """Return the roots of the complete subtrees of a tree of `size`, from left to right."""
    node = epoch.reader(tx.ledger.nodes())
    levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
    return [node(level, (size >> level + 1) * 2) for level in levels]
