# SPDX-License-Identifier: Apache-2.0
"""Actions and runs from a terminal: look at what waits, decide on exactly what was shown, take back.

A decision names the digest of the document that was printed. What agents say stands apart from what Signoff found,
and neither is ever read as markup.
"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.core.errors import Conflict, Malformed, SignoffError
from signoff.surfaces.cli.artifact import show_document
from signoff.surfaces.cli.ids import action_id_of, first_of, run_id_of
from signoff.surfaces.cli.names import called
from signoff.surfaces.cli.oversight import approve_all
from signoff.surfaces.cli.plan import show_plan
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import NO, YES, Data, Id, Shell

if TYPE_CHECKING:
    from signoff.surfaces.cli.client import Client

Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids, each as much of its beginning or end as is unique.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the decision.")]
OUTCOME_WAIT_S = 15
_UNDER_WAY = ("approved", "dispatching", "in_doubt", "proposed")
_REFUSED = ("denied", "voided", "failed", "stopped", "expired", "reversal_failed")


def runs(shell: Shell, limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20) -> int:
    """List runs, newest first."""
    client = shell.client()
    found = first_of(client, "/v1/runs", limit)
    shell.answer(found)
    name = called(shell, client)
    rows = [
        (one["run_id"], one["workflow"], name(one["agent_id"]), one["state"], one["timestamps"]["started"])
        for one in found
    ]
    shell.table(("run", "workflow", "agent", "state", "started"), rows)
    return YES


def show_run(shell: Shell, run: Id) -> int:
    """Show a run: its task, its budgets, and what became of each action."""
    client = shell.client()
    found = client.get(f"/v1/runs/{run_id_of(client, run)}")
    shell.answer(found)
    budgets, name = found["budgets"], called(shell, client)
    turned = found["turned"]
    facts = [
        ("run", found["run_id"]), ("state", found["state"]),
        *(
            [("paused" if turned["is_paused"] else "resumed", f"{turned['at']} by {turned['by']}"),
             ("because", turned["reason"])]
            if turned
            else []
        ),
        ("task", found["task"]), ("workflow", found["workflow"]),
        ("envelope", f"{found['envelope']['version']}  {found['envelope']['digest']}"), ("mode", found["mode"]),
        ("environment", found["environment"]), ("agent", name(found["agent_id"])), ("for", name(found["principal_id"])),
        ("spent", f"{dollars(budgets['settled_usd_micros'])} of {dollars(budgets['cap_usd_micros'])}"),
        ("summary", found["summary"]),
    ]  # fmt: skip
    shell.table(("run", "value"), facts)
    rows = [(one["action_id"], one["tool"], one["state"], one["explain"]) for one in found["actions"]]
    shell.table(("action", "tool", "state", "why"), rows, "Actions")
    return YES


def timeline(shell: Shell, run: Id) -> int:
    """Show what happened in a run, in order: each entry of it and of its actions."""
    client = shell.client()
    found = client.get(f"/v1/runs/{run_id_of(client, run)}/timeline")
    shell.answer(found)
    rows = [
        (one["at"], one["type"], one["stream"], one["index"], one["set"].get("state"), one["set"].get("reason"))
        for one in found["items"]
    ]
    shell.table(("at", "what", "of", "entry", "state", "reason"), rows)
    return YES


def complete(
    shell: Shell,
    run: Id,
    outcome: Annotated[str, typer.Option(help="completed or failed.")] = "completed",
    summary: Annotated[str, typer.Option(help="What came of the task.")] = "",
) -> int:
    """Close a run."""
    client = shell.client()
    found = client.post(f"/v1/runs/{run_id_of(client, run)}/complete", {"outcome": outcome, "summary": summary})
    shell.answer(found)
    shell.line(f"Run {found['run_id']} is {found['state']}.")
    return YES


def inbox(
    shell: Shell,
    role: Annotated[str | None, typer.Option(help="Only what this role could decide.")] = None,
    is_list: Annotated[bool, typer.Option("--list", help="Only list; ask nothing.")] = False,
) -> int:
    """Show what waits for people; on a terminal, go through it and decide."""
    client = shell.client()
    waiting = list(client.items("/v1/approvals", role=role))
    stuck = list(client.items("/v1/actions", state="needs_person")) if role is None else []
    shell.answer(waiting + stuck)
    if shell.is_json:
        return YES
    if not waiting and not stuck:
        shell.line("Nothing waits.")
        return YES
    name = called(shell, client)
    rows = [
        (
            one["action_id"],
            one["tool"],
            one["workflow"],
            name(one["agent_id"]),
            one["state"],
            _what(one),
            one["expires"],
        )
        for one in waiting + stuck
    ]
    shell.table(("action", "tool", "workflow", "agent", "state", "what", "expires"), rows)
    for one in stuck:
        shell.line(f"{one['action_id']}: look into the target, then `signoff resolve {one['action_id']} --found ...`.")
    if is_list:
        return YES
    stories = stories_of(client)
    for one in waiting:
        document = client.get(f"/v1/actions/{one['action_id']}")
        show_document(shell, document, stories.get(document["tool"]))
        show_plan(shell, client, document)
        if shell.is_interactive and document["state"] == "pending_approval" and not _decide(shell, client, document):
            break
    return YES


def _what(line: Mapping[str, Any]) -> str:
    """Return what a line of the inbox is about; of a plan how many steps it has, and what the first would change."""
    said = str(line.get("summary") or line["explain"])
    return f"Plan of {len(line['plan']['steps'])} steps: {said}" if line.get("plan") else said


def show(shell: Shell, action: Id, data: Data = None) -> int:
    """Show one action: what it changes, every check, who decided, and what became of it."""
    if data is not None:
        document = _read_offline(shell, data, action)
        shell.answer(document)
        show_document(shell, document, None)
        return YES
    client = shell.client()
    document = client.get(f"/v1/actions/{action_id_of(client, action)}")
    shell.answer(document)
    show_document(shell, document, None if shell.is_json else stories_of(client).get(document["tool"]))
    show_plan(shell, client, document)
    return YES


def approve(
    shell: Shell,
    actions: Ids,
    reason: Reason = "",
    digest: Annotated[str | None, typer.Option(help="Approve only if this is still what waits.")] = None,
    yes: Yes = False,
) -> int:
    """Show what would change, ask, and approve exactly that; several at once if all are of one kind."""
    client = shell.client()
    if len(actions) > 1:
        if digest is not None:
            raise Malformed("Which one has this digest?", "Several are named.", "Give --digest with one ID.")
        return approve_all(shell, client, [_waiting(client, one) for one in actions], reason, is_yes=yes)
    document = _waiting(client, actions[0])
    if digest is not None and digest != document["digest"]:
        raise Conflict(
            what="Nothing was approved: something else waits now.",
            why=f"You named {digest}; what waits is {document['digest']}, revision {document['revision']}.",
            fix=f"Look at it with `signoff show {document['action_id']}`.",
            code="approval.digest_mismatch",
        )
    if not shell.is_json:
        show_document(shell, document, stories_of(client).get(document["tool"]))
        show_plan(shell, client, document)
    if not shell.confirm("Approve exactly this?", is_yes=yes):
        shell.line("Nothing was decided.")
        return NO
    return _told(shell, client, _vote(client, document, "approve", reason), "Approved")


def reject(shell: Shell, action: Id, reason: Reason, yes: Yes = False) -> int:
    """Say no to what waits; one no is enough."""
    client = shell.client()
    document = _waiting(client, action)
    if not shell.is_json:
        show_document(shell, document, None)
        show_plan(shell, client, document)
    if shell.is_interactive and not shell.confirm("Reject this?", is_yes=yes):
        shell.line("Nothing was decided.")
        return NO
    found = _vote(client, document, "reject", reason)
    shell.answer(found)
    shell.line(f"Rejected. {visible(found['explain'])}")
    return YES


def corrections(shell: Shell, limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 1000) -> int:
    """List what people edited before they approved, newest first: labelled data, with --json for export."""
    found = first_of(shell.client(), "/v1/corrections", limit)
    shell.answer(found)
    rows = [
        (
            one["action_id"],
            one["tool"],
            one["state"],
            json.dumps(one["proposed"]),
            json.dumps(one["edits"][-1]["args"]),
            one["edits"][-1]["reason"],
        )
        for one in found
    ]
    shell.table(("action", "tool", "state", "proposed", "edited", "because"), rows)
    return YES


def defer(
    shell: Shell,
    action: Id,
    until: Annotated[str | None, typer.Option(help="A time, such as 2026-03-01T18:00:00Z.")] = None,
    by: Annotated[str | None, typer.Option("--for", help="How long from now, such as 4h or 2d.")] = None,
    reason: Reason = "",
) -> int:
    """Put off what waits: a hold ends later; an approval is out of your inbox until then, and keeps its deadline."""
    client = shell.client()
    if (until is None) == (by is None):
        raise Malformed("Until when?", "One time or one span is named.", "Give --until TIME or --for SPAN.")
    document = _waiting(client, action)
    found = _vote(client, document, "defer", reason, until=until or _from_now(document, by or ""))
    shell.answer(found)
    shell.line(f"Put off. {visible(found['explain'])}")
    return YES


def _from_now(document: Mapping[str, Any], span: str) -> str:
    """Return the time that lies a span from now, or from the end of a hold, whichever is later.

    Raises:
        Malformed: it is no span.
    """
    from signoff.core.authority.reading import duration_us

    us = duration_us(span)
    if us is None:
        raise Malformed(f"{span[:40]!r} is no span of time.", "It is a whole number and s, m, h or d.", "Write 4h.")
    begin = datetime.now(UTC)
    hold = document.get("hold") if document["state"] == "held" else None
    if hold and hold["until"]:
        begin = max(begin, datetime.fromisoformat(hold["until"]))
    return (begin + timedelta(microseconds=us)).isoformat()


def edit(
    shell: Shell,
    action: Id,
    args: Annotated[Path, typer.Option(help="A JSON file with all arguments; - is standard input.")],
    reason: Reason = "",
    yes: Yes = False,
) -> int:
    """Change the arguments of what waits: decided and previewed anew, all votes void."""
    client = shell.client()
    changed = read_arguments(args)
    document = _waiting(client, action)
    before = document["args"]["effective"] or {}
    rows = [
        (
            name,
            json.dumps(before[name]) if name in before else None,
            json.dumps(changed[name]) if name in changed else None,
        )
        for name in sorted({*before, *changed})
        if name not in before or name not in changed or before[name] != changed[name]
    ]
    shell.table(("argument", "now", "edited"), rows, "Edit")
    if not rows:
        shell.say("The file holds the same arguments; nothing was edited.")
        shell.answer(document)
        return NO
    if not shell.confirm("Edit it so?", is_yes=yes):
        shell.line("Nothing was changed.")
        return NO
    found = _vote(client, document, "edit", reason, args=changed)
    shell.answer(found)
    if not shell.is_json:
        show_document(shell, found, None)
        shell.line(f"Edited; approve what you now see with `signoff approve {found['action_id']}`.")
    return YES


def cancel(shell: Shell, action: Id, reason: Reason = "") -> int:
    """Withdraw what was not sent."""
    client = shell.client()
    found = client.post(f"/v1/actions/{action_id_of(client, action)}/cancel", {"reason": reason})
    shell.answer(found)
    shell.line(f"Cancelled. {visible(found['explain'])}")
    return YES


def resolve(
    shell: Shell,
    action: Id,
    found: Annotated[str, typer.Option(help="done or not_done: what you found in the target.")],
    evidence: Annotated[str, typer.Option(help="What shows it: an id in the target, a screen, a ticket.")],
    reason: Reason = "",
) -> int:
    """Say what became of a write that nobody but a person could find out, or that failed and was found late."""
    client = shell.client()
    if found not in ("done", "not_done"):
        raise Malformed(f"{found!r} is no finding.", "A write was done or not_done.", "Say which.", code="cli.found")
    body = {"found": found, "evidence": evidence, "reason": reason or evidence}
    document = client.post(f"/v1/actions/{action_id_of(client, action)}/resolve", body)
    shell.answer(document)
    shell.line(f"Resolved: {document['state']}. {visible(document['explain'])}")
    return YES


def undo(
    shell: Shell,
    action: Annotated[str | None, typer.Argument(metavar="[ACTION]", help="The write to take back.")] = None,
    run: Annotated[str | None, typer.Option(help="Take back everything this run wrote, newest first.")] = None,
) -> int:
    """Take a write back by a governed action of its own; refused where its target has moved."""
    client = shell.client()
    if (action is None) == (run is None):
        raise Malformed("What shall be undone?", "One action or one run is named.", "Give ACTION or --run RUN.")
    if run is not None:
        return _undo_run(shell, client, run_id_of(client, run))
    assert action is not None
    reversal = client.post(f"/v1/actions/{action_id_of(client, action)}/undo", {})
    if not shell.is_json:
        show_document(shell, reversal, None)
    if reversal["state"] == "pending_approval" and shell.is_interactive:
        if shell.confirm("Approve this reversal?", is_yes=False):
            return _told(shell, client, _vote(client, reversal, "approve", ""), "Approved")
        shell.line(f"It waits: `signoff approve {reversal['action_id']}`.")
        return YES
    return _told(shell, client, reversal, "Proposed")


def _undo_run(shell: Shell, client: "Client", run_id: str) -> int:
    found = client.post(f"/v1/runs/{run_id}/undo", {})
    shell.answer(found)
    rows = [
        (one["action_id"], one["reverses"], one["tool"], one["state"], one["explain"]) for one in found["reversals"]
    ]
    shell.table(("reversal", "of", "tool", "state", "why"), rows)
    if found["left"]:
        shell.table(("left alone", "why"), [(one["action_id"], one["why"]) for one in found["left"]])
    return NO if found["left"] else YES


def stories_of(client: "Client") -> dict[str, dict[str, Any]]:
    """Return what is known of each tool, above all how it is taken back; nothing where that cannot be asked."""
    try:
        return {one["tool"]: one for one in client.items("/v1/tools")}
    except SignoffError:
        return {}


def read_arguments(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        Malformed: it holds none.
    """
    from signoff.core.proposal import read_json

    data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    value = read_json(data)
    if isinstance(value, dict):
        return value
    raise Malformed(
        what=f"{path} holds no arguments.",
        why="Arguments are one JSON object.",
        fix="Take `args.effective` from `signoff show ID --json`, and change it.",
        code="cli.args",
    )


