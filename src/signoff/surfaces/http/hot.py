# SPDX-License-Identifier: Apache-2.0
"""The two calls an agent makes all the time, as plain ASGI: propose an action, and read one.

Nothing here goes through FastAPI's machinery or Starlette's; their description in `/openapi.json` is written by hand
(`described.py`). What a proposal is answered with is told from what its leg has in hand, where that is everything.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from signoff.app.action.documents import Document, document, told
from signoff.app.action.hand import Hand
from signoff.app.action.lists import require_current, require_holding
from signoff.app.action.propose import propose
from signoff.app.world import World
from signoff.core.action.lifecycle import CONCLUDED, Action
from signoff.core.errors import Malformed
from signoff.core.principal import Caller
from signoff.core.proposal import Proposal
from signoff.ports.storage import Transaction
from signoff.surfaces.http.bodies import ProposalBody, head_of, key_of, read_from
from signoff.surfaces.http.replies import send_json
from signoff.surfaces.http.waits import Waits

WAIT_MAX_S: Final = 60.0
SLICE_S: Final = 0.5
PAUSE_S: Final = 1.0  # of whoever found no place to wait
PROPOSE: Final = "/v1/runs/{run_id}/actions"
READ: Final = "/v1/actions/{action_id}"
METHODS: Final[Mapping[str, tuple[str, ...]]] = {PROPOSE: ("POST",), READ: ("GET", "HEAD")}
_RUNS, _ACTIONS, _OF_RUN = "/v1/runs/", "/v1/actions/", "/actions"


def place_of(path: str) -> tuple[str, str] | None:
    """Return the template of the hot call at a path, and the id in it; None for any other path."""
    if path.startswith(_RUNS) and path.endswith(_OF_RUN):
        template, named = PROPOSE, path[len(_RUNS) : -len(_OF_RUN)]
    elif path.startswith(_ACTIONS):
        template, named = READ, path[len(_ACTIONS) :]
    else:
        return None
    return (template, named) if named and "/" not in named else None


def hot_calls(world: World, is_draining: Callable[[], bool]) -> Mapping[str, ASGIApp]:
    """Return the hot calls by their templates; the id of each stands in `scope["hot"]`, and who calls in `caller`.

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

    async def propose_action(scope: Scope, receive: Receive, send: Send) -> None:
        template, run_id = scope["hot"]
        scope["template"] = template
        began = time.monotonic()
        caller, wait_s = scope["caller"], _wait_s(scope["query_string"])
        head = head_of(scope["headers"])
        said = await read_from(receive, head, ProposalBody)
        proposal = Proposal(
            run_id=run_id,
            tool=said.tool,
            args=said.args,
            claims=said.claims(),
            again=said.again,
            idempotency_key=key_of(head, said.idempotency_key),
        )
        hand = Hand()
        action = await propose(world, caller, proposal, min(wait_s, SLICE_S), hand)
        shown: Document | None = None
        if not action.is_concluded and (left_s := wait_s - (time.monotonic() - began)) > 0:
            shown = await waited(caller, action.action_id, left_s)
        elif hand.action is action:
            shown = _told(caller, action, hand, proposal)
        if shown is None:
            shown = await world.storage.view(caller.tenant, lambda tx: _shown(world, tx, caller, action), is_short=True)
        await send_json(send, shown, 200 if shown["state"] in CONCLUDED else 202)

    async def read_action(scope: Scope, receive: Receive, send: Send) -> None:
        template, action_id = scope["hot"]
        scope["template"] = template
        caller, wait_s = scope["caller"], _wait_s(scope["query_string"])
        shown = await world.storage.view(caller.tenant, lambda tx: _read(world, tx, caller, action_id), is_short=True)
        if wait_s and shown["state"] not in CONCLUDED:
            shown = await waited(caller, shown["action_id"], wait_s)
        await send_json(send, shown)

    return {PROPOSE: propose_action, READ: read_action}


def _told(caller: Caller, action: Action, hand: Hand, proposal: Proposal) -> Document | None:
    """Return the document of an action whose leg ended in this call; None where it has to be read."""
    if action.reason != "token_revoked":
        require_current(hand.agent, caller)
    return told(hand, proposal.args)


def _read(world: World, tx: Transaction, caller: Caller, action_id: str) -> Document:
    if caller.is_agent:
        require_holding(tx, caller)
    return document(world, tx, caller, action_id)


def _shown(world: World, tx: Transaction, caller: Caller, action: Action) -> Document:
    # What a revoked token proposed is recorded as denied, and told; what was there before is not for it to collect.
    if action.reason == "token_revoked":
        return document(world, tx, caller, action.action_id)
    return _read(world, tx, caller, action.action_id)


def _wait_s(query: bytes) -> float:
    """Return the seconds of `?wait=`, 0 without it.

    Raises:
        Malformed: it is no number from 0 to 60, or another parameter stands there.
    """
    if not query:
        return 0.0
    if (seconds := _seconds(query)) is not None:
        return seconds
    raise Malformed(
        what="The request is not what this call takes.",
        why="Its one parameter is `wait`, a number of seconds from 0 to 60.",
        fix="Write `?wait=30`, or leave it out.",
        path="query.wait",
    )


@lru_cache(maxsize=64)  # an agent waits for the same time again and again
def _seconds(query: bytes) -> float | None:
    try:
        ((name, text),) = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        seconds = float(text)
    except ValueError:
        return None
    return seconds if name == "wait" and 0.0 <= seconds <= WAIT_MAX_S else None
