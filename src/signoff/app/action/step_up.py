# SPDX-License-Identifier: Apache-2.0
"""How sure it is who votes: recorded with each vote, and told in the receipt."""

from signoff.app.world import World
from signoff.core.principal import Caller


async def assurance_of(world: World, caller: Caller, digest: str) -> str:
    """Return how a voter has proved who they are: `step_up` where a provider says so, else the key they called with."""
    if world.step_up is not None and await world.step_up.is_shown(caller, digest):
        return "step_up"
    return "api_key"
