# SPDX-License-Identifier: Apache-2.0
"""One action as a person sees it before deciding: what it changes, what was checked, what the agent claims.

What is approved is shown whole and exactly: values as JSON, so that "1" and 1 differ, and nothing is cut.
"""

from collections.abc import Mapping
from typing import Any

from signoff.surfaces.cli.render import exact, leaves, visible
from signoff.surfaces.cli.shell import Shell


def show_document(shell: Shell, document: Mapping[str, Any], tool: Mapping[str, Any] | None) -> None:
    """Print an action document for people.

    Args:
        tool: what is known of its tool, for how it would be taken back; None where that was not asked.
    """
    if shell.is_json:
        return
    facts = [
        ("action", document["action_id"]),
        ("state", document["state"]),
        ("why", document["explain"]),
        ("tool", f"{document['tool']}  ({document.get('effect', '?')}, class {document.get('class', '?')})"),
        ("workflow", document.get("workflow")),
        ("run", document["run_id"]),
        ("agent", document.get("agent_id")),
        ("for", document.get("principal_id")),
        ("reverses", document.get("reverses")),
        ("reversed by", document.get("reversed_by")),
        ("digest", f"{document['digest']}  revision {document['revision']}" if document.get("digest") else None),
        ("receipt", document.get("receipt_id")),
    ]
    shell.table(("action", "value"), [fact for fact in facts if fact[1] is not None])
    _show_changes(shell, document)
    arguments = document["args"].get("effective") or {}
    shell.table(("argument", "value"), [(name, exact(value)) for name, value in leaves(arguments)], "Arguments")
    checks = document["decision"]["checks"]
    rows = [(one["check"], one["outcome"], one["reason"], one.get("detail", "")) for one in checks if not _passed(one)]
    if rows:
        shell.table(("check", "outcome", "reason", "detail"), rows, "Checks")
    if passed := [visible(one["check"]) for one in checks if _passed(one)]:
        shell.line(f"Passed: {', '.join(passed)}.")
    _show_approval(shell, document.get("approval"))
    for when, known in (document.get("facts") or {}).items():
        if known:
            rows_ = [(name, exact(value)) for name, value in leaves(known)]
            shell.table(("fact", "value"), rows_, f"What Signoff itself knew when it was {when}")
    if claims := document.get("claims"):
        said = [(name, exact(value)) for name, value in leaves(claims)]
        shell.table(("claim", "value"), said, "The agent says (claims; nothing here was checked)")
    for name, title in (
        ("result", "The target answered"),
        ("error", "The target's error"),
        ("resolution", "A person found"),
    ):
        if document.get(name) is not None:
            shell.table((name, "value"), [(path, exact(value)) for path, value in leaves(document[name])], title)
    if tool is not None and document.get("effect") == "write" and not document.get("reverses"):
        shell.line(f"If it is undone: {_story(tool)}")
        shell.line()


def _show_changes(shell: Shell, document: Mapping[str, Any]) -> None:
    preview = document.get("preview")
    if document.get("effect") == "read":
        return
    if not preview or "changes" not in preview:
        shell.line("There is no preview of what this changes: only the arguments below are bound by an approval.")
        shell.line()
        return
    rows = [(one["path"], exact(one["before"]), exact(one["after"])) for one in preview["changes"]]
    if rows:
        shell.table(("what", "before", "after"), rows, "What it changes")
    else:
        shell.line("The preview says: it changes nothing.")


def _roles(duty: Mapping[str, Any]) -> str:
    named = " or ".join(duty["roles"])
    return f"{named}, of different roles" if duty.get("distinct_roles") else named


def _show_approval(shell: Shell, approval: Mapping[str, Any] | None) -> None:
    if not approval:
        return
    owed = [(f"{one['count']} of {_roles(one)}", one["reason"], approval["expires"]) for one in approval["owed"]]
    shell.table(("owed", "because of", "until"), owed, "Approval")
    votes = [
        (
            one["person_id"],
            one["decision"],
            one["role"],
            one["at"],
            "yes" if one["counts"] else "no, what waits changed",
        )
        for one in approval["votes"]
    ]
    if votes:
        shell.table(("person", "decision", "as", "at", "counts"), votes)


def _passed(check: Mapping[str, Any]) -> bool:
    return check["outcome"] == "pass" and not check.get("detail")


def _story(tool: Mapping[str, Any]) -> str:
    if undo := tool.get("undo"):
        return f"by {visible(str(undo))}, a governed action of its own, refused if the target has moved by then."
    if note := tool.get("reversal_note"):
        return f"by hand ({tool.get('reversibility')}): {visible(str(note))}"
    said = {
        "reversible": "by a governed action of its own, refused if the target has moved by then.",
        "manual": "by hand, in the system itself.",
        "irreversible": "it cannot be.",
    }
    return said.get(str(tool.get("reversibility")), "nobody said how.")
