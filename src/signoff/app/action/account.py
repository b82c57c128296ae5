# SPDX-License-Identifier: Apache-2.0
"""An account of one action in plain sentences: why it stands where it does, what was read before, what comes next.

Every sentence is built from what is recorded; nothing is asked of a target, and no model writes a word of it.
"""

from typing import Any, Final

from signoff.app.action.documents import Document, document, when
from signoff.app.action.explain import REASONS
from signoff.app.authority.lists import names
from signoff.app.world import World
from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import MOVES, Action, State
from signoff.core.principal import Caller
from signoff.ports.storage import Transaction

READS_MAX: Final = 50
_NEXT: Final = {
    State.DENIED: "it is denied",
    State.SUGGESTED: "it stays a suggestion, as the page's mode says",
    State.HELD: "it waits out its review window",
    State.PENDING_APPROVAL: "people are asked",
    State.APPROVED: "it is approved, and looked at once more",
    State.DISPATCHING: "it is sent, after a last look at everything",
    State.IN_DOUBT: "its outcome is not known, and the target is asked",
    State.NEEDS_PERSON: "a person finds out whether it was done",
    State.SUCCEEDED: "it is done, and receipted",
    State.FAILED: "it is proved not done",
    State.REVERSING: "it is undone by an action of its own",
    State.REVERSED: "it is undone",
    State.REVERSAL_FAILED: "an undo takes nothing back",
    State.CANCELLED: "it is withdrawn",
    State.REJECTED: "a person says no",
    State.EXPIRED: "nobody decides in time",
    State.VOIDED: "what was approved no longer holds",
    State.STOPPED: "the kill switch stops it",
}
_OUTCOMES: Final = {"deny": "denies it", "ask": "asks for people", "inert": "cannot be kept here, so it asks"}


async def account(world: World, caller: Caller, action_id: str) -> Document:
    """Return why an action stands where it does, what was read before it, and what comes next.

    An agent is told the verdict and its reason codes only (contract, section 1, "Facts").

    Raises:
        NotFound: there is none that the caller may see.
    """
    return await world.storage.view(caller.tenant, lambda tx: _account(world, tx, caller, action_id))


def _account(world: World, tx: Transaction, caller: Caller, action_id: str) -> Document:
    shown = document(world, tx, caller, action_id)
    told: Document = {
        "action_id": shown["action_id"],
        "verdict": shown["decision"]["verdict"],
        "reasons": list(dict.fromkeys(made["reason"] for made in shown["decision"]["checks"] if made["reason"])),
    }
    if caller.is_agent:
        return told
    action = tx.actions.get(shown["action_id"])
    assert action is not None
    return told | {
        "stands": shown["explain"],
        "why": [*_checks(shown), *_duties(action), *_votes(world, tx, shown)],
        "read": [*_reads(tx, action), *_facts(shown), *_preview(shown)],
        "next": _next(tx, action),
    }


def _checks(shown: Document) -> list[str]:
    """Return what each check said that did not simply pass, in its own words where they are kept."""
    made = shown["decision"]["checks"]
    spoke = [one for one in made if one["outcome"] != "pass" or one["detail"]]
    said = [f"The check `{one['check']}` {_outcome(one)}: {_because(one)}" for one in spoke]
    quiet = len(made) - len(spoke)
    return [*said, f"{quiet} other checks found nothing."] if quiet else said


def _outcome(one: Document) -> str:
    return _OUTCOMES.get(one["outcome"], "lets it pass")


def _because(one: Document) -> str:
    said = one["detail"] or REASONS.get(one["reason"]) or one["reason"] or "it gives no reason"
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _duties(action: Action) -> list[str]:
    found: list[str] = []
    for duty in duties_of(action):
        who = "the requester may be among them" if not duty.distinct_from_requester else "other than the requester"
        found.append(f"It owes {duty.count} of {' or '.join(duty.roles)}, {who}: {duty.reason}.")
    if action.hold_us is not None:
        found.append(f"It owes a review window of {action.hold_us // 1_000_000} s.")
    return found


def _votes(world: World, tx: Transaction, shown: Document) -> list[str]:
    votes = shown["approval"]["votes"] if shown["approval"] else []
    called = names(world, tx, {vote["person_id"] for vote in votes})
    found = []
    for vote in votes:
        word = "approved" if vote["decision"] == "approve" else "rejected"
        stale = "" if vote["counts"] else " That was another revision, so it does not count."
        why = f": {vote['reason']}" if vote["reason"] else ""
        found.append(f"{called[vote['person_id']]} ({vote['role']}) {word} it at {vote['at']}{why}.{stale}")
    return found


def _reads(tx: Transaction, action: Action) -> list[Document]:
    """Return what the run had read when the action was proposed, the latest last."""
    before = [
        one
        for one in tx.actions.of_run(action.run_id)
        if one.effect == "read" and one.state is State.SUCCEEDED and one.proposed_at < action.proposed_at
    ]
    return [
        {"what": "read", "tool": one.tool, "at": when(one.ended_at), "action_id": one.action_id}
        for one in before[-READS_MAX:]
    ]


def _facts(shown: Document) -> list[Document]:
    facts: Any = shown["facts"] or {}
    return [
        {"what": f"fact {name}", "tool": fact.get("tool"), "at": fact["at"], "action_id": None}
        for stage in ("decided", "claimed")
        for name, fact in (facts.get(stage) or {}).items()
    ]


def _preview(shown: Document) -> list[Document]:
    preview = shown["preview"]
    if preview is None:
        return []
    return [{"what": "preview", "tool": None, "at": shown["timestamps"]["decided"], "action_id": None}]


def _next(tx: Transaction, action: Action) -> list[str]:
    """Return what may come next, from the table of states, and by when."""
    moves = sorted(MOVES.get(action.state, ()), key=list(State).index)
    found = [f"It becomes `{state}` when {_NEXT[state]}." for state in moves]
    deadlines = []
    if action.expires_at is not None and State.EXPIRED in moves:
        deadlines.append(f"It expires at {when(action.expires_at)}.")
    if action.hold_until is not None and action.state is State.HELD:
        deadlines.append(f"Its review window is over at {when(action.hold_until)}.")
    if action.look_at is not None and action.state in (State.IN_DOUBT, State.FAILED):
        deadlines.append(f"The target is asked next at {when(action.look_at)}.")
    return [*deadlines, *found] or ["Nothing: it has ended."]
