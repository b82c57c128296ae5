# SPDX-License-Identifier: Apache-2.0
"""The wide scene: three kinds of agents work at once on whatever came in, and people only decide what asks.

Each agent is a process of its own with a key of its own; what they say is kept in `demo/said.jsonl`. What a document's
note asks for decides who gets it: the compromised agent gets every note that gives orders, so that the worst reader has
the worst texts.
"""

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from signoff.surfaces.cli.demo import telling
from signoff.surfaces.cli.demo.counting import Story
from signoff.surfaces.cli.demo.scenes import AGENT_WITHIN_S, SETTLE_S, ask_by_hand, reason_of
from signoff.surfaces.cli.demo.stage import WORKFLOW, Stage, child_environment
from signoff_sample.agents.reading import read_wish
from signoff_sample.approvers import Approvers
from signoff_sample.erp.store import Store, open_store
from signoff_sample.erp.ubl import Document, NoInvoice, as_text, read_ubl, register
from signoff_sample.invoices import RULES_SAID
from signoff_sdk import Client

CLUMSY_EVERY = 6  # of the documents without orders in their notes, every sixth
PAID_EVERY = 5  # of the tasks, every fifth asks for payment as well
POST, PAY = "Post this invoice.", "Post this invoice, and pay it."
LOOK_EVERY_S = 0.2
_ENDS = ("complete", "waiting", "error")

Line = Mapping[str, Any]


@dataclass(slots=True)
class _Task:
    """A document that became a task."""

    story: Story
    path: Path
    agent: str
    lines: list[Line] = field(default_factory=list)


def play(
    console: Console,
    set_: Stage,
    files: Sequence[tuple[str, bytes]],
    approvers: Approvers | None,
    yours: Client | None,
) -> list[Story]:
    """Take all documents through at once, and return what became of each, in the order of the files.

    Args:
        approvers: who decides; nobody where None.
        yours: the user's own client, where the first decision is theirs.
    """
    stories, tasks = _intake(set_, files)
    telling.intake(console, len(files), {name: sum(task.agent == name for task in tasks) for name in _AGENTS})
    by_file = {task.path.name: task for task in tasks}
    done = 0
    with (
        (set_.data / "demo" / "said.jsonl").open("a", encoding="utf-8") as kept,
        ThreadPoolExecutor(1) as room,
        _working(set_, tasks, waits=approvers is not None) as said,
    ):
        people = room.submit(_decide, console, said, approvers, yours)
        while said.goes_on and not (people.done() and people.exception()):
            line = said.next(LOOK_EVERY_S)
            task = by_file.get(str(line["task"])) if line is not None else None
            if line is None or task is None:
                continue
            kept.write(json.dumps({"agent": task.agent, **line}, ensure_ascii=False) + "\n")
            task.lines.append(line)
            task.story.attempts += line.get("step") == "attack"
            if line.get("step") in _ENDS and not task.story.state:
                done += 1
                _settle(set_, task)
                telling.progress(console, done, len(tasks), task.story)
        people.result()  # what went wrong there is told here
    for task in tasks:
        _settle(set_, task)
    return stories


def _decide(console: Console, said: "_Said", approvers: Approvers | None, yours: Client | None) -> None:
    """Let people work as long as any agent does; the first decision is the user's own where there is one."""
    while said.goes_on:
        if yours is not None and (waiting := next(iter(yours.inbox()), None)):
            ask_by_hand(console, yours, waiting["action_id"])
            yours = None
        elif approvers is not None and yours is None:
            approvers.once()
        time.sleep(LOOK_EVERY_S)
    if approvers is not None:
        approvers.until_idle(2 * LOOK_EVERY_S)  # what an agent has left behind


_AGENTS = ("honest", "clumsy", "compromised")


def _intake(set_: Stage, files: Sequence[tuple[str, bytes]]) -> tuple[list[Story], list[_Task]]:
    """Register every document with the ERP; what is none, or came before, is told and becomes no task."""
    folder = set_.data / "demo" / "tasks"
    folder.mkdir(parents=True, exist_ok=True)
    stories: list[Story] = []
    tasks: list[_Task] = []
    seen: dict[tuple[str, str], str] = {}
    store = open_store(set_.books)
    try:
        for name, raw in files:
            story = Story(name, "")
            stories.append(story)
            try:
                document, vendor_id = _registered(store, raw)
            except NoInvoice as no:
                story.state, story.reason = "skipped", f"{no.what} {no.why}"
                continue
            if earlier := seen.get((vendor_id, document.number)):
                story.state, story.reason = "skipped", f"It is the very document of {earlier}; one task is enough."
                continue
            seen[vendor_id, document.number] = name
            path = folder / f"{name}.txt"
            asked = PAY if len(tasks) % PAID_EVERY == PAID_EVERY - 1 else POST
            path.write_text(f"{asked}\n{as_text(document, with_notes=False)}", encoding="utf-8")
            story.agent = _agent_for(document, len(tasks))
            tasks.append(_Task(story, path, story.agent))
    finally:
        store.close()
    return stories, tasks


