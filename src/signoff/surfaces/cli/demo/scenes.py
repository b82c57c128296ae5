# SPDX-License-Identifier: Apache-2.0
"""The scenes of the demo: one document from file to ending, and one posting taken back."""

import json
import select
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from signoff.core.errors import NotFound
from signoff.surfaces.cli.demo import telling
from signoff.surfaces.cli.demo.counting import Story
from signoff.surfaces.cli.demo.stage import WORKFLOW, Stage, child_environment
from signoff_sample.approvers import Approvers
from signoff_sample.erp.store import open_store
from signoff_sample.erp.ubl import NoInvoice, as_text, read_ubl, register
from signoff_sample.invoices import SAMPLES, sample
from signoff_sample.invoices.generate import generate
from signoff_sdk import Client
from signoff_sdk.errors import SignoffError as Refused

AGENT_WITHIN_S = 120.0
SETTLE_S = 2.0  # how long an agent waits for people where nobody will come
YOURS_S = 20.0


def documents(folder: Path | None, seed: int | None = None) -> list[tuple[str, bytes]]:
    """Return name and bytes of every file in the folder, by name; samples where none is given.

    Args:
        seed: which sixty varied samples; five fixed ones where None.

    Raises:
        NotFound: there is no such folder.
    """
    if folder is None and seed is not None:
        return [(one.name, one.content) for one in generate(seed=seed)]
    if folder is None:
        return [(name, sample(name)) for name in SAMPLES]
    if not folder.is_dir():
        raise NotFound(
            what=f"There is no folder {folder}.",
            why="--invoices names a folder of UBL 2.1 files.",
            fix="`signoff-sample invoices --to DIR` writes five to begin with.",
        )
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()]


def one_document(
    console: Console, set_: Stage, name: str, raw: bytes, approvers: Approvers | None, yours: Client | None
) -> tuple[Story, bool]:
    """Take one document through the walk; returns its story, and whether the user was asked for a decision.

    Args:
        approvers: who decides; nobody where None.
        yours: the user's own client, where the first decision is theirs.
    """
    try:
        document = read_ubl(raw)
        store = open_store(set_.books)
        try:
            register(store, document)
        finally:
            store.close()
    except NoInvoice as no:
        return Story(name, "skipped", f"{no.what} {no.why}"), False
    task = set_.data / "demo" / "tasks" / f"{name}.txt"
    task.parent.mkdir(parents=True, exist_ok=True)
    task.write_text(as_text(document), encoding="utf-8")
    agent = _agent(set_, task, waits=approvers is not None)
    was_asked = _decide_meanwhile(console, agent, approvers, yours)
    said, _ = agent.communicate()
    return _story(set_, name, said), was_asked


def take_back_one(console: Console, people: dict[str, Client], stories: list[Story]) -> None:
    """Undo the first posting: a reversal of its own, previewed, approved and receipted like any write."""
    posted = next((story for story in stories if story.state == "succeeded" and story.action_id), None)
    if posted is None:
        return
    name, client = next(iter(people.items()))
    telling.taking_back(console, name, posted.file)
    try:
        reversal = client.undo(posted.action_id)
        client.approve(reversal, reversal.digest, "Posted to the wrong period; taken back.")
        ended = client.action(reversal.action_id, wait=30)
    except Refused as no:
        telling.refused(console, f"{no.what} {no.why}")
        return
    posted.state, posted.reason = (
        ("reversed", "Posted, and then taken back.") if ended.is_done else ("succeeded", ended.reason)
    )


def _agent(set_: Stage, task: Path, *, waits: bool) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "signoff_sample.agents.honest", "--url", set_.url]
    command += ["--key-file", str(set_.key_file("honest")), "--workflow", WORKFLOW, "--task-file", str(task)]
    command += ["--wait", str(AGENT_WITHIN_S if waits else SETTLE_S)]
    return subprocess.Popen(  # noqa: S603  # our own command, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=child_environment(set_.data)
    )


def _decide_meanwhile(
    console: Console, agent: "subprocess.Popen[str]", approvers: Approvers | None, yours: Client | None
) -> bool:
    """Let people work while the agent does; returns whether the user was asked."""
    was_asked = False
    while agent.poll() is None:
        if yours is not None and not was_asked:
            for item in yours.inbox():
                was_asked = True
                ask_by_hand(console, yours, item["action_id"])
        elif approvers is not None:
            approvers.once()
        time.sleep(0.1)
    return was_asked


def ask_by_hand(console: Console, yours: Client, action_id: str) -> None:
    """Show what waits and take the user's decision; after 20 seconds, or at any other answer, it is left to others."""
    action = yours.action(action_id)
    telling.artifact(console, action.document)
    console.print(
        f"[bold]Approve this write?[/] y = yes, n = no; [dim]Enter or {YOURS_S:.0f} s: the sample people decide[/] "
    )
    word = _word(YOURS_S)
    try:
        if word.startswith("y"):
            yours.approve(action, action.digest, "Approved by hand.")
            telling.decided(console, {"person": "You", "decision": "approve", "reason": "by hand"})
        elif word.startswith("n"):
            yours.reject(action, action.digest, "Rejected by hand.")
            telling.decided(console, {"person": "You", "decision": "reject", "reason": "by hand"})
    except Refused as no:
        telling.refused(console, f"{no.what} {no.why}")


def _word(seconds: float) -> str:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.readline().strip().lower() if ready else ""


def _story(set_: Stage, name: str, said: str) -> Story:
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    run_id = next((line["run_id"] for line in lines if "run_id" in line), "")
    write = next((line for line in reversed(lines) if line.get("step") == "create_journal_entry"), None)
    last = lines[-1] if lines else {}
    if write is None:
        return Story(name, str(last.get("outcome", "failed")), str(last.get("summary", last.get("why", ""))), run_id)
    action = set_.call("GET", f"/v1/actions/{write['action_id']}")
    return Story(name, action["state"], reason_of(action), run_id, action["action_id"])


def reason_of(action: dict[str, object]) -> str:
    """Return what a finance person reads: an approver's own words where they said no, else where it stands."""
    approval = action.get("approval")
    votes = approval.get("votes", []) if isinstance(approval, dict) else []
    words = [vote["reason"] for vote in votes if vote["decision"] == "reject" and vote["reason"]]
    return str(words[0]) if words else str(action["explain"])
