# SPDX-License-Identifier: Apache-2.0
"""What surfaces show: the action document, a run's timeline, the inbox, and a receipt's bundle.

A person sees everything; an agent's token sees verdict and reason codes only, and never the key of a write that is
not concluded (contract, section 1, "Facts").
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import orjson

from signoff.app import epochs
from signoff.app.action.case import erased_at, found
from signoff.app.action.explain import explain
from signoff.app.action.facts import known_when
from signoff.app.action.hand import Hand
from signoff.app.action.late import late_find
from signoff.app.action.masking import masked_action, masks, masks_action, may_leave
from signoff.app.action.outcome import outcome_name, outcome_of
from signoff.app.action.receipts import statement_of
from signoff.app.action.steps import steps_of
from signoff.app.world import World
from signoff.core.action import checks, plan
from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import CONCLUDED, Action, State
from signoff.core.action.preview import from_value
from signoff.core.errors import NotFound
from signoff.core.principal import Caller
from signoff.core.redaction import redacted
from signoff.core.run import Run, RunState
from signoff.ledger.bundle import Opening, Proof, bundle
from signoff.ledger.canonical import canonical
from signoff.ledger.dsse import envelope
from signoff.ledger.merkle import inclusion_proof
from signoff.ports.storage import Transaction

Document = dict[str, Any]


@lru_cache(maxsize=1024)  # bodies of one batch share an instant
def when(us: int | None) -> str | None:
    """Return RFC 3339 in UTC with microseconds for an instant."""
    return (
        None
        if us is None
        else datetime.fromtimestamp(us / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


async def action_document(world: World, caller: Caller, action_id: str) -> Document:
    """Return the document of an action that the caller may see.

    Raises:
        NotFound: there is none such.
    """
    return await world.storage.view(caller.tenant, lambda tx: document(world, tx, caller, action_id), is_short=True)


async def wait_for(world: World, caller: Caller, action_id: str, seconds: float) -> Document:
    """Return the document once the action is concluded, or after `seconds`, whichever is first."""
    until = world.clock.monotonic() + seconds
    while True:
        look = partial(_state_of, action_id=action_id)
        action = await world.storage.view(caller.tenant, look, is_short=True)
        left = until - world.clock.monotonic()
        if action.is_concluded or left <= 0:
            return await action_document(world, caller, action_id)
        await world.bell.wait(action_id, min(left, 0.25))


def _state_of(tx: Transaction, action_id: str) -> Action:
    return found(tx.actions.get(action_id), action_id)


def document(world: World, tx: Transaction, caller: Caller, action_id: str) -> Document:
    """Return the action document (contract, section 4)."""
    action = tx.actions.get(action_id) or tx.actions.by_approval(action_id)
    run = tx.runs.get(action.run_id) if action else None
    if action is None or run is None or (caller.is_agent and run.agent_id != caller.id):
        raise found_not(action_id)
    is_person = not caller.is_agent
    shown = _document(
        action,
        run,
        made=_made(world, tx, action) if is_person else _remarks(action.checks),
        args=_kept(world, tx, action),
        preview=_preview(world, tx, action) if is_person else _digest_of_preview(action),
        approval=_approval(world, tx, action) if action.owed else None,
        outcome=outcome_of(world, tx, action) or {},
        erased=_erased(erased_at(tx, action, run)),
    )
    shown["plan"] = plan_shown(tx, action)
    if is_person:
        shown["late_find"] = late_find(world, tx, action)
        shown["facts"] = known_when(world, tx, action, run, when)
        shown["claims"] = world.keyring.open(tx, action.action_id, "claims")
        if action.state in CONCLUDED:
            shown["key"] = action.key
        if masks_action(tx, world.shelf.envelope(tx, run.envelope), run, action):
            return masked_action(shown)
    return shown


def told(hand: Hand, args: Mapping[str, Any]) -> Document | None:
    """Return the document of a new action for the agent that proposed it, as `document` would read it, or None.

    Everything it shows was in hand when the leg ended; an approval that is owed has no votes yet. None means: read it.

    Args:
        args: of the proposal.
    """
    action, run = hand.action, hand.run
    if action is None or run is None or action.revision != 1 or action.args_approved or action.reverses:
        return None
    value = as_kept(args)
    return _document(
        action,
        run,
        made=_remarks(action.checks),
        args={"proposed": value, "approved": None, "effective": value},
        preview=_digest_of_preview(action),
        approval=_asked(action, []) if action.owed else None,
        outcome=as_kept(hand.outcome) if hand.outcome is not None else {},
    )


def as_kept(value: Mapping[str, Any]) -> Document:
    """Return a value as it is read back once it is sealed: members in canonical order, numbers in their one form."""
    kept: Document = orjson.loads(canonical(dict(value)))
    return kept


def _document(
    action: Action,
    run: Run,
    *,
    made: list[Document],
    args: Document,
    preview: Document | None,
    approval: Document | None,
    outcome: Mapping[str, Any],
    erased: Document | None = None,
) -> Document:
    return {
        "action_id": action.action_id,
        "run_id": action.run_id,
        "workflow": run.workflow,
        "tool": action.tool,
        "effect": action.effect,
        "class": action.risk,
        "state": str(action.state),
        "reason": action.reason,
        "agent_id": run.agent_id,
        "principal_id": run.principal_id,
        "proposed_by": action.by,
        "decision": {"verdict": action.verdict, "checks": made},
        "args": args,
        "erased": erased,
        "digest": action.digest,
        "revision": action.revision,
        "reverses": action.reverses,
        "reversed_by": action.reversed_by,
        "plan": None,
        "preview": preview,
        "approval": approval,
        "hold": _hold(action),
        "result": outcome.get("result"),
        "error": outcome.get("error"),
        "resolution": outcome.get("resolution"),
        "receipt_id": action.receipt_id if action.ended_at is not None else None,
        "cost": {"reserved_usd_micros": action.reserved_usd_micros, "settled_usd_micros": action.settled_usd_micros},
        "attempts": action.fence,
        "timestamps": {
            "proposed": when(action.proposed_at),
            "decided": when(action.decided_at),
            "claimed": when(action.claimed_at),
            "ended": when(action.ended_at),
        },
        "explain": explain(action, run),
    }


def _erased(at: tuple[int, str] | None) -> Document | None:
    """Return when what was kept was erased, and by what; None while it is kept."""
    return None if at is None else {"at": when(at[0]), "by": at[1]}


def brief(action: Action, run: Run) -> Document:
    """Return the line of a list."""
    return {
        "action_id": action.action_id,
        "run_id": action.run_id,
        "workflow": run.workflow,
        "agent_id": run.agent_id,
        "tool": action.tool,
        "class": action.risk,
        "state": str(action.state),
        "reason": action.reason,
        "approval_id": action.approval_id,
        "digest": action.digest,
        "proposed": when(action.proposed_at),
        "expires": when(action.expires_at),
        "held_until": when(action.hold_until) if action.state is State.HELD else None,
        "explain": explain(action, run),
    }


def plan_shown(tx: Transaction, action: Action) -> Document | None:
    """Return the plan that an action is a step of, with where each of its steps stands; None where it stands alone."""
    if action.plan_id is None:
        return None
    return {
        "plan_id": action.plan_id,
        "step": action.plan_step,
        "digest": action.digest,
        "steps": [
            {
                "action_id": step.action_id,
                "step": step.plan_step,
                "tool": step.tool,
                "state": str(step.state),
                "reason": step.reason,
            }
            for step in steps_of(tx, action)
        ],
    }


async def plan_document(world: World, caller: Caller, action: Action) -> Document:
    """Return a plan as whoever proposed it is answered: every step as it stands."""

    def body(tx: Transaction) -> Document:
        steps = steps_of(tx, action)
        return {
            "plan_id": action.plan_id,
            "run_id": action.run_id,
            "digest": next((step.digest for step in steps if step.digest), None),
            "is_concluded": all(step.is_concluded for step in steps),
            "steps": [document(world, tx, caller, step.action_id) for step in steps],
        }

    return await world.storage.view(caller.tenant, body)


def run_document(world: World, tx: Transaction, run: Run, *, for_agent: bool = False) -> Document:
    """Return the document of a run with its actions in brief; for people what was said in it may be masked."""
    said: Document = {
        "task": world.keyring.open(tx, run.run_id, "task") or {},
        "summary": world.keyring.open(tx, run.run_id, "summary") if run.summary else None,
    }
    actions = tx.actions.of_run(run.run_id)
    spent = sum(action.settled_usd_micros for action in actions)
    reserved = sum(action.reserved_usd_micros for action in actions)
    page = world.shelf.envelope(tx, run.envelope)
    if not for_agent and masks(tx, page, run):
        said = redacted(said)
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "envelope": {"version": page.version, "digest": run.envelope},
        "mode": str(page.mode),
        "environment": run.environment,
        "agent_id": run.agent_id,
        "principal_id": run.principal_id,
        "delegation_id": run.delegation_id,
        "state": str(run.state),
        "turned": turned(run) | {"reason": _turned_why(world, tx, run)} if run.turned_at is not None else None,
        "erased": _erased(None if run.erased_at is None else (run.erased_at, "retention")),
        "task": said["task"].get("task"),
        "labels": said["task"].get("labels", {}),
        "summary": said["summary"],
        "budgets": {
            "max_tool_calls": page.budgets.calls_max,
            "cap_usd_micros": page.budgets.cap_usd_micros,
            "settled_usd_micros": spent,
            "reserved_usd_micros": reserved,
        },
        "actions": [brief(action, run) for action in actions],
        "timestamps": {"started": when(run.started_at), "ended": when(run.ended_at)},
    }


def turned(run: Run) -> Document:
    """Return who paused or resumed a run last, and when."""
    return {"by": run.turned_by, "at": when(run.turned_at), "is_paused": run.state is RunState.PAUSED}


def _turned_why(world: World, tx: Transaction, run: Run) -> object:
    """Return the reason that was given; it is named by the entry that it came with."""
    if run.turned is None:
        return None
    names = (f"turn.{seq}" for seq in range(run.seq, 0, -1))
    return next((said for name in names if (said := world.keyring.open(tx, run.run_id, name)) is not None), None)


def timeline(tx: Transaction, run: Run) -> list[Document]:
    """Return what happened in a run in order: each entry of the run and of its actions, by time."""
    streams = [run.run_id, *(action.action_id for action in tx.actions.of_run(run.run_id))]
    found_: list[Document] = []
    held = epochs.read(tx, "")
    for stream in streams:
        for index, data in tx.ledger.entries_of(stream):
            entry = json.loads(data)
            found_.append(
                {
                    "at": when(entry["at"]),
                    "type": entry["type"],
                    "stream": stream,
                    "seq": entry["seq"],
                    "index": None if index is None else index - held.at(index).first,
                    "epoch": None if index is None else held.at(index).number,
                    "set": {name: value for name, value in entry["set"].items() if name != "key"},
                    **({"votes": entry["rows"]["votes"]} if "votes" in entry.get("rows", {}) else {}),
                }
            )
    return sorted(found_, key=lambda item: (item["at"], item["stream"], item["seq"]))


def receipt_bundle(
    world: World, tx: Transaction, caller: Caller, receipt_id: str, *, is_leaving: bool = True
) -> bytes | None:
    """Return the canonical bytes of a receipt, with its proof once there is one; None until it is signed.

    Args:
        is_leaving: it is handed out, so that openings with personal data stay here where its page says so.

    Raises:
        NotFound: there is none such for this caller.
    """
    receipt = tx.receipts.get(receipt_id)
    action = tx.actions.get(receipt.action_id) if receipt else None
    run = tx.runs.get(action.run_id) if action else None
    if receipt is None or action is None or run is None or (caller.is_agent and run.agent_id != caller.id):
        raise NotFound(
            what=f"There is no receipt {receipt_id[:48]}.",
            why="No receipt that you may see has this id; only writes that were sent have one.",
            fix="Take `receipt_id` from the action's document.",
            code="receipt.unknown",
        )
    if receipt.signature is None or receipt.key_id is None:
        return None
    said = statement_of(tx, receipt)
    signed = envelope(said, receipt.key_id, receipt.signature)
    place = tx.ledger.locate(receipt.action_id, receipt.seq)
    openings = _openings(world, tx, action, said) if not caller.is_agent else {}
    if is_leaving:
        page = world.shelf.envelope(tx, run.envelope)
        openings = {name: one for name, one in openings.items() if may_leave(page, one.value)}
    epoch = None if place is None else world.logs[tx.tenant].at(place)
    # What an old backup had promised and not yet integrated lies in the log that followed: no proof fits its promise.
    if place is None or epoch is None or epoch.origin != receipt.log:
        return bundle(signed, openings=openings)
    head, index = tx.ledger.head(epoch.origin), place - epoch.first
    if head is None or index >= head.size:
        return bundle(signed, openings=openings)
    hashes = inclusion_proof(index, head.size, epoch.reader(tx.ledger.nodes()))
    return bundle(signed, proof=Proof(index, head.size, tuple(hashes)), checkpoint=head.note, openings=openings)


def found_not(action_id: str) -> NotFound:
    """Return the error for an action that the caller may not see, or that does not exist: one and the same."""
    return NotFound(
        what=f"There is no action {action_id[:48]}.",
        why="No action that you may see has this id.",
        fix="Copy the id from the answer to the proposal, or list actions with `signoff runs show RUN`.",
        code="action.unknown",
    )


def _kept(world: World, tx: Transaction, action: Action) -> Document:
    first = world.keyring.open(tx, action.action_id, "args.1")
    effective = first if action.revision == 1 else world.keyring.open(tx, action.action_id, f"args.{action.revision}")
    return {"proposed": first, "approved": effective if action.args_approved else None, "effective": effective}


def _made(world: World, tx: Transaction, action: Action) -> list[Document]:
    """Return the checks of a decision for a person, details included."""
    details: Mapping[str, str] = world.keyring.open(tx, action.action_id, f"decision.{action.revision}") or {}
    return [
        {"check": name, "outcome": outcome, "reason": reason, "detail": details.get(name, "")}
        for name, outcome, reason in checks.read(action.checks)
    ]


def _remarks(line: str | None) -> list[Document]:
    """Return the checks of a decision for an agent: those that did not simply pass."""
    return [{"check": name, "outcome": outcome, "reason": reason} for name, outcome, reason in _not_passed(line)]


@lru_cache(maxsize=256)  # the checks of one tool under one envelope mostly read the same
def _not_passed(line: str | None) -> tuple[tuple[str, str, str], ...]:
    return tuple(made for made in checks.read(line) if made[1] != "pass")


def _digest_of_preview(action: Action) -> Document | None:
    # What an approver would see is not for the agent that asks.
    return {"digest": action.preview} if action.preview else None


def _preview(world: World, tx: Transaction, action: Action) -> Document | None:
    value = world.keyring.open(tx, action.action_id, f"preview.{action.revision}") if action.preview else None
    if value is None:
        return None
    seen = from_value(value)
    return {"digest": action.preview, "summary": seen.summary, "changes": value["changes"]}


def _approval(world: World, tx: Transaction, action: Action) -> Document:
    revisions = {action.digest: action.revision}
    return _asked(
        action,
        [
            {
                "person_id": vote.person_id,
                "decision": vote.decision,
                "role": vote.role,
                "assurance": vote.assurance,
                "at": when(vote.at),
                "digest": vote.digest,
                "counts": vote.digest == action.digest,
                "reason": world.keyring.open(
                    tx,
                    action.action_id,
                    f"vote.{revisions.get(vote.digest, 1)}.{vote.person_id}"
                    if action.plan_id is None
                    else plan.name_of_reason(action, vote.digest, vote.person_id),
                ),
            }
            for vote in tx.actions.votes(action.action_id)
        ],
    )


def _asked(action: Action, votes: list[Document]) -> Document:
    return {
        "approval_id": action.approval_id,
        "owed": [
            {
                "roles": list(duty.roles),
                "count": duty.count,
                "distinct_from_requester": duty.distinct_from_requester,
                "distinct_roles": duty.distinct_roles,
                "step_up": duty.step_up,
                "reason": duty.reason,
            }
            for duty in duties_of(action)
        ],
        "expires": when(action.expires_at),
        "deferred": None
        if action.deferred_until is None
        else {"by": action.seen_by, "at": when(action.seen_at), "until": when(action.deferred_until)},
        "escalated": when(action.escalated_at),
        "votes": votes,
    }


def _hold(action: Action) -> Document | None:
    """Return the review window that is owed: `end` is what comes when it is over."""
    if action.hold_us is None:
        return None
    return {
        "approval_id": action.approval_id,
        "window_s": action.hold_us // 1_000_000,
        "end": action.hold_end,
        "until": when(action.hold_until),
        "expires": when(action.expires_at) if action.state is State.HELD else None,
        "released_by": action.released_by,
    }


def _openings(world: World, tx: Transaction, action: Action, statement: bytes) -> dict[str, Opening]:
    """Return what opens the statement's commitments, as far as its keys still exist."""
    committed: Mapping[str, str] = json.loads(statement)["predicate"]["commitments"]
    names = {
        "args_proposed": "args.1",
        "args_approved": f"args.{action.revision}",
        "args_effective": f"args.{action.revision}",
        "preview": f"preview.{action.revision}",
        "image": f"image.{action.fence}",
    }
    openings: dict[str, Opening] = {}
    for name in committed:
        try:
            place = names.get(name) or outcome_name(tx, action) or ""
            opened = world.keyring.opening(tx, action.action_id, place)
        except NotFound:
            continue
        if opened is not None:
            openings[name] = Opening(*opened)
    return openings