def dollars(micros: int | None) -> str:
    """Return an amount for people."""
    from signoff.core import money

    return "no cap" if micros is None else money.dollars(micros)


def _read_offline(shell: Shell, data: Path, action_id: str) -> dict[str, Any]:
    """Return the document of an action from a data directory; the whole id is needed there."""
    import asyncio

    from signoff.app.action.documents import action_document
    from signoff.app.world import TENANT
    from signoff.settings import Settings
    from signoff.surfaces.cli.offline import installation_of, reader

    async def read() -> dict[str, Any]:
        async with shell.doors.reading(Settings(data=data, installation=installation_of(data))) as world:
            return await action_document(world, reader(TENANT), action_id)

    return asyncio.run(read())


def _waiting(client: "Client", given: str) -> dict[str, Any]:
    """Return the document of an action that waits for a decision.

    Raises:
        Conflict: it does not.
    """
    document: dict[str, Any] = client.get(f"/v1/actions/{action_id_of(client, given)}")
    if document["state"] == "held" or (document["state"] == "pending_approval" and document["approval"]):
        return document
    raise Conflict(
        what="There is nothing to decide.",
        why=f"Action {document['action_id']} is {document['state']}. {document['explain']}",
        fix="List what waits with `signoff inbox`.",
        code="approval.not_pending",
    )


