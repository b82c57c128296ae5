# SPDX-License-Identifier: Apache-2.0
"""Several processes on one ERP database: one write for each key, whoever is first."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from signoff_sample.erp.audit import audit

from .driving import ENTRY

ROUNDS = 60
RACER = """
import json, sys
from pathlib import Path
from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import open_store
from signoff_sample.erp.tools import TOOLS, write
print("ready", flush=True)
order = json.loads(sys.stdin.readline())
store = open_store(Path(order["db"]))
for args in order["args"]:
    try:
        answer = write(store, TOOLS["erp.create_journal_entry"], args)
    except Refusal as no:
        answer = no.body()
    print(json.dumps(answer), flush=True)
store.close()
"""


def race(db: Path, *racers: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Let each list of arguments be sent by a process of its own, all on a database none of them has opened yet."""
    processes = [
        subprocess.Popen([sys.executable, "-c", RACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in racers
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process, args in zip(processes, racers, strict=True):
        assert process.stdin
        process.stdin.write(json.dumps({"db": str(db), "args": args}) + "\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        answers.append([json.loads(line) for line in out.splitlines()])
    return answers


def entry(number: int, key: str, amount_cents: int = 100) -> dict[str, Any]:
    more = {"invoice_no": f"R-{number}", "po_number": "", "amount_cents": amount_cents, "idempotency_key": key}
    return ENTRY | more


def test_one_key_is_written_once_by_racing_processes_and_all_get_that_answer(db: Path) -> None:
    orders = [entry(n, f"k{n}") for n in range(ROUNDS)]
    first, second, third = race(db, orders, orders, orders)
    assert first == second == third
    found = audit(db)
    assert len(found["writes"]) == ROUNDS
    assert found["double_writes"] == 0
    for key in (f"k{n}" for n in range(ROUNDS)):
        assert Counter(found["calls"][key]["outcomes"]) == {"written": 1, "repeated": 2}


def test_one_key_with_two_contents_has_one_winner(db: Path) -> None:
    ours, theirs = race(
        db, [entry(n, f"k{n}", 100) for n in range(ROUNDS)], [entry(n, f"k{n}", 200) for n in range(ROUNDS)]
    )
    for mine, yours in zip(ours, theirs, strict=True):
        assert ["error" in mine, "error" in yours].count(True) == 1
        assert (mine if "error" in mine else yours)["error"]["code"] == "key_reused"


def test_one_document_with_two_keys_has_one_winner(db: Path) -> None:
    race(db, [entry(n, f"a{n}") for n in range(ROUNDS)], [entry(n, f"b{n}") for n in range(ROUNDS)])
    found = audit(db)
    assert (found["posted"], found["double_writes"]) == (ROUNDS, 0)
