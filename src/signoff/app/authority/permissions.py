# SPDX-License-Identifier: Apache-2.0
"""The roles page: publish what people's roles permit, and show it. It holds for every run at once (ADR 0025)."""

from dataclasses import dataclass
from typing import Final

from signoff.app import record
from signoff.app.authority.policies import Published
from signoff.app.world import World
from signoff.core.authority.page import Finding, Severity
from signoff.core.authority.permission import Roles
from signoff.core.authority.publication import Publication, same_version
from signoff.core.authority.role_reading import load_roles
from signoff.core.errors import Malformed
from signoff.core.principal import Caller, require, require_person
from signoff.ports.storage import Transaction

KIND: Final = "roles"
NAME: Final = "roles"
"""There is one such page; publications are found by kind and name."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The page in force, None before the first is published; and every version, newest first."""

    roles: Roles | None
    versions: tuple[Publication, ...]


async def checked_roles(world: World, tenant: str, text: str, file: str) -> tuple[Roles | None, list[Finding]]:
    """Return the roles page that `text` says, and everything there is to mend in it under the contracts in force."""
    pages = await world.storage.view(tenant, world.shelf.pages)
    return load_roles(text, file, pages.tools.keys())


async def publish_roles(world: World, caller: Caller, text: str, file: str = "roles.yaml") -> Published:
    """Publish the roles page: from its commit on a call needs a role that permits it. Its versions never change.

    No version is withdrawn: without one in force nothing would be asked of roles. Publish another instead.

    Raises:
        Forbidden: the caller is no admin.
        Malformed: code `page.refused`; its findings are in `detail`.
        Conflict: this version has other content, or is not the newest.
    """
    require(caller, "admin")
    roles, findings = await checked_roles(world, caller.tenant, text, file)
    if roles is None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        raise Malformed(
            what="The roles page was not published.",
            why=f"It has {len(errors)} error(s); the first: {errors[0].what} {errors[0].why}",
            fix=f"Line {errors[0].line}: {errors[0].fix}",
            code="page.refused",
            findings=[str(finding) for finding in findings],
        )
    publication_id = world.mint("rol")

    def body(tx: Transaction) -> Publication:
        if earlier := tx.authority.published(KIND, NAME, roles.version):
            return same_version(earlier, roles.digest)
        row = Publication(
            tx.tenant, publication_id, 0, "", KIND, NAME, roles.version, roles.digest, caller.id, tx.now, text
        )
        return record.begin(tx, row, "roles.published")

    published = await world.storage.transact(caller.tenant, body, guards=("pages",))
    await world.storage.view(caller.tenant, world.shelf.pages)
    return Published(published, tuple(findings))


async def show_roles(world: World, caller: Caller) -> Shown:
    """Return the roles page in force, and every version that was published.

    Raises:
        Forbidden: an agent asked; whom it may act for is no business of its own.
    """
    require_person(caller)

    def body(tx: Transaction) -> Shown:
        return Shown(world.shelf.pages(tx).roles, tuple(tx.authority.versions(KIND, NAME)))

    return await world.storage.view(caller.tenant, body)
