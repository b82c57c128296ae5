# SPDX-License-Identifier: Apache-2.0
"""The two calls an agent makes all the time: what is told at once is what is read later, and to nobody else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from signoff.app.authority import people
from signoff.core.action.lifecycle import State
from signoff.surfaces.http.api import create_app
from signoff.surfaces.http.hot import PROPOSE, READ, place_of
from tests.world import World, new_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as opened:
        await opened.under(mode="autonomous", asks=False)
        yield opened


@pytest.fixture
async def agent(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    token, _ = await people.mint_token(world.node, world.cast.admin, world.cast.agent.id)
    app = httpx2.ASGITransport(create_app(world.node))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(transport=app, base_url="http://t", headers=headers) as http:
        yield http


@pytest.mark.parametrize(
    ("body", "plan", "status", "state"),
    [
        ({"tool": "book.note", "args": {"text": "x"}}, "ok", 200, "succeeded"),
        ({"tool": "book.note", "args": {"text": "x"}}, "error:shelf_closed", 200, "failed"),
        ({"tool": "book.note", "args": {"b": 1.0, "a": [{"d": 1, "c": 2}]}}, "ok", 200, "denied"),
        ({"tool": "book.find", "args": {"name": "b", "key": "a"}}, "ok", 200, "succeeded"),
        ({"tool": "book.note", "args": {"text": "x"}}, "lost_before", 202, "in_doubt"),
    ],
)
async def test_what_a_proposal_is_answered_with_is_what_is_read_afterwards(
    world: World, agent: httpx2.AsyncClient, body: Any, plan: str, status: int, state: str
) -> None:
    world.target.plan.append(plan)
    told = await agent.post(f"/v1/runs/{world.run_id}/actions", json=body)
    assert (told.status_code, told.json()["state"]) == (status, state)
    read = await agent.get(f"/v1/actions/{told.json()['action_id']}")
    assert read.content == told.content
    assert read.headers.keys() == told.headers.keys()


async def test_a_token_that_is_revoked_while_its_write_is_sent_is_told_nothing(
    world: World, agent: httpx2.AsyncClient
) -> None:
    execute = world.target.execute

    async def revoking(call: Any) -> Any:
        await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
        return await execute(call)

    world.target.execute = revoking  # type: ignore[method-assign]
    answer = await agent.post(f"/v1/runs/{world.run_id}/actions", json={"tool": "book.note", "args": {"text": "x"}})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated.token_revoked")
    assert [action.state for action in await world.actions()] == [State.SUCCEEDED]


async def test_what_a_revoked_token_proposes_is_denied_and_told(world: World, agent: httpx2.AsyncClient) -> None:
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
    path = f"/v1/runs/{world.run_id}/actions"
    answer = await agent.post(path, json={"tool": "book.note", "args": {"text": "x"}})
    assert (answer.status_code, answer.json()["reason"]) == (200, "token_revoked")
    assert world.target.calls == []


async def test_a_body_in_many_chunks_is_read_as_one_and_bounded_in_all(world: World, agent: httpx2.AsyncClient) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        yield b'{"tool": "book.note", "args": {"text": "'
        for _ in range(size):
            yield b"x" * 1024
        yield b'"}}'

    path, headers = f"/v1/runs/{world.run_id}/actions", {"Content-Type": "application/json"}
    small = await agent.post(path, content=pieces(3), headers=headers)
    assert small.json()["args"]["proposed"] == {"text": "x" * 3072}
    large = await agent.post(path, content=pieces(300), headers=headers)
    assert (large.status_code, large.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v1/runs/run_1/actions", (PROPOSE, "run_1")),
        ("/v1/runs//actions", None),
        ("/v1/runs/actions", None),
        ("/v1/runs/a/b/actions", None),
        ("/v1/runs/run_1/actions/", None),
        ("/v1/actions/act_1", (READ, "act_1")),
        ("/v1/actions/act_1/undo", None),
        ("/v1/actions/", None),
        ("/v1/actions", None),
    ],
)
def test_only_the_two_calls_themselves_are_hot(path: str, place: tuple[str, str] | None) -> None:
    assert place_of(path) == place


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("GET", "/v1/runs/r/actions", "POST"), ("DELETE", "/v1/actions/a", "GET, HEAD")]
)
async def test_another_method_on_a_hot_path_is_refused_and_told_which_would_do(
    agent: httpx2.AsyncClient, method: str, path: str, allow: str
) -> None:
    answer = await agent.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
