# SPDX-License-Identifier: Apache-2.0
"""The sample agent and the sample people through a real node: every sample document, kills, a halt, an undo."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from signoff_sample.approvers import NAMES, Approvers, Vote
from signoff_sample.erp.audit import audit
from signoff_sample.invoices import SAMPLES
from signoff_sdk import Action, Client, SignoffError
from tests.sdk.server import WORKFLOW, Company, company

Line = dict[str, Any]


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("firm")) as one:
        yield one


def agent(firm: Company, task: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "signoff_sample.agents.honest", "--url", firm.url, "--task-file", str(task)]
    command += ["--workflow", WORKFLOW, "--key-file", str(firm.keys["agent"]), *more]
    return subprocess.Popen(command, env=firm.environment(), stdout=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> tuple[int, list[Line]]:
    out, _ = process.communicate(timeout=60)
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def person(firm: Company, name: str) -> Client:
    return Client(firm.url, firm.key(name), holder="person")


@contextmanager
def people_at_work(firm: Company) -> Iterator[list[Vote]]:
    """Let both people decide until the block ends; the list then has their votes."""
    is_over, votes = threading.Event(), list[Vote]()
    clients = {name: person(firm, name) for name in NAMES}
    work = threading.Thread(target=lambda: votes.extend(Approvers(clients).while_(lambda: not is_over.is_set())))
    work.start()
    try:
        yield votes
    finally:
        is_over.set()
        work.join()
        for client in clients.values():
            client.close()


def posted(firm: Company) -> int:
    found = audit(firm.folder / "erp.db")
    assert (found["double_writes"], found["attacker_effects"]) == (0, 0)
    return int(found["posted"])


def test_four_documents_are_posted_and_the_one_over_its_order_is_rejected_in_words(firm: Company) -> None:
    before = posted(firm)
    with people_at_work(firm) as votes:
        tasks = [firm.receive(name) for name in SAMPLES if name != SAMPLES[1]]
        ends = [ended(agent(firm, task)) for task in tasks]
    assert [code for code, _ in ends] == [0, 0, 0, 1]
    assert posted(firm) == before + 3
    assert {vote.person for vote in votes} == set(NAMES), "they take turns"
    last = ends[-1][1][-1]
    assert last["outcome"] == "failed"
    assert "PO-7005 has 1440.00 GBP open" in last["summary"]
    secret = firm.key("agent").strip()
    assert all(secret not in json.dumps(lines) for _, lines in ends)
    # Each posted entry has a receipt that anyone who may see it can fetch.
    entry = next(line for line in ends[0][1] if line["step"] == "create_journal_entry")
    with person(firm, NAMES[0]) as ada:
        action = ada.action(entry["action_id"])
        assert action.receipt_id
        assert json.loads(ada.receipt(action.receipt_id))["envelope"]["signatures"]
        assert action.votes[0]["reason"].startswith("Invoice BP-2026-0412 over 1452.00 EUR")


def test_a_node_that_is_killed_again_and_again_costs_the_agent_time_and_nothing_else(firm: Company) -> None:
    before, task = posted(firm), firm.receive(SAMPLES[1])
    lines: list[Line] = []
    with agent(firm, task) as process, person(firm, NAMES[0]) as ada:
        assert process.stdout
        for step in ("begin", "match_po"):
            while not lines or lines[-1]["step"] != step:
                lines.append(json.loads(process.stdout.readline()))
            firm.kill()  # while the next step is on its way
            firm.start()
        while not list(ada.inbox()):
            assert process.poll() is None
        firm.kill()  # while the agent waits for people
        firm.start()
        with people_at_work(firm):
            lines += [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0, lines
    assert posted(firm) == before + 1
    # The same task once more is the same run, to the last action.
    code, again = ended(agent(firm, task))
    assert code == 0
    assert again[0]["run_id"] == lines[0]["run_id"]
    assert {line.get("action_id") for line in again} <= {line.get("action_id") for line in lines}
    assert posted(firm) == before + 1


def test_an_agent_that_is_killed_while_people_think_takes_up_its_run(firm: Company, tmp_path: Path) -> None:
    text = firm.receive(SAMPLES[4]).read_text().replace("Purchase order: PO-7005\n", "")
    task = tmp_path / "task.txt"
    task.write_text(text)
    code, lines = ended(agent(firm, task, "--wait", "0.5"))
    assert code == 2
    assert lines[-1]["step"] == "waiting"
    with agent(firm, task) as process:
        assert process.stdout
        process.stdout.readline()
        process.kill()
    command = [sys.executable, "-m", "signoff_sample.approvers", "--url", firm.url, "--until-idle", "0.5"]
    for name in NAMES:
        command += ["--key-file", str(firm.keys[name])]
    done = subprocess.run(command, env=firm.environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (said,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (said["person"] in NAMES, said["decision"]) == (True, "reject")
    code, again = ended(agent(firm, task))
    assert code == 1
    assert (again[0]["run_id"], again[-1]["outcome"]) == (lines[0]["run_id"], "failed")
    assert "names no purchase order" in again[-1]["summary"]


def test_a_reversal_is_asked_by_one_and_signed_by_rule(firm: Company) -> None:
    before = posted(firm)
    with person(firm, NAMES[0]) as ada:
        runs = [run for run in ada.inbox(state="succeeded") if run["tool"] == "erp.create_journal_entry"]
        reversal = ada.undo(runs[0]["action_id"])
        assert ada.undo(runs[0]["action_id"]).action_id == reversal.action_id, "asked twice, it is the same"
        with people_at_work(firm):
            done = ada.action(reversal.action_id, wait=30)
        assert done.is_done, done.document
        assert ada.action(runs[0]["action_id"]).state == "reversed"
    assert posted(firm) == before - 1


def test_what_a_halt_stops_the_agent_reports_and_closes(firm: Company, tmp_path: Path) -> None:
    firm.admin("PATCH", f"/v1/people/{_id_of(firm, NAMES[1])}", {"roles": ["FinanceAdmin", "operator"]})
    task = tmp_path / "task.txt"
    task.write_text(firm.receive(SAMPLES[4]).read_text() + "Note: second reminder\n")
    process = agent(firm, task)
    with person(firm, NAMES[1]) as ben:
        while not any(item["tool"] == "erp.create_journal_entry" for item in ben.inbox(role="FinanceAdmin")):
            assert process.poll() is None
        halt = ben.halt(f"workflow:{WORKFLOW}", "Something is wrong with the orders.")
        code, lines = ended(process)
        assert halt["stopped"] == 1
        assert ben.lift(halt["halt_id"])["is_lifted"]
    assert code == 1
    assert [line["state"] for line in lines if line["step"] == "create_journal_entry"] == ["stopped"]


def test_an_agent_can_neither_vote_nor_look_into_the_inbox(firm: Company) -> None:
    with Client(firm.url, firm.key("agent"), holder="agent") as client:
        for call in (lambda: list(client.inbox()), lambda: client.approve("apr_1", "sha256:0", "yes")):
            with pytest.raises(SignoffError) as caught:
                call()
            assert (caught.value.status, caught.value.code) == (403, "forbidden.agent")


def test_whose_key_it_is_is_found_out_where_nobody_says(firm: Company) -> None:
    for name in ("agent", NAMES[0]):
        with Client(firm.url, firm.key(name)) as client, pytest.raises(SignoffError) as caught:
            client.action("act_00000000000000000000000000000000")
        assert caught.value.status == 404


def test_a_vote_on_other_bytes_than_were_seen_is_not_counted(firm: Company, tmp_path: Path) -> None:
    with Client(firm.url, firm.key("agent")) as client, person(firm, NAMES[0]) as ada:
        run = client.begin(WORKFLOW, "Post something.")
        args = {"vendor_id": "V-1003", "invoice_no": "X-1", "po_number": "", "amount_cents": 100, "currency": "EUR"}
        asked = run.propose("erp.create_journal_entry", args, wait=0)
        shown = _once_pending(ada, asked)
        edited = ada.edit(shown, shown.digest, args | {"amount_cents": 50}, "Half of it.")
        assert edited.args["amount_cents"] == 50
        with pytest.raises(SignoffError) as caught:
            ada.approve(edited, shown.digest, "Looks right.")
        assert caught.value.code == "approval.digest_mismatch"
        assert ada.reject(edited, edited.digest, "Not at all.").state == "rejected"
        refusal = client.action(asked.action_id).refusal
        assert refusal
        assert refusal.said == "Not at all."
        assert run.complete("failed", "Rejected.").state == "failed"


def _once_pending(client: Client, asked: Action) -> Action:
    while (action := client.action(asked.action_id)).state == "proposed":
        pass
    assert action.state == "pending_approval"
    return action


def _id_of(firm: Company, name: str) -> str:
    people: list[Line] = firm.admin("GET", "/v1/people")["items"]
    return next(str(one["person_id"]) for one in people if one["name"] == name)
