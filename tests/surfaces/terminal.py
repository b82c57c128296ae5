# SPDX-License-Identifier: Apache-2.0
"""Drive the command line as its users do: in this process, as one of its own, and on a terminal."""

import contextlib
import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from signoff.__main__ import main

ERP = Path(__file__).parents[2] / "src" / "signoff_sample" / "erp" / "contract.yaml"
ENVELOPE = """\
version: 2026-03-01
workflow: "invoice_reconcile"
models:
  router: "small-fast"
budgets:
  max_tokens_per_task: 18000
  max_tool_calls: 40
  hard_cost_cap_usd: 1.25
permissions:
  allowed_tools:
    - "erp.lookup_vendor"
    - "erp.create_journal_entry"
    - "erp.update_vendor_note"
  write_actions_require_approval: true
  approval_roles:
    - "FinanceAdmin"
logging:
  redact_pii: true
  store_transcripts_days: 30
safety:
  block_on_prompt_injection_score_gte: 0.7
  require_citations_for: ["policy", "contract", "pricing"]
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on standard output; anything else there fails."""
        return json.loads(self.out)


def run(*arguments: str | Path, env: Mapping[str, str] | None = None, stdin: str = "") -> Said:
    """Run a command in this process; it sees no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, env or {}),
        mock.patch("sys.stdin", io.StringIO(stdin)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main([str(one) for one in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def process(*arguments: str | Path, env: Mapping[str, str] | None = None, stdin: str = "") -> Said:
    """Run a command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "signoff", *map(str, arguments)],
        env=environment(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def on_terminal(*arguments: str | Path, answers: str, env: Mapping[str, str] | None = None) -> Said:
    """Run a command on a terminal on which a person types `answers` once something is asked."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "signoff", *map(str, arguments)],
        env=environment({"COLUMNS": "160", "TERM": "xterm", **(env or {})}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    shown, asked, until = b"", False, time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed: how Linux says so
                break
            if not part:
                break
            shown += part
        if not asked and shown.rstrip().endswith(b"]") and b"[" in shown[-90:]:
            os.write(ours, answers.encode())
            asked = True
    os.close(ours)
    return Said(child.wait(10), shown.decode("utf-8", "replace"), "")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this environment with the commands of the installation in reach, and `more`."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, **(more or {})}


@dataclass(frozen=True, slots=True)
class Server:
    """`signoff serve`, running; `env` is that of a person who signs in to it."""

    url: str
    data: Path
    home: Path
    announced: dict[str, Any]
    child: "subprocess.Popen[str]"

    @property
    def env(self) -> dict[str, str]:
        return {"XDG_CONFIG_HOME": str(self.home), "SIGNOFF_URL": "", "SIGNOFF_KEY": ""}

    def run(self, *arguments: str | Path, key: str | None = None, stdin: str = "") -> Said:
        """Run a command against this server, with the key signed in with or another."""
        return run(*arguments, env={**self.env, "SIGNOFF_KEY": key or ""}, stdin=stdin)


@contextlib.contextmanager
def serving(folder: Path, *more: str | Path) -> Iterator[Server]:
    """Serve a new data directory as a process, with the sample ERP behind it, until the block ends."""
    envelope = folder / "envelope.yaml"
    envelope.write_text(ENVELOPE)
    command = [
        sys.executable, "-m", "signoff", "serve", "--json", "--data", str(folder / "data"), "--port", "0",
        "--contract", str(ERP), "--envelope", str(envelope), *map(str, more),
    ]  # fmt: skip
    books = {"SIGNOFF_SAMPLE_ERP_DB": str(folder / "erp.db")}
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(command, env=environment(books), stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert child.stdout
            line = child.stdout.readline()
            assert line, (folder / "log").read_text()
            announced = json.loads(line)
            yield Server(announced["url"], folder / "data", folder / "home", announced, child)
        finally:
            if child.poll() is None:
                child.terminate()
            child.communicate(timeout=30)
