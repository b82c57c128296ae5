# SPDX-License-Identifier: Apache-2.0
"""Tiers and class D reviews from a terminal: look, open or review what was seen, close again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from signoff.core.errors import NotFound
from signoff.surfaces.cli.names import called
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import NO, YES, Shell

if TYPE_CHECKING:
    from signoff.surfaces.cli.client import Client

Workflow = Annotated[str, typer.Argument(metavar="WORKFLOW")]
TierName = Annotated[str, typer.Argument(metavar="TIER")]
ToolName = Annotated[str, typer.Argument(metavar="TOOL")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept, for whoever asks who opened this.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
STATES = {"open": "open", "changed": "closed: it was open for another wording", "closed": "closed"}
REVIEWED = {"open": "reviewed", "changed": "not reviewed: another wording was", "closed": "not reviewed"}


def list_tiers(shell: Shell, workflow: Workflow) -> int:
    """Show the tiers of a workflow's newest page, their rules, and which are open."""
    client = shell.client()
    found = client.get(_path(workflow))
    shell.answer(found)
    for tier in found["tiers"]:
        _show(shell, tier)
    if not found["tiers"]:
        shell.line(f"No rule of {visible(workflow)} {visible(found['version'])} allows under a tier.")
    elif found["mode"] != "autonomous":
        shell.line(f"The mode is {found['mode']}: an open tier lifts nothing, what it would allow is on record.")
    _history(shell, client, found, "tier")
    return YES


def open_tier(shell: Shell, workflow: Workflow, tier: TierName, reason: Why, yes: Yes = False) -> int:
    """Open a tier: what its rules allow goes unattended, in mode autonomous, until it is closed or they change."""
    client = shell.client()
    found = client.get(_path(workflow))
    one = _named(found["tiers"], tier, "tier", workflow)
    if not yes:
        _show(shell, one)
        _tell_lifted(shell, found["lifts"])
    if not shell.confirm(f"Open the tier {visible(tier)} of {visible(workflow)}?", is_yes=yes):
        return NO
    given = _give(client, workflow, "tier", one, reason)
    shell.answer(given)
    shell.line(f"The tier {visible(tier)} is open: {given['clearance_id']}.")
    _tell_lifted(shell, given["lifts"])
    return YES


def close_tier(shell: Shell, workflow: Workflow, tier: TierName, reason: Why) -> int:
    """Close a tier, every wording of it, from the next decision on; what was allowed and not sent is denied."""
    return _withdraw(shell, workflow, "tier", tier, reason, "was not open", "is closed")


def list_reviews(shell: Shell, workflow: Workflow) -> int:
    """Show the class D tools of a workflow's newest page, and whose review is on record."""
    client = shell.client()
    found = client.get(_path(workflow))
    shell.answer(found)
    rows = [(one["name"], REVIEWED[one["state"]], one["digest"]) for one in found["class_d"]]
    shell.table(("class D tool", "state", "digest"), rows)
    _history(shell, client, found, "class_d")
    return YES


def add_review(shell: Shell, workflow: Workflow, tool: ToolName, reason: Why, yes: Yes = False) -> int:
    """Put your review of a class D tool on record; takes the role compliance. Two people then approve each call."""
    client = shell.client()
    one = _named(client.get(_path(workflow))["class_d"], tool, "class D tool", workflow)
    if not shell.confirm(f"You have reviewed {visible(tool)} in {visible(workflow)}, {one['digest']}?", is_yes=yes):
        return NO
    given = _give(client, workflow, "class_d", one, reason)
    shell.answer(given)
    shell.line(f"The review of {visible(tool)} is on record: {given['clearance_id']}.")
    return YES


def withdraw_review(shell: Shell, workflow: Workflow, tool: ToolName, reason: Why) -> int:
    """Take the review of a class D tool back, from the next decision on."""
    return _withdraw(shell, workflow, "class_d", tool, reason, "was not reviewed", "is not reviewed any more")


# --- helpers -------------------------------------------------------------------------------------------------------


def _path(workflow: str) -> str:
    return f"/v1/envelopes/{quote(workflow, safe='')}/clearances"


def _give(client: "Client", workflow: str, kind: str, one: Mapping[str, Any], reason: str) -> dict[str, Any]:
    body = {"kind": kind, "name": one["name"], "digest": one["digest"], "reason": reason}
    return dict(client.post(_path(workflow), body))


def _withdraw(shell: Shell, workflow: str, kind: str, name: str, reason: str, never: str, done: str) -> int:
    client = shell.client()
    given = [
        one
        for one in client.get(_path(workflow))["clearances"]
        if one["kind"] == kind and one["name"] == name and not one["is_withdrawn"]
    ]
    told = [client.post(f"{_path(workflow)}/{one['clearance_id']}/withdraw", {"reason": reason}) for one in given]
    shell.answer(told)
    shell.line(f"{visible(name)} of {visible(workflow)} {done if told else never}.")
    return YES


def _named(found: list[dict[str, Any]], name: str, what: str, workflow: str) -> dict[str, Any]:
    for one in found:
        if one["name"] == name:
            return one
    raise NotFound(
        what=f"The page of {workflow} has no {what} {name!r}.",
        why=f"It has {', '.join(one['name'] for one in found) or 'none'}.",
        fix="Copy the name from the page.",
        code="clearance.unknown",
    )


def _show(shell: Shell, tier: Mapping[str, Any]) -> None:
    rows = [(one["id"], one["tool"], one["when"]) for one in tier["rules"]]
    shell.table(("rule", "tool", "when"), rows, f"Tier {visible(tier['name'])}: {STATES[tier['state']]}")


def _tell_lifted(shell: Shell, lifts: list[dict[str, Any]]) -> None:
    for one in lifts:
        shell.line(f"Lifted with it, since nothing keeps it: {one['control']}. {one['consequence']}")


def _history(shell: Shell, client: "Client", found: Mapping[str, Any], kind: str) -> None:
    name = called(shell, client)
    rows = [
        (one["clearance_id"], one["name"], name(one["by"]), one["at"], one["reason"], name(one["withdrawn_by"]))
        for one in found["clearances"]
        if one["kind"] == kind
    ]
    if rows:
        shell.table(("clearance", "of", "by", "at", "reason", "withdrawn by"), rows, "Given so far")
