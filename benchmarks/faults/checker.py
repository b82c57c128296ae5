# SPDX-License-Identifier: Apache-2.0
"""Count what must be zero, from the outside: the ERP's own books, the receipts and the raw tables against the ledger.

It imports nothing of Signoff but the ledger. The table of states, what a proof of a non-write takes and how long a
late write may land are written down here once more, from the contract, so that a mistake there is not repeated here.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.faults.books import Books, Row, Step, read
from benchmarks.faults.receipts import statement
from signoff.ledger.bundle import Proof as Inclusion
from signoff.ledger.bundle import bundle
from signoff.ledger.dsse import envelope
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import Frontier, inclusion_proof, leaf_hash
from signoff.ledger.verify import Outcome, verify_receipt

# Contract, section 3.
MOVES = {
    "proposed": "denied suggested held pending_approval dispatching cancelled stopped",
    "held": "dispatching pending_approval cancelled voided stopped",
    "pending_approval": "approved rejected expired voided cancelled stopped",
    "approved": "dispatching held expired voided stopped cancelled",
    "dispatching": "succeeded failed in_doubt",
    "in_doubt": "succeeded failed dispatching needs_person",
    "needs_person": "succeeded failed",
    "succeeded": "reversing",
    "reversing": "reversed reversal_failed",
    "reversal_failed": "reversing",
}
BEGINNINGS = {"proposed", "denied", "suggested", "held", "pending_approval", "dispatching"}
WRITTEN = {"succeeded", "reversing", "reversed", "reversal_failed"}
CONCLUDED = {"denied", "suggested", "cancelled", "rejected", "expired", "voided", "stopped", "failed", "reversed"}
CONCLUDED |= {"succeeded", "reversal_failed"}
RESERVED = {"held", "pending_approval", "approved", "dispatching", "in_doubt", "needs_person"}
PROOFS = {"absent", "not_sent", "not_done"}


def double_writes(b: Books) -> Iterator[str]:
    """More than one live write for one document, two rows under one key, one thing taken back twice."""
    for double in b.erp["details"]["double_writes"]:
        yield f"{double['why']}: {double['id']}"


def second_dispatches(b: Books) -> Iterator[str]:
    """A write sent again without a proof that nothing was written, or a proof that the target belies."""
    calls = Counter(call["idempotency_key"] for call in b.erp_calls)
    for call in b.erp_calls:
        if call["outcome"] == "repeated":
            yield f"{_who(b, call['idempotency_key'])}: sent again after it was written"
    for name, steps in b.steps.items():
        proof, claims, not_sent = "", 0, 0
        for before, step in zip([None, *steps], steps, strict=False):
            if step.told.get("fence"):
                claims += 1
                if claims > 1 and proof not in PROOFS:
                    yield f"{name}: claimed again under fence {step.told['fence']} without a proof"
                not_sent += proof == "not_sent"
                proof = ""
            elif step.told.get("proof"):
                proof = str(step.told["proof"])
                if proof == "absent" and before and step.at < before.state["claimed_at"] + _bound(b, step):
                    yield f"{name}: found absent while a write could still land"
        sent = calls[steps[-1].state["key"]]
        if sent > claims - not_sent:
            yield f"{name}: the target was called {sent} times under {claims} claims, {not_sent} of them not sent"


def writes_without_record(b: Books) -> Iterator[str]:
    """A write of the ERP that no claim came before, that no one approved or let go, or that no receipt tells of."""
    receipts = {row["action_id"] for row in b.tables["receipts"] if row["signature"]}
    for write in b.erp["writes"]:
        name = b.by_key.get(write["idempotency_key"])
        if name is None:
            yield f"{write['id']}: no entry names its key"
            continue
        claims = [step for step in b.steps[name] if step.state["state"] == "dispatching"]
        if not claims:
            yield f"{write['id']}: {name} was never claimed"
        elif b.tools[claims[0].state["tool"]]["asks"] and not _is_approved(b, name, claims[0]):
            yield f"{write['id']}: {name} was claimed before anyone approved it"
        elif not _is_let_go(claims[0]):
            yield f"{write['id']}: {name} was claimed within its review window"
        if name not in receipts:
            yield f"{write['id']}: {name} has no signed receipt"


def wrong_outcomes(b: Books) -> Iterator[str]:
    """An action that ended otherwise than the ERP's books say: failed but written, or done but absent."""
    written = {write["idempotency_key"] for write in b.erp["writes"]}
    for name, steps in b.steps.items():
        last = steps[-1].state
        if last.get("effect") != "write":
            continue
        if last["state"] in WRITTEN and last["key"] not in written:
            yield f"{name} is {last['state']}, and the ERP has no such write"
        if last["state"] in CONCLUDED - WRITTEN and last["key"] in written:
            yield f"{name} is {last['state']} ({last.get('reason')}), and the ERP has its write"


