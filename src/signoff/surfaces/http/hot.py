# SPDX-License-Identifier: Apache-2.0
"""The two calls an agent makes all the time, as plain Starlette routes: propose an action, and read one.

Nothing here goes through FastAPI's machinery; their description in `/openapi.json` is written by hand
(`described.py`).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signoff.app.action.documents import Document, document
from signoff.app.action.lists import require_holding
from signoff.app.action.propose import propose
from signoff.app.world import World
from signoff.core.action.lifecycle import CONCLUDED, Action
from signoff.core.errors import Malformed
from signoff.core.principal import Caller
from signoff.core.proposal import Proposal
from signoff.ports.storage import Transaction
from signoff.surfaces.http.bodies import ProposalBody, idempotency_key, read
from signoff.surfaces.http.replies import caller_in, json_reply
from signoff.surfaces.http.waits import Waits

WAIT_MAX_S: Final = 60.0
SLICE_S: Final = 0.5
PAUSE_S: Final = 1.0  # of whoever found no place to wait
PROPOSE: Final = "/v1/runs/{run_id}/actions"
READ: Final = "/v1/actions/{action_id}"


def hot_routes(world: World, is_draining: Callable[[], bool]) -> list[Route]:
    """Return the routes of the hot path.

    Args:
        is_draining: tells whether the node is about to stop; whoever waits is then answered at once.
    """

    waits = Waits()

    async def waited(caller: Caller, action_id: str, seconds: float) -> Document:
        ends = time.monotonic() + seconds
        with waits.place(caller.id) as has_place:
            if has_place:
                while not is_draining() and (left_s := ends - time.monotonic()) > 0:
                    action = await world.storage.view(
                        caller.tenant, lambda tx: tx.actions.get(action_id), is_short=True
                    )
                    if action is None or action.is_concluded:
                        break
                    await world.bell.wait(action_id, min(left_s, SLICE_S))
            else:
                await asyncio.sleep(min(seconds, PAUSE_S))
        return await world.storage.view(caller.tenant, lambda tx: _read(world, tx, caller, action_id), is_short=True)

    async def propose_action(request: Request) -> Response:
        request.scope["template"] = PROPOSE
        began = time.monotonic()
        caller, wait_s = caller_in(request), _wait_s(request)
        said = await read(request, ProposalBody)
        proposal = Proposal(
            run_id=request.path_params["run_id"],
            tool=said.tool,
            args=said.args,
            claims=said.claims(),
            again=said.again,
            idempotency_key=idempotency_key(request, said.idempotency_key),
        )
        action = await propose(world, caller, proposal, min(wait_s, SLICE_S))
        left_s = wait_s - (time.monotonic() - began)
        if not action.is_concluded and left_s > 0:
            shown = await waited(caller, action.action_id, left_s)
        else:
            shown = await world.storage.view(caller.tenant, lambda tx: _shown(world, tx, caller, action), is_short=True)
        return json_reply(shown, 200 if shown["state"] in CONCLUDED else 202)

    async def read_action(request: Request) -> Response:
        request.scope["template"] = READ
        caller, wait_s, action_id = caller_in(request), _wait_s(request), request.path_params["action_id"]
        shown = await world.storage.view(caller.tenant, lambda tx: _read(world, tx, caller, action_id), is_short=True)
        if wait_s and shown["state"] not in CONCLUDED:
            shown = await waited(caller, shown["action_id"], wait_s)
        return json_reply(shown)

    return [Route(PROPOSE, propose_action, methods=["POST"]), Route(READ, read_action, methods=["GET"])]


def _read(world: World, tx: Transaction, caller: Caller, action_id: str) -> Document:
    if caller.is_agent:
        require_holding(tx, caller)
    return document(world, tx, caller, action_id)


def _shown(world: World, tx: Transaction, caller: Caller, action: Action) -> Document:
    # What a revoked token proposed is recorded as denied, and told; what was there before is not for it to collect.
    if action.reason == "token_revoked":
        return document(world, tx, caller, action.action_id)
    return _read(world, tx, caller, action.action_id)


def _wait_s(request: Request) -> float:
    """Return the seconds of `?wait=`, 0 without it.

    Raises:
        Malformed: it is no number from 0 to 60, or another parameter stands there.
    """
    query: bytes = request.scope["query_string"]
    if not query:
        return 0.0
    try:
        ((name, text),) = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        seconds = float(text)
    except ValueError:
        name, seconds = "", -1.0
    if name == "wait" and 0.0 <= seconds <= WAIT_MAX_S:
        return seconds
    raise Malformed(
        what="The request is not what this call takes.",
        why="Its one parameter is `wait`, a number of seconds from 0 to 60.",
        fix="Write `?wait=30`, or leave it out.",
        path="query.wait",
    )
