# SPDX-License-Identifier: Apache-2.0
"""Routes of the log, for those who audit it: checkpoints, entries, proofs, verifier keys."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from signoff.app import evidence
from signoff.app.audit import AuditReport
from signoff.app.world import World
from signoff.core.money import INT_MAX
from signoff.surfaces.http import answers as a
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import Asked, caller_in, index_of, json_reply

TEXT = "text/plain; charset=utf-8"
Number = Annotated[int, Query(ge=0, le=INT_MAX)]
Size = Annotated[int | None, Query(ge=0, le=INT_MAX)]
Epoch = Annotated[int | None, Query(ge=1, le=INT_MAX, description="Of the log; the present one where left out.")]


class AskedEntries(Asked):
    first: int = Field(0, alias="from", ge=0, le=INT_MAX, description="The index to begin with.")
    epoch: int | None = Field(None, ge=1, le=INT_MAX, description="Of the log; the present one where left out.")


def evidence_routes(world: World) -> APIRouter:
    """Return the routes of the log; all take auditor, operator or admin."""
    routes = APIRouter()

    @routes.get("/v1/ledger/checkpoint", tags=["ledger"], **_checkpoint())
    async def read_checkpoint(request: Request, size: Size = None, epoch: Epoch = None) -> Response:
        """The last published checkpoint, or that of a size. `note` is a C2SP signed note; as text/plain, it alone."""
        caller = caller_in(request)
        head = await evidence.checkpoint(world, caller, size, epoch)
        accepted = request.headers.get("accept", "")
        if "application/json" not in accepted and "text/" in accepted:
            return Response(head.note, media_type=TEXT)
        told = {"epoch": evidence.epoch_of(world, caller, epoch).number, "epochs": evidence.epochs_of(world, caller)}
        return json_reply({"origin": head.origin, "size": head.size, "note": head.note} | told)

    @routes.get("/v1/ledger/keys", tags=["ledger"], **call(None, media="text/plain"))
    async def read_verifier_keys(request: Request) -> Response:
        """The verifier keys of log and receipts, as `signoff verify --key` takes them. Keep a copy elsewhere."""
        evidence.require_auditor(caller_in(request))
        return Response(world.log_keys, media_type=TEXT)

    @routes.get("/v1/ledger/entries", tags=["ledger"], **call(a.Entries))
    async def list_entries(request: Request, asked: Annotated[AskedEntries, Query()]) -> Response:
        """Integrated entries in order, byte for byte."""
        first = asked.first if asked.cursor is None else index_of(asked.cursor)
        items, following = await evidence.entries(world, caller_in(request), first, asked.limit, asked.epoch)
        return json_reply({"items": items, "next_cursor": None if following is None else str(following)})

    @routes.get("/v1/ledger/proof/inclusion", tags=["ledger"], **call(a.Inclusion))
    async def prove_inclusion(request: Request, index: Number, size: Size = None, epoch: Epoch = None) -> Response:
        """That an entry lies in the tree of a size (RFC 9162, section 2.1.3)."""
        return json_reply(await evidence.inclusion(world, caller_in(request), index, size, epoch))

    @routes.get("/v1/ledger/proof/consistency", tags=["ledger"], **call(a.Consistency))
    async def prove_consistency(request: Request, first: Number, second: Size = None, epoch: Epoch = None) -> Response:
        """That the tree of one size is the beginning of that of another (RFC 9162, section 2.1.4)."""
        return json_reply(await evidence.consistency(world, caller_in(request), first, second, epoch))

    @routes.post("/v1/ledger/verify", tags=["ledger"], **call(a.Audited, body=b.VerifyBody, needs_body=False))
    async def verify_ledger(request: Request) -> Response:
        """Verify the whole log again, and compare every row of state with it; takes as long as the log is large.

        A server vouches for itself here. `signoff ledger verify --data` and an auditor's own keys depend on nobody.
        """
        caller, body = caller_in(request), await b.read(request, b.VerifyBody)
        report = await evidence.verify(world, caller, [text.encode() for text in body.against])
        return json_reply(as_document(report))

    return routes


def as_document(report: AuditReport) -> dict[str, Any]:
    """Return a report as it is answered."""
    told = {name: getattr(report, name) for name in a.Audited.model_fields if hasattr(report, name)}
    findings = [asdict(finding) for finding in report.findings]
    return told | {"verified": report.is_sound, "root": report.root.hex(), "findings": findings}


def _checkpoint() -> dict[str, Any]:
    described = call(a.Checkpoint)
    described["responses"][200]["content"]["text/plain"] = {"schema": {"type": "string"}}
    return described
