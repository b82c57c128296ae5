# SPDX-License-Identifier: Apache-2.0
"""Plans from a terminal: propose steps from a file, and look at every step before all are approved as one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.core.errors import Malformed
from signoff.surfaces.cli.artifact import show_document
from signoff.surfaces.cli.ids import run_id_of
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import NO, YES, Id, Shell

if TYPE_CHECKING:
    from signoff.surfaces.cli.client import Client


def plan(
    shell: Shell,
    run: Id,
    file: Annotated[Path, typer.Option(help="JSON: [{tool, args, rationale?}], in the order of the steps.")],
) -> int:
    """Propose several steps that are approved as one, as the agent whose token `SIGNOFF_KEY` holds."""
    client = shell.client()
    found = client.post(f"/v1/runs/{run_id_of(client, run)}/plan", {"steps": read_steps(file)}, is_keyed=True)
    shell.answer(found)
    rows = [(number, one["action_id"], one["tool"], one["state"], one["explain"]) for number, one in _numbered(found)]
    shell.table(("step", "action", "tool", "state", "why"), rows, "Plan")
    if any(one["state"] == "pending_approval" for one in found["steps"]):
        shell.line(f"It waits: `signoff approve {found['plan_id']}`.")
    return NO if any(one["state"] == "denied" for one in found["steps"]) else YES


def show_plan(shell: Shell, client: "Client", document: Mapping[str, Any]) -> None:
    """Print every other step of the plan that a document is a step of, whole: they are decided as one."""
    told = document.get("plan")
    if not told or shell.is_json:
        return
    rows = [(one["step"], one["action_id"], one["tool"], one["state"], one["reason"]) for one in told["steps"]]
    shell.table(("step", "action", "tool", "state", "reason"), rows, "The plan, approved as one")
    for one in told["steps"]:
        if one["action_id"] != document["action_id"]:
            shell.line(f"Step {one['step']}: {visible(one['tool'])}")
            show_document(shell, client.get(f"/v1/actions/{one['action_id']}"), None)


def read_steps(path: Path) -> list[Any]:
    """Return the steps of a file.

    Raises:
        Malformed: it holds no list.
    """
    from signoff.core.proposal import read_json

    value = read_json(path.read_bytes())
    if isinstance(value, dict) and set(value) == {"steps"}:
        value = value["steps"]
    if isinstance(value, list):
        return value
    raise Malformed(
        what=f"{path} holds no steps.",
        why="Steps are a JSON list of objects with `tool` and `args`.",
        fix='Write [{"tool": "...", "args": {...}}, ...].',
        code="cli.steps",
    )


def _numbered(found: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    return list(enumerate(found["steps"], 1))
