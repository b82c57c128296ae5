# SPDX-License-Identifier: Apache-2.0
"""An approval that owes a step-up is refused without one; who showed it is recorded with their vote."""

import json

import pytest

from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Forbidden
from signoff.core.principal import Caller
from tests.world import World, envelope

RULE = "{id: sure, tool: book.create, when: 'true', then: approve, approve: {step_up: true}}"


class Provider:
    """Knows who has proved anew for which digest."""

    def __init__(self) -> None:
        self.shown: set[tuple[str, str]] = set()

    async def is_shown(self, caller: Caller, digest: str) -> bool:
        return (caller.id, digest) in self.shown


async def waiting(world: World) -> Action:
    page = envelope(workflow="sure")
    await world.publish(page.replace("  approval_roles:", f"  rules:\n    - {RULE}\n  approval_roles:"))
    await world.begin("sure")
    found = await world.propose()
    assert found.state is State.PENDING_APPROVAL
    return found


async def test_without_a_provider_nobody_approves_and_anybody_may_say_no(world: World) -> None:
    found = await waiting(world)
    with pytest.raises(Forbidden) as refused:
        await world.vote(found)
    assert refused.value.code == "approval.step_up_missing"
    assert await world.votes(found) == []
    assert (await world.get(found)).state is State.PENDING_APPROVAL
    assert (await world.vote(found, world.cast.bob, "reject")).state is State.REJECTED
    assert not world.target.written


async def test_with_a_provider_who_has_shown_it_for_this_digest_approves(world: World) -> None:
    provider = world.node.step_up = Provider()
    found = await waiting(world)
    provider.shown.add((world.cast.ann.id, "sha256:another"))
    with pytest.raises(Forbidden):
        await world.vote(found)
    provider.shown.add((world.cast.ann.id, found.digest or ""))
    with pytest.raises(Forbidden):
        await world.vote(found, world.cast.bob)
    done = await world.vote(found)
    assert done.state is State.SUCCEEDED
    assert [(vote.person_id, vote.assurance) for vote in await world.votes(found)] == [(world.cast.ann.id, "step_up")]
    shown = json.dumps(await world.document(done))
    assert '"step_up"' in shown
