# SPDX-License-Identifier: Apache-2.0
"""Open a tenant on this node: its key for digests, its first person, and whether the database is the one we knew."""

import logging
from collections.abc import Callable

from signoff.app.authority.people import create_person
from signoff.app.epochs import loss, open_log
from signoff.app.integrate import integrate, mirror_head
from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.errors import Corrupt, Unavailable
from signoff.core.principal import Person
from signoff.ports.storage import Transaction
from signoff.ports.vault import WrappedKey

log = logging.getLogger("signoff.setup")
TAGS = "tags"


async def open_tenant(
    world: World, tenant: str, keep_secret: Callable[[str], None] | None = None
) -> tuple[Person, str] | None:
    """Make a tenant ready on this node; a new one gets its first admin, who is returned with their key.

    Where the mirror knows a larger log than the database has, the database is an old backup, or was emptied: the node
    then serves reading only, and nothing it holds is sent.

    Args:
        keep_secret: is given the first admin's key before they are recorded.
    """
    await open_log(world, tenant)
    await _notice_old_backup(world, tenant)
    await world.storage.view(tenant, world.shelf.pages)
    if world.is_read_only:
        # What an old database lacks is needed to read nothing; nothing that could hold a tag is written either.
        world.tags[tenant] = await world.storage.view(tenant, lambda tx: _tags(world, tx))
        return None
    tag_key: WrappedKey = world.keyring.mint_named(TAGS)

    def tags(tx: Transaction) -> Seal:
        if tx.payloads.key(TAGS) is None:
            if tx.ledger.last_at():
                raise Corrupt(
                    what="The key of the digests by which equal contents are found is gone.",
                    why="The log has entries, so this database had one; without it two writers could share a resource.",
                    fix="Put the newest database that verifies back: `signoff ledger verify` tells.",
                )
            tx.payloads.add_key(tag_key)
        return world.keyring.seal(tx, TAGS)

    world.tags[tenant] = await world.storage.transact(tenant, tags)
    await mirror_head(world, tenant)
    if await world.storage.view(tenant, lambda tx: tx.authority.people("", 1)):
        return None
    roles = ("admin", "author", "operator", "auditor")
    first = await create_person(world, tenant, "First admin", "", roles, keep_secret)
    await integrate(world, tenant)
    return first


def _tags(world: World, tx: Transaction) -> Seal:
    """Return the seal for tags of a database that is only read; one of no use where it has none."""
    return world.keyring.seal(tx, TAGS) if tx.payloads.key(TAGS) else world.keyring.mint(tx.tenant)[1]


async def _notice_old_backup(world: World, tenant: str) -> None:
    """Hold the database against the checkpoint kept outside it (contract, section 5, "An old backup")."""
    lacking = await loss(world, tenant)
    if lacking is None:
        return
    size, known = lacking.had.size if lacking.had else 0, lacking.known
    world.is_read_only = True
    why = f"Its log has {size} entries, and the mirror keeps a signed checkpoint of {known.size} that is not in it."
    if known.origin != world.origin(tenant):
        why = f"It is in {world.origin(tenant)}, and the mirror keeps a signed checkpoint of {known.origin}."
    world.storage.freeze(
        Unavailable(
            what="This node serves reading only: its database is older than, or other than, the log it published.",
            why=why,
            fix="Put the newest database back. If there is none left, stop this node and run `signoff ledger recover`: "
            "it says what is lost. Nothing is sent or changed until then.",
            code="node.old_database",
            retry_after_s=3600,
        )
    )
    log.critical("reading only: %s", why)
