# SPDX-License-Identifier: Apache-2.0
"""Open a tenant on this node: its key for digests, its first person, and whether the database is the one we knew."""

import logging

from signoff.app.authority.people import create_person
from signoff.app.integrate import integrate
from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.principal import Person
from signoff.ports.storage import Transaction
from signoff.ports.vault import WrappedKey

log = logging.getLogger("signoff.setup")
TAGS = "tags"


async def open_tenant(world: World, tenant: str) -> tuple[Person, str] | None:
    """Make a tenant ready on this node; a new one gets its first admin, who is returned with their key.

    Where the mirror knows a larger log than the database has, the database is an old backup: the node then serves
    reading only.
    """
    tag_key: WrappedKey = world.keyring.mint_named(TAGS)

    def tags(tx: Transaction) -> Seal:
        if tx.payloads.key(TAGS) is None:
            tx.payloads.add_key(tag_key)
        return world.keyring.seal(tx, TAGS)

    world.tags[tenant] = await world.storage.transact(tenant, tags)
    await world.storage.view(tenant, world.shelf.pages)
    _notice_old_backup(world, tenant, await world.storage.view(tenant, lambda tx: tx.ledger.head()))
    if await world.storage.view(tenant, lambda tx: tx.authority.people("", 1)):
        return None
    first = await create_person(world, tenant, "First admin", "", ("admin", "author", "operator", "auditor"))
    await integrate(world, tenant)
    return first


def _notice_old_backup(world: World, tenant: str, head: object) -> None:
    kept = world.mirror.last(world.origin(tenant))
    size = getattr(head, "size", 0)
    note = getattr(head, "note", "")
    if kept is None:
        return
    if kept[0] > size or (kept[0] == size and kept[1] != note):
        world.is_read_only = True
        log.critical(
            "the database holds %d entries, the mirror knows %d: this is an old or altered database; nothing is sent",
            size,
            kept[0],
        )
