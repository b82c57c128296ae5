# SPDX-License-Identifier: Apache-2.0
"""The command line that the sample agents share: tasks in, one JSON object a line out, and an exit status."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signoff_sdk import Client, SignoffError

KEY_VARIABLE = "SIGNOFF_AGENT_KEY"
DONE, NOT_DONE, MISUSE = 0, 1, 2

Say = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the agent's work ended; `outcome` is `completed`, `failed` or `waiting`."""

    outcome: str
    summary: str


@dataclass(frozen=True, slots=True)
class Job:
    """One task, and how to go about it.

    Attributes:
        run_id: go on with this run; without it the task's own run is begun, or taken up where it stands.
        wait: for how many seconds people are waited for; None without end.
        is_received: the ERP has the document, and the page lets the agent read it there.
    """

    client: Client
    workflow: str
    text: str
    say: Say
    run_id: str | None = None
    wait: float | None = None
    is_received: bool = False


def drive(name: str, about: str, work: Callable[[Job], Ending], argv: Sequence[str] | None) -> int:
    """Work on each task in turn; exit 0 all posted, 1 some not, 2 misuse, no answer, or still waiting for people."""
    options = _options(name, about, argv)
    endings = []
    try:
        key = options.key_file.read_text(encoding="ascii") if options.key_file else os.environ.get(KEY_VARIABLE, "")
        tasks = [(path, path.read_text(encoding="utf-8")) for path in options.task_file]
        with Client(options.url, key, holder="agent", patience_s=options.patience) as client:
            for path, text in tasks:
                say = _saying(path.name if len(tasks) > 1 else "")
                job = Job(client, options.workflow, text, say, options.run, options.wait, options.received)
                endings.append(_ended(job, work, goes_on=len(tasks) > 1))
    except SignoffError as error:
        _saying("")(_told(error))
        return MISUSE
    except (OSError, UnicodeError) as error:
        print(f"{name} agent: a file cannot be read ({type(error).__name__}).", file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        return 130
    return max((_STATUS.get(ending, MISUSE) for ending in endings), default=DONE)


_STATUS = {"completed": DONE, "failed": NOT_DONE}


def _ended(job: Job, work: Callable[[Job], Ending], *, goes_on: bool) -> str:
    """Return the outcome of one task; where others wait behind it, a refused call ends this one alone."""
    try:
        return work(job).outcome
    except SignoffError as error:
        if not goes_on:
            raise
        job.say(_told(error))
        return "refused"


def _told(error: SignoffError) -> dict[str, Any]:
    return {"step": "error", "code": error.code, "what": error.what, "why": error.why, "fix": error.fix}


def _saying(task: str) -> Say:
    """Return what prints a line; with several tasks each line names its own."""

    def say(line: Mapping[str, Any]) -> None:
        print(json.dumps({"task": task, **line} if task else line, ensure_ascii=False), flush=True)

    return say


def _options(name: str, about: str, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m signoff_sample.agents.{name}", description=about)
    parser.add_argument("--url", required=True, help="where Signoff serves, such as http://127.0.0.1:8470")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help=f"the agent's API key; else ${KEY_VARIABLE}")
    parser.add_argument("--workflow", default="invoice_reconcile", metavar="NAME")
    parser.add_argument(
        "--task-file", type=Path, required=True, nargs="+", metavar="FILE", help="invoices' texts, UTF-8, one task each"
    )
    parser.add_argument("--run", metavar="RUN_ID", help="go on with this run instead of the task's own")
    parser.add_argument(
        "--received", action="store_true", help="the page lets the agent read the document that the ERP received"
    )
    parser.add_argument("--wait", type=float, metavar="S", help="wait for people for so many seconds; else without end")
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="how long the server may be away")
    return parser.parse_args(argv)
