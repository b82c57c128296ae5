# SPDX-License-Identifier: Apache-2.0
"""Change what a run's page says once it is loaded, as if it had been published so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from signoff.core.authority.terms import Envelope
from signoff.ports.storage import Transaction
from tests.world import TENANT, World


async def change(world: World, change_of: Callable[[Envelope], Envelope] | None = None, **changed: Any) -> None:
    """Change the terms of the present run's page in this node's memory; a restart forgets it."""
    digest = (await world.run()).envelope

    def body(tx: Transaction) -> None:
        page = world.node.shelf.envelope(tx, digest)
        page = change_of(page) if change_of else page
        world.node.shelf._envelopes[digest] = replace(page, **changed)

    await world.node.storage.view(TENANT, body)