def lost_approvals(b: Books) -> Iterator[str]:
    """A vote that its voter was told was counted, and that ledger or table does not have."""
    rows = {(row["action_id"], row["person_id"], row["digest"], row["decision"]) for row in b.tables["votes"]}
    for told in b.told:
        if "vote" not in told:
            continue
        entries = b.fold.rows.get(told["stream"], {}).get("votes", [])
        logged = {(told["stream"], one["person_id"], one["digest"], one["decision"]) for one in entries}
        if (told["stream"], told["vote"], told["digest"], told["decision"]) not in rows & logged:
            yield f"{told['stream']}: the vote of {told['vote']}"


def lost_answers(b: Books) -> Iterator[str]:
    """Anything that was answered and is not, to the byte, in the ledger."""
    for told in b.told:
        if b.heads.get((told["stream"], told["seq"])) != told["head"]:
            yield f"{told['stream']}: entry {told['seq']} as it was told"


def reservations_wrong(b: Books) -> Iterator[str]:
    """Money set aside and not settled or released when it was due, or not what the writes cost."""
    for name, steps in b.steps.items():
        cost = b.tools.get(steps[-1].state["tool"], {}).get("cost_usd_micros", 0)
        for step in steps:
            state, reserved = step.state["state"], step.state.get("reserved_usd_micros", 0)
            settled = step.state.get("settled_usd_micros", 0)
            if state in RESERVED and reserved != cost:
                yield f"{name}: {reserved} set aside while {state}, it costs {cost}"
            if state in CONCLUDED | {"reversing"} and reserved:
                yield f"{name}: {reserved} still set aside when {state}"
            if settled != (cost if state in WRITTEN else 0):
                yield f"{name}: {settled} settled when {state}, it costs {cost}"
    spent = sum(row["settled_usd_micros"] for row in b.tables["actions"])
    tools = {b.steps[b.by_key[write["idempotency_key"]]][-1].state["tool"] for write in _ours(b)}
    costs = {tool: b.tools[tool]["cost_usd_micros"] for tool in tools}
    owed = sum(costs[b.steps[b.by_key[write["idempotency_key"]]][-1].state["tool"]] for write in _ours(b))
    if spent != owed:
        yield f"{spent} settled in all, the ERP's writes cost {owed}"


def stuck_actions(b: Books) -> Iterator[str]:
    """An action that is not concluded though nothing more can happen to it, or a lease that nobody holds."""
    for row in b.tables["actions"]:
        if row["state"] not in CONCLUDED:
            yield f"{row['action_id']} is {row['state']} ({row['reason']})"
    for row in b.tables["leases"]:
        yield f"{row['action_id']} is concluded, and a lease of its send was left"


def illegal_moves(b: Books) -> Iterator[str]:
    """A move that is not in the table of states."""
    for name, steps in b.steps.items():
        if steps[0].state["state"] not in BEGINNINGS:
            yield f"{name} began as {steps[0].state['state']}"
        for one, other in pairwise(steps):
            before, after = one.state["state"], other.state["state"]
            if "state" in other.told and after not in MOVES.get(before, "").split():
                yield f"{name}: {before} -> {after}"


def ledger_unsound(b: Books) -> Iterator[str]:
    """What `verify_log` finds, entries outside the tree, rows that their entries do not add up to, a mirror astray."""
    if b.report.bad:
        yield f"{b.report.bad.what} {b.report.bad.why}"
        return
    if b.report.pending:
        yield f"{b.report.pending} entries have no place in the tree"
    if b.report.proved != b.report.size:
        yield f"{b.report.size - b.report.proved} entries are signed by no checkpoint"
    if b.notes[-1:] != b.mirrored[-1:]:
        yield "the mirror does not end with the last checkpoint"
    for table, key in (
        ("actions", "action_id"),
        ("runs", "run_id"),
        ("halts", "halt_id"),
        ("publications", "publication_id"),
    ):
        rows = {row[key]: row for row in b.tables[table]}
        streams = {name for name in b.fold.states if name.split("_")[0] in _PREFIXES[table]}
        for name in streams ^ rows.keys():
            yield f"{name} stands in {'the log' if name in streams else table} alone"
        for name in streams & rows.keys():
            yield from _differences(table, rows[name], b)
    logged = Counter(
        (name, one["person_id"], one["digest"], one["decision"], one["at"])
        for name, rows in b.fold.rows.items()
        for one in rows.get("votes", [])
    )
    stored = Counter(
        (row["action_id"], row["person_id"], row["digest"], row["decision"], row["at"]) for row in b.tables["votes"]
    )
    for vote in (logged - stored) + (stored - logged):
        yield f"the vote of {vote[1]} on {vote[0]} stands in one place only"


