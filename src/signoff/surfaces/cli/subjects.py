# SPDX-License-Identifier: Apache-2.0
"""Data subjects from a terminal: what is kept of one, and its erasure."""

from typing import Annotated, Any

import typer

from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import NO, YES, Shell

Subject = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="As the tools' contracts make it, such as vendor/V-1042.")
]
ERASING_S = 600.0  # the database's files are rewritten


def show(shell: Shell, subject: Subject) -> int:
    """Show what is kept of a subject, what an erasure would take, and what would stay and why."""
    found = shell.client().post("/v1/subjects/show", {"subject": subject})
    shell.answer(found)
    _tell(shell, subject, found)
    return YES


def erase(
    shell: Shell,
    subject: Subject,
    reason: Annotated[str, typer.Option(help="Why; it is kept, so leave out who it is about.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Destroy what is kept of a subject, for good; the log stays, and still verifies."""
    client = shell.client()
    if not yes:
        _tell(shell, subject, client.post("/v1/subjects/show", {"subject": subject}))
    if not shell.confirm(f"Erase what is kept of {visible(subject)}, for good?", is_yes=yes):
        return NO
    found = client.post("/v1/subjects/erase", {"subject": subject, "reason": reason}, timeout_s=ERASING_S)
    shell.answer(found)
    _tell(shell, subject, found)
    return YES


def _tell(shell: Shell, subject: str, found: dict[str, Any]) -> None:
    title = f"{visible(subject)}  {found['subject_id']}"
    rows = [(one["action_id"], one["tool"], one["state"], one["proposed"]) for one in found["actions"]]
    shell.table(("action", "tool", "state", "proposed"), rows, title)
    if left := found["actions_total"] - len(rows):
        shell.line(f"... and {left} more.")
    if found["erased"] is not None:
        counted = f"{found['erased_payloads']} payloads of {found['actions_total']} actions"
        shell.line(f"Erased at {found['erased']}: {counted}.")
    for heading, name in (("Goes", "goes"), ("Stays", "stays"), ("Know", "notes")):
        for one in found[name]:
            shell.line(f"{heading:<6} {one}")
