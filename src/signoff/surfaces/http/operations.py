# SPDX-License-Identifier: Apache-2.0
"""Routes for running a node: is it alive, is it ready, what does it measure, and what can be called."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from signoff.app.evidence import require_auditor, vitals
from signoff.app.world import TENANT, World
from signoff.core.errors import SignoffError, Unavailable
from signoff.surfaces.http import answers as a
from signoff.surfaces.http.described import call
from signoff.surfaces.http.metrics import MEDIA_TYPE, Metrics
from signoff.surfaces.http.replies import caller_in, json_reply

PATIENCE_S = 2.0


def operations_routes(
    world: World, metrics: Metrics, is_draining: Callable[[], bool], described: Callable[[], dict[str, Any]]
) -> APIRouter:
    """Return the routes of operations.

    Args:
        is_draining: tells whether the node is about to stop.
        described: returns the OpenAPI description.
    """
    routes = APIRouter()

    @routes.get("/healthz", tags=["operations"], **_open(call(a.Alive)))
    async def alive() -> Response:
        """The process answers. Needs no credential and tells nothing else."""
        return json_reply({"is_alive": True})

    @routes.get("/readyz", tags=["operations"], **_open(call(a.Ready)))
    async def ready() -> Response:
        """The node can take work: the database answers, and nothing keeps it from writing. Else 503, with reasons."""
        if reasons := await not_ready(world, is_draining()):
            raise Unavailable(
                what="This node takes no work now.",
                why=f"{'; '.join(reasons)}.",
                fix="Send work to another node, or wait; `signoff doctor` says more.",
                code="node.not_ready",
                is_ready=False,
                reasons=reasons,
            )
        return json_reply({"is_ready": True, "reasons": []})

    @routes.get("/metrics", tags=["operations"], **call(None, media="text/plain"))
    async def scrape(request: Request) -> Response:
        """Metrics in Prometheus' text format. Takes auditor, operator or admin."""
        caller = caller_in(request)
        require_auditor(caller)
        return Response(metrics.text(await vitals(world, caller.tenant)), media_type=MEDIA_TYPE)

    @routes.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return json_reply(described())

    return routes


async def not_ready(world: World, is_draining: bool) -> list[str]:
    """Return why the node takes no work now; nothing where it does."""
    reasons = []
    if is_draining:
        reasons.append("draining: the node is about to stop")
    if world.is_read_only:
        reasons.append("read_only: the database is an old or altered one; run `signoff ledger verify`")
    try:
        async with asyncio.timeout(PATIENCE_S):
            await world.storage.view(TENANT, lambda tx: tx.ledger.head(world.origin(TENANT)))
    except TimeoutError:
        reasons.append(f"database: no answer within {PATIENCE_S:g} s")
    except SignoffError as error:
        reasons.append(f"database: {error.code}")
    except Exception as error:  # noqa: BLE001  # whatever the engine raises, the node is not ready
        reasons.append(f"database: {type(error).__name__}")
    return reasons


def _open(described: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a call that asks for no credential."""
    return described | {"openapi_extra": {"security": []}}
