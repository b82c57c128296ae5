# SPDX-License-Identifier: Apache-2.0
"""A page is published against what its tools' servers say, and runs on for as long as its version lives."""

import pytest

from signoff.app.authority import policies
from signoff.core.errors import Malformed
from tests.app.test_facts import DENY, page
from tests.world import TENANT, World


async def test_a_misspelt_field_is_refused_when_the_page_is_published(world: World) -> None:
    """With its line and column; the schema of the tool that knows the fact says what is there."""
    text = page(DENY.replace("is_open", "is_opne"))
    with pytest.raises(Malformed) as refused:
        await world.publish(text)
    findings = refused.value.detail["findings"]
    assert isinstance(findings, list)
    [told] = [one for one in findings if ": error:" in one]
    rows = text.split("\n")
    line = next(at for at, row in enumerate(rows, start=1) if "is_opne" in row)
    assert told.startswith(f"envelope.yaml:{line}:{rows[line - 1].index('facts.') + 1}: error:")
    assert "Did you mean `facts.shelf.is_open`?" in told


async def test_a_server_that_does_not_answer_is_no_obstacle_and_is_told(world: World) -> None:
    """The page is read with dynamic names then; a misspelt field denies."""
    world.target.is_down = True
    envelope, findings = await policies.checked(world.node, TENANT, page(DENY), "page.yaml")
    world.target.is_down = False
    assert envelope is not None
    assert "envelope.fields_unchecked" not in [one.code for one in findings]  # it was asked half a minute ago
    world.clock.advance(3600)
    world.target.is_down = True
    envelope, findings = await policies.checked(world.node, TENANT, page(DENY), "page.yaml")
    world.target.is_down = False
    assert envelope is not None
    assert [one.code for one in findings if one.code == "envelope.fields_unchecked"]


async def test_what_checking_a_page_asks_never_makes_a_tool_look_gone(world: World) -> None:
    """Anybody may check a page while others' actions are decided."""
    await world.publish(page(DENY))
    await policies.checked(world.node, TENANT, page(DENY), "page.yaml")
    tool, contract = (await world.node.storage.view(TENANT, world.node.shelf.pages)).tools["book.create"]
    assert world.node.systems.live(contract.server, tool) is not None
