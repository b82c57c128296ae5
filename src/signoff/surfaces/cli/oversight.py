# SPDX-License-Identifier: Apache-2.0
"""What helps whoever operates, from a terminal: accounts, several votes at once, sweeps, and the reversal runbook."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.surfaces.cli.artifact import show_document
from signoff.surfaces.cli.ids import action_id_of
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import NO, YES, Id, Shell

if TYPE_CHECKING:
    from signoff.surfaces.cli.client import Client

SWEEPING_S = 300.0
_WHY = {
    "unknown": "no action has this key",
    "no_key": "it was written without a key",
    "not_done": "its action says that it was not done",
}


def explain(shell: Shell, action: Id) -> int:
    """Say in plain sentences why an action stands where it does, what was read before it, and what comes next."""
    client = shell.client()
    found = client.get(f"/v1/actions/{action_id_of(client, action)}/explain")
    shell.answer(found)
    if shell.is_json:
        return YES
    shell.line(visible(found.get("stands") or f"{found['verdict']}: {', '.join(found['reasons'])}"))
    for heading, name in (("Why", "why"), ("Next", "next")):
        shell.line(f"{heading}:")
        for sentence in found.get(name) or ():
            shell.line(f"  {visible(sentence)}")
    rows = [(one["what"], one["tool"], one["at"], one["action_id"]) for one in found.get("read") or ()]
    if rows:
        shell.table(("what", "tool", "at", "action"), rows, "Read before")
    return YES


def approve_all(
    shell: Shell, client: "Client", documents: Sequence[Mapping[str, Any]], reason: str, *, is_yes: bool
) -> int:
    """Show each of several actions, ask once, and approve exactly those; the server refuses what is not alike."""
    if not shell.is_json:
        for document in documents:
            show_document(shell, document, None)
    if not shell.confirm(f"Approve exactly these {len(documents)}?", is_yes=is_yes):
        shell.line("Nothing was decided.")
        return NO
    items = [
        {"approval_id": (one["approval"] or one["hold"])["approval_id"], "digest": one["digest"]} for one in documents
    ]
    found = client.post("/v1/approvals/batch", {"items": items, "decision": "approve", "reason": reason})
    shell.answer(found)
    rows = [
        (one["action_id"], one["state"], one["explain"] if one["error"] is None else one["error"]["why"])
        for one in found["items"]
    ]
    shell.table(("action", "state", "why"), rows)
    return YES if all(one["is_counted"] for one in found["items"]) else NO


def runbook(
    shell: Shell, system: Annotated[str | None, typer.Argument(metavar="SYSTEM", help="Only this one.")] = None
) -> int:
    """Write how each write under contract is taken back, as Markdown: by whom, how, until when, and when it worked."""
    found = shell.client().get("/v1/runbook", system=system)
    shell.answer(found["items"])
    if not shell.is_json:
        for line in found["markdown"].splitlines():
            shell.line(visible(line))
    return YES


def sweep(
    shell: Shell,
    since: Annotated[str | None, typer.Option(help="Beginning of the period, RFC 3339; by default 7 days ago.")] = None,
) -> int:
    """Find writes that no receipt stands for, in every system that lists its writes."""
    found = shell.client().post("/v1/sweeps", {"since": since} if since else {}, timeout_s=SWEEPING_S)
    shell.answer(found)
    rows = [(one["system"], one["tool"], one["listed"], len(one["found"]), one["problem"]) for one in found["items"]]
    shell.table(("system", "tool", "writes", "without a receipt", "problem"), rows)
    if not rows:
        shell.line("No tool contract says how its system lists writes: see `sweep` in the reference of pages.")
        return YES
    past = [
        (one["tool"], each["key"], _WHY.get(each["why"], each["why"]), each["action_id"])
        for one in found["items"]
        for each in one["found"]
    ]
    if past:
        shell.table(("tool", "key", "why", "action"), past, "Writes without a receipt")
        shell.line(visible("Take them back in the system, and change the credentials that wrote them."))
    return NO if past or any(one["problem"] for one in found["items"]) else YES