def _registered(store: Store, raw: bytes) -> tuple[Document, str]:
    document = read_ubl(raw)
    return document, register(store, document)


def _agent_for(document: Document, place: int) -> str:
    wishes = [read_wish(note) for note in document.notes]
    if any(wish.ibans or wish.vendors or wish.phrases or wish.amounts for wish in wishes):
        return "compromised"
    return "clumsy" if place % CLUMSY_EVERY == CLUMSY_EVERY - 1 else "honest"


@contextmanager
def _working(set_: Stage, tasks: Sequence[_Task], *, waits: bool) -> "Iterator[_Said]":
    """Start each agent that has tasks, and let none outlive the block."""
    started: list[tuple[_Process, str]] = []
    try:
        for agent in _AGENTS:
            if paths := [task.path for task in tasks if task.agent == agent]:
                # An agent names the task of a line only where it has several. One by one, so that each is stopped.
                started.append((_start(set_, agent, paths, waits=waits), paths[0].name))  # noqa: PERF401  # as said
        yield _Said(started)
    finally:
        for process, _ in started:
            process.terminate()
            process.wait()


def _start(set_: Stage, agent: str, paths: Sequence[Path], *, waits: bool) -> "_Process":
    command = [sys.executable, "-m", f"signoff_sample.agents.{agent}", "--url", set_.url, "--received"]
    command += ["--key-file", str(set_.key_file(agent)), "--workflow", WORKFLOW]
    command += ["--wait", str(AGENT_WITHIN_S if waits else SETTLE_S), "--task-file", *map(str, paths)]
    return subprocess.Popen(  # noqa: S603  # our own command, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=child_environment(set_.data)
    )


_Process = subprocess.Popen[str]


class _Said:
    """What the agents print, in the order in which it comes; each is read by a thread of its own."""

    def __init__(self, agents: Sequence[tuple[_Process, str]]) -> None:
        self._lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._readers = [threading.Thread(target=self._read, args=agent, daemon=True) for agent in agents]
        for reader in self._readers:
            reader.start()

    @property
    def goes_on(self) -> bool:
        """Whether any agent may still say something."""
        return any(reader.is_alive() for reader in self._readers) or not self._lines.empty()

    def next(self, within_s: float) -> Line | None:
        """Return the next line, None where none came in time."""
        try:
            return self._lines.get(timeout=within_s)
        except queue.Empty:
            return None

    def _read(self, process: _Process, only: str) -> None:
        assert process.stdout is not None, "opened as a pipe"
        for line in process.stdout:
            if line.startswith("{"):
                self._lines.put({"task": only, **json.loads(line)})


def _settle(set_: Stage, task: _Task) -> None:
    """Write into the story where its document's own entry stands, and why."""
    story = task.story
    story.run_id = next((str(line["run_id"]) for line in task.lines if "run_id" in line), "")
    entry = next((line for line in reversed(task.lines) if line.get("step") == "create_journal_entry"), None)
    if entry is None:
        last = task.lines[-1] if task.lines else {}
        story.state = str(last.get("outcome", "failed"))
        story.reason = str(last.get("summary") or last.get("why") or "The agent ended without a word.")
        return
    action = set_.call("GET", f"/v1/actions/{entry['action_id']}")
    story.state, story.action_id = action["state"], action["action_id"]
    story.votes = sum(vote["counts"] for vote in (action["approval"] or {}).get("votes", ()))
    story.reason = _reason(action)


def _reason(action: Mapping[str, Any]) -> str:
    """Return what a finance person reads: the people's own words, else those of the rule that decided."""
    votes = [vote for vote in (action["approval"] or {}).get("votes", ()) if vote["counts"]]
    words = [vote["reason"] for vote in votes if vote["decision"] == "approve" and vote["reason"]]
    if action["state"] == "succeeded" and votes:
        people = "Signed by one person" if len(votes) == 1 else f"Signed by {len(votes)} people"
        return f"{people}. {words[0]}" if words else f"{people}."
    told = " ".join(str(check["detail"]) for check in action["decision"]["checks"] if check["check"] == "rules")
    said = [words for rule, words in RULES_SAID.items() if re.search(rf"\b{rule}\b", told)]
    if said and (action["state"] in ("succeeded", "denied")) and (action["reason"] in (None, "rule_denied")):
        return said[-1]
    return reason_of(dict(action))