def _vote(client: "Client", document: Mapping[str, Any], decision: str, reason: str, **more: Any) -> dict[str, Any]:
    """Send a decision on exactly the document that was shown."""
    body = {"decision": decision, "digest": document["digest"], "reason": reason, **more}
    waits = document["approval"] or document["hold"]
    found: dict[str, Any] = client.post(f"/v1/approvals/{waits['approval_id']}", body)
    return found


def _told(shell: Shell, client: "Client", document: dict[str, Any], word: str) -> int:
    """Say what became of an action, waiting a little for what is under way."""
    if document["state"] in _UNDER_WAY:
        document = client.get(f"/v1/actions/{document['action_id']}", wait=OUTCOME_WAIT_S)
    shell.answer(document)
    shell.line(f"{word}. {document['state']}: {visible(document['explain'])}")
    if document["state"] == "pending_approval":
        shell.line(f"It waits: `signoff approve {document['action_id']}`.")
    if document.get("receipt_id"):
        shell.line(f"Receipt: signoff receipt {document['receipt_id']} -o FILE")
    return NO if document["state"] in _REFUSED else YES


def _decide(shell: Shell, client: "Client", document: dict[str, Any]) -> bool:
    """Ask for a decision on what was shown; False ends the round."""
    answer = shell.ask("Approve exactly this? [y = yes, N = leave it, r = reject, q = quit] ").strip().lower()
    try:
        if answer in ("y", "yes"):
            _told(shell, client, _vote(client, document, "approve", ""), "Approved")
        elif answer in ("r", "reject"):
            if reason := shell.ask("Why? ").strip():
                shell.line(visible(_vote(client, document, "reject", reason)["explain"]))
            else:
                shell.line("A rejection has a reason; nothing was decided.")
    except SignoffError as error:  # one that cannot be decided does not end the round
        shell.line(visible(f"{error.what} {error.why} {error.fix}"))
    return answer not in ("q", "quit")
