# SPDX-License-Identifier: Apache-2.0
"""Ask the use cases for what each page shows: names for ids, times under the pages' names (`models.py`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from signoff import __version__
from signoff.app import evidence
from signoff.app.action import lists
from signoff.app.action.documents import Document, action_document, timeline, when
from signoff.app.authority import lists as authority
from signoff.app.world import World
from signoff.core.action.approval import Vote
from signoff.core.principal import Caller
from signoff.ports.storage import Transaction
from signoff.surfaces.http.replies import cursor_of, key_of
from signoff.surfaces.web import models

LINES = 25
SPENDING = 6


async def home(world: World, caller: Caller, cursor: str | None) -> models.Home:
    """Return the model of `/`."""
    acted = await lists.actions(world, caller, key_of(cursor, "act"), LINES)
    waiting = await lists.waiting_for_people(world, caller, LINES)
    halts = (await authority.halts(world, caller, None, LINES, True)).items
    signed = await _signed(world, caller, acted.items)
    voters = [vote.person_id for votes in signed.values() for vote in votes]
    ids = [line["agent_id"] for line in acted.items] + [halt["by"] for halt in halts] + voters
    names = await names_of(world, caller.tenant, ids)
    head = await evidence.head_shown(world, caller.tenant)
    return {
        "installation": {
            "name": world.installation,
            "tenant": caller.tenant,
            "version": __version__,
            "storage": "SQLite" if world.is_alone else "PostgreSQL",
        },
        "as_of": when(world.clock.now()) or "",
        "controls": await _controls(world, caller),
        "actions": [
            {
                "action_id": line["action_id"],
                "at": line["proposed"],
                "workflow": line["workflow"],
                "agent": names[line["agent_id"]],
                "tool": line["tool"],
                "state": line["state"],
                "why": line["explain"],
                "signers": [
                    {"person": names[vote.person_id], "decision": vote.decision} for vote in signed[line["action_id"]]
                ]
                if line["approval_id"]
                else None,
            }
            for line in acted.items
        ],
        "next_cursor": cursor_of(acted.after),
        "cursor": cursor,
        "waiting": [
            {
                "action_id": line["action_id"],
                "state": line["state"],
                "tool": line["tool"],
                "workflow": line["workflow"],
                "summary": line["summary"] or line["explain"],
                "since": line["since"],
                "roles": sorted({role for duty in line["owed"] for role in duty["roles"]}),
                "expires": line["expires"],
            }
            for line in waiting
        ],
        "halts": [
            {
                "halt_id": halt["halt_id"],
                "scope": halt["scope"],
                "reason": halt["reason"] or "(erased)",
                "by": names[halt["by"]],
                "since": halt["requested"],
                "in_flight": len(halt["in_flight"]),
            }
            for halt in halts
        ],
        "unreceipted": [
            {"system": swept.system, "tool": swept.tool, "count": len(swept.found), "at": when(swept.at) or ""}
            for swept in world.sweeps.of(caller.tenant)
            if swept.found
        ],
        "ledger": None
        if head is None
        else {
            "origin": head["origin"],
            "size": head["size"],
            "root": head["root"],
            "at": head["at"],
            "mirror": head["is_mirrored"],
        },
        "spend": [
            {
                "scope": line["workflow"],
                "window": f"task …{line['run_id'][-6:]}",
                "settled_usd_micros": line["settled_usd_micros"],
                "reserved_usd_micros": line["reserved_usd_micros"],
                "cap_usd_micros": line["cap_usd_micros"],
            }
            for line in (await lists.budgets(world, caller, None, SPENDING)).items
        ],
    }


async def action(
    world: World, caller: Caller, action_id: str
) -> tuple[models.Document, list[models.Event], models.ReceiptLink | None]:
    """Return document, ledger entries and receipt of an action, as its page shows them.

    Raises:
        NotFound: there is none that the caller may see.
    """
    shown = await action_document(world, caller, action_id)

    def recorded(tx: Transaction) -> tuple[str, list[Document]]:
        run = tx.runs.get(shown["run_id"])
        assert run is not None
        return run.environment, [one for one in timeline(tx, run) if one["stream"] == shown["action_id"]]

    environment, events = await world.storage.view(caller.tenant, recorded)
    approval = shown["approval"]
    voters = [vote["person_id"] for vote in approval["votes"]] if approval else []
    entered = [vote["person_id"] for event in events for vote in event.get("votes", ())]
    ids = [shown["agent_id"], shown["principal_id"], shown["proposed_by"], *voters, *entered]
    names = await names_of(world, caller.tenant, ids)
    document: Any = shown | {
        "agent": names[shown["agent_id"]],
        "principal": names[shown["principal_id"]],
        "asker": names[shown["proposed_by"]] if shown["proposed_by"] != shown["agent_id"] else None,
        "environment": environment,
        "decision": shown["decision"] if shown["decision"]["verdict"] else None,
        "error": shown["error"] or shown["resolution"],
        "timestamps": {
            "proposed": shown["timestamps"]["proposed"],
            "decided": shown["timestamps"]["decided"],
            "approved": _approved_at(events),
            "sent": shown["timestamps"]["claimed"],
            "concluded": shown["timestamps"]["ended"],
            "expires": approval["expires"] if approval else None,
        },
    }
    if approval:
        votes = [vote | {"person": names[vote["person_id"]]} for vote in approval["votes"]]
        document["approval"] = approval | {"votes": votes}
    receipt_id = shown["receipt_id"]
    link: models.ReceiptLink | None = {"receipt_id": receipt_id} if receipt_id else None
    return document, [_event(event, shown, names) for event in events], link


async def receipt(world: World, caller: Caller, receipt_id: str) -> models.ReceiptView | None:
    """Return a receipt as its page shows it, None until it is signed.

    Raises:
        NotFound: there is none that the caller may see.
    """
    found = await evidence.receipt_shown(world, caller, receipt_id)
    if found is None:
        return None
    ids = [found["agent"], found["principal"], *(vote["person"] for vote in found["voters"])]
    names = await names_of(world, caller.tenant, ids)
    view: Any = found | {
        "agent": names[found["agent"]],
        "principal": names[found["principal"]],
        "voters": [vote | {"person": names[vote["person"]]} for vote in found["voters"]],
    }
    return view  # type: ignore[no-any-return]


async def names_of(world: World, tenant: str, ids: list[str]) -> dict[str, str]:
    """Return what people call these people and agents; the id where that is not known, or erased."""
    return await world.storage.view(tenant, lambda tx: authority.names(world, tx, set(ids)))


def _event(event: Document, shown: Document, names: dict[str, str]) -> models.Event:
    votes, reason = event.get("votes") or [], event["set"].get("reason")
    by = votes[0]["person_id"] if votes else shown["proposed_by"] if event["seq"] == 1 else None
    return {
        "at": event["at"],
        "type": event["type"],
        "by": names[by] if by else None,
        "note": reason if reason != event["type"].partition(".")[2] else None,
        "seq": event["seq"],
        "index": event["index"],
    }


async def _signed(world: World, caller: Caller, lines: Sequence[Document]) -> dict[str, list[Vote]]:
    """Return by action what people said of it as it stands; words on an earlier digest count for nothing."""

    def body(tx: Transaction) -> dict[str, list[Vote]]:
        return {
            line["action_id"]: [vote for vote in tx.actions.votes(line["action_id"]) if vote.digest == line["digest"]]
            for line in lines
            if line["approval_id"]
        }

    return await world.storage.view(caller.tenant, body)


def _approved_at(events: list[Document]) -> str | None:
    return next((event["at"] for event in reversed(events) if event["type"] == "action.approved"), None)


async def _controls(world: World, caller: Caller) -> list[models.Control]:
    """Return what envelopes ask for that nothing keeps, and then what this node keeps by itself."""
    asked: dict[tuple[str, str], list[models.Asking]] = {}
    cleared: list[models.Control] = []
    for envelope in (await authority.envelopes(world, caller)).items:
        cleared += [_cleared("tier", envelope, tier, _TIERS) for tier in envelope["tiers"]]
        cleared += [_cleared("class D", envelope, tool, _REVIEWS) for tool in envelope["class_d"]]
        for inert in envelope["inert"]:
            asked.setdefault((inert["control"], inert["consequence"]), []).append(
                {
                    "workflow": envelope["name"],
                    "version": envelope["version"],
                    "key": inert["asked_by"],
                    "line": inert["line"],
                }
            )
    controls: list[models.Control] = [
        {"name": name, "state": "inert", "note": consequence, "asked_by": asking}
        for (name, consequence), asking in asked.items()
    ]
    sending: models.Control = {
        "name": "sending",
        "state": "on",
        "note": "Claims and sends what is allowed or approved.",
    }
    if world.is_read_only:
        sending = {"name": "sending", "state": "off", "note": "The database is an old or altered one: nothing is sent."}
    kept: list[models.Control] = [
        sending,
        {"name": "kill switch", "state": "on", "note": "Looked at in the transaction of each claim."},
        {"name": "drift check", "state": "on", "note": "The preview is asked for again right before a write is sent."},
        {"name": "receipts", "state": "on", "note": "Each outcome is signed after its commit."},
    ]
    return controls + cleared + kept


_TIERS = {
    "open": "Open: what its rules allow goes unattended in mode autonomous.",
    "changed": "Closed: it was opened for another wording of its rules.",
    "closed": "Closed: what its rules would allow asks.",
}
_REVIEWS = {
    "open": "Reviewed: two people of different roles approve each call.",
    "changed": "Denied: its review was of another wording.",
    "closed": "Denied until somebody of the role compliance has reviewed it.",
}


def _cleared(what: str, envelope: Document, one: Document, notes: Mapping[str, str]) -> models.Control:
    """Return a tier or a class D tool as a control of its workflow."""
    name = f"{what} {one['name']} of {envelope['name']}"
    return {"name": name, "state": "on" if one["state"] == "open" else "off", "note": notes[one["state"]]}
