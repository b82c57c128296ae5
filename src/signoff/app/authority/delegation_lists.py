# SPDX-License-Identifier: Apache-2.0
"""Delegations as callers see them: people all of the tenant, an agent those it holds or passed on."""

from signoff.app.action.case import require_standing
from signoff.app.action.delegated import held_of
from signoff.app.action.documents import Document, when
from signoff.app.action.lists import Page
from signoff.app.authority.delegations import found, state_of
from signoff.app.authority.lists import finding_document, publication_document
from signoff.app.authority.permissions import Shown
from signoff.app.authority.policies import Published
from signoff.app.world import World
from signoff.core.authority.delegation import Delegation, chain_of
from signoff.core.errors import NotFound
from signoff.core.principal import Caller
from signoff.ports.storage import Transaction

AT_ONCE = 200


async def delegations(world: World, caller: Caller, before: str | None, limit: int) -> Page:
    """Return a page of delegations, newest first."""

    def body(tx: Transaction) -> Page:
        require_standing(tx, caller)
        mine: list[Delegation] = []
        last = before
        while len(mine) <= limit and (page := tx.authority.delegations(last, AT_ONCE)):
            last = page[-1].delegation_id
            mine += [one for one in page if not caller.is_agent or caller.id in (one.agent_id, one.by)]
        shown = [document(world, tx, one) for one in mine[:limit]]
        return Page(shown, mine[limit - 1].delegation_id if len(mine) > limit else None)

    return await world.storage.view(caller.tenant, body)


async def delegation_document(world: World, caller: Caller, delegation_id: str) -> Document:
    """Return one delegation, and what was done under it.

    Raises:
        NotFound: there is none such that the caller may see.
    """

    def body(tx: Transaction) -> Document:
        require_standing(tx, caller)
        return document(world, tx, found(tx.authority.delegation(delegation_id), delegation_id, caller))

    return await world.storage.view(caller.tenant, body)


def document(world: World, tx: Transaction, one: Delegation) -> Document:
    """Return what there is to say of a delegation; `used` and what was spent are those of its parts too."""
    tree = tx.authority.delegated_from(one.root_id)
    held = held_of(world, tx, tree, one, all_=True)
    try:
        purpose = world.keyring.open(tx, one.delegation_id, "purpose")
    except NotFound:  # erased
        purpose = None
    return {
        "delegation_id": one.delegation_id,
        "agent_id": one.agent_id,
        "grantor_id": one.grantor_id,
        "by": one.by,
        "parent": one.parent_id,
        "state": state_of(chain_of(tree, one.delegation_id), tx.now),
        "tools": list(one.tools),
        "environments": list(one.environments),
        "not_before": when(one.not_before),
        "not_after": when(one.not_after),
        "condition": held.condition.text if held.condition else None,
        "uses_max": one.uses_max,
        "usd_micros_max": one.usd_micros_max,
        "used": held.used,
        "spent_usd_micros": held.spent_usd_micros,
        "purpose": purpose,
        "granted": when(one.granted_at),
        "revoked": {"by": one.revoked_by, "at": when(one.revoked_at)} if one.is_revoked else None,
    }


def roles_document(shown: Shown) -> Document:
    """Return the roles page in force, and every version."""
    return {
        "version": shown.roles.version if shown.roles else None,
        "digest": shown.roles.digest if shown.roles else None,
        "text": shown.roles.text if shown.roles else None,
        "roles": sorted(shown.roles.permits) if shown.roles else [],
        "versions": [publication_document(one) for one in shown.versions],
    }


def published_roles(published: Published) -> Document:
    """Return a roles page that was just published, with what is worth mending in it."""
    findings = [finding_document(finding) for finding in published.findings]
    return publication_document(published.publication) | {"findings": findings}