def receipts_false(b: Books) -> Iterator[str]:
    """A receipt that does not verify, with its proof, against the last checkpoint; or an outcome without one."""
    if b.report.bad:
        return
    leaves = [leaf_hash(entry) for index, entry in b.log if index is not None]
    frontier, nodes = Frontier(), dict[tuple[int, int], bytes]()
    for level, index, digest in frontier.extend(leaves):
        nodes[level, index] = digest
    place = {leaf.hex(): index for index, leaf in enumerate(leaves)}
    actions = {row["action_id"]: row for row in b.tables["actions"]}
    for row in b.tables["receipts"]:
        verdict = _verdict(b, row, place, len(leaves), nodes)
        if verdict:
            yield f"{row['receipt_id']}: {verdict}"
        elif actions[row["action_id"]]["receipt_id"] != row["receipt_id"]:
            yield f"{row['receipt_id']}: its action names another receipt"
    with_receipt = {row["action_id"] for row in b.tables["receipts"]}
    for name, row in actions.items():
        if row["effect"] == "write" and row["state"] in WRITTEN and name not in with_receipt:
            yield f"{name} is {row['state']} without a receipt"


COUNTS: dict[str, Callable[[Books], Iterator[str]]] = {
    check.__name__: check
    for check in (
        double_writes, second_dispatches, writes_without_record, wrong_outcomes, lost_approvals, lost_answers,
        reservations_wrong, stuck_actions, illegal_moves, ledger_unsound, receipts_false,
    )
}  # fmt: skip


def check(life: Path) -> dict[str, list[str]]:
    """Return what is wrong with a life, by count; every list must be empty."""
    books = read(life)
    return {name: list(found(books)) for name, found in COUNTS.items()}


def edges_crossed(life: Path) -> dict[str, int]:
    """Return how often each edge was crossed, as the ledger tells it."""
    crossed: Counter[str] = Counter()
    for steps in read(life).steps.values():
        crossed[f"new->{steps[0].state['state']}"] += 1
        for one, other in pairwise(steps):
            if "state" in other.told:
                crossed[f"{one.state['state']}->{other.state['state']}"] += 1
    return dict(crossed)


_PREFIXES = {"actions": {"act"}, "runs": {"run"}, "halts": {"hlt"}, "publications": {"env", "con"}}
_NOT_FOLDED = {"tenant", "seq", "head", "text"}


def _differences(table: str, row: Row, b: Books) -> Iterator[str]:
    name = next(value for key, value in row.items() if key.endswith("_id") and value in b.fold.states)
    state = b.fold.states[name]
    for column, value in row.items():
        if column not in _NOT_FOLDED and state.get(column) != value:
            yield f"{name}: {table}.{column} is {value!r}, its entries say {state.get(column)!r}"
    if b.heads.get((name, row["seq"])) != row["head"]:
        yield f"{name}: its row does not stand at its last entry"


def _verdict(b: Books, row: Row, place: dict[str, int], size: int, nodes: dict[tuple[int, int], bytes]) -> str:
    """Return why a receipt is not true and included, or nothing."""
    leaf = b.heads.get((row["action_id"], row["seq"]))
    if not row["signature"] or leaf not in place:
        return "it is not signed, or its entry is not in the tree"
    index = place[leaf]
    proof = Inclusion(index, size, tuple(inclusion_proof(index, size, lambda level, at: nodes[level, at])))
    try:
        signed = envelope(statement(b, row), row["key_id"], row["signature"])
        verdict = verify_receipt(bundle(signed, proof=proof, checkpoint=b.notes[-1]), b.keys)
    except Refused as refused:
        return f"{refused.what} {refused.why}"
    return "" if verdict.outcome is Outcome.INCLUDED else f"{verdict.what} {verdict.why}"


def _is_let_go(claim: Step) -> bool:
    """Tell whether a review window was over, and a person or the page let the write go, or people approved it after."""
    held = claim.state
    if held.get("hold_us") is None or held.get("released_by") is not None:
        return True
    return held.get("hold_until", claim.at + 1) <= claim.at and (
        held["hold_end"] == "proceed" or held.get("reason") == "hold_over"
    )


def _is_approved(b: Books, name: str, claim: Step) -> bool:
    votes = b.fold.rows.get(name, {}).get("votes", [])
    return any(
        vote["digest"] == claim.state["digest"] and vote["decision"] == "approve" and vote["at"] <= claim.at
        for vote in votes
    )


def _bound(b: Books, step: Step) -> int:
    return b.tools[step.state["tool"]]["bound_us"]


def _ours(b: Books) -> list[Row]:
    return [write for write in b.erp["writes"] if write["idempotency_key"] in b.by_key]


def _who(b: Books, key: str) -> str:
    return b.by_key.get(key, "no action")


if __name__ == "__main__":
    print(json.dumps(check(Path(sys.argv[1])), indent=1))
