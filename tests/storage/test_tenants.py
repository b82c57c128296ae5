# SPDX-License-Identifier: Apache-2.0
"""Two tenants with the same ids see nothing of one another, through any door of a transaction."""

import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, is_dataclass
from typing import Any

import pytest

from signoff.adapters.sql.tables import metadata
from signoff.core.action.lifecycle import State
from signoff.core.errors import Corrupt
from signoff.ports import storage as port
from signoff.ports.storage import LogHead, Receipt, SealedPayload, Transaction
from signoff.ports.vault import WrappedKey
from tests.storage.engines import Opened
from tests.storage.nouns import fill

DOORS = {
    "actions": port.Actions, "runs": port.Runs, "authority": port.Authority, "ledger": port.Ledger,
    "receipts": port.Receipts, "payloads": port.Payloads, "leases": port.Leases, "sums": port.Sums,
    "stored": port.Stored, "subjects": port.Subjects,
}  # fmt: skip
WRITES = {
    "actions.add_vote", "ledger.append", "ledger.integrate", "ledger.add_nodes", "ledger.publish", "receipts.add",
    "receipts.sign", "payloads.add", "payloads.add_key",
    "payloads.destroy_key", "payloads.erase_run", "payloads.erase_subject", "leases.renew", "leases.drop",
    "sums.count",
}  # fmt: skip
# What the database says of itself, and of no tenant's rows.
OF_NO_TENANT = {"stored.columns", "stored.faults"}
ARGUMENTS: Mapping[str, list[Any]] = {
    "action_id": ["act_1", "act_2"], "request_key": ["req"], "approval_id": ["apr_1"], "run_id": ["run_1"],
    "content_tag": ["tag"], "besides": ["", "act_1"], "resource": ["res"], "states": [tuple(State)], "after": [""],
    "before": [None], "limit": [50], "now": [10], "person_id": ["prs_1"], "agent_id": ["agt_1"], "name": ["name"],
    "key_id": ["key_1"], "halt_id": ["hlt_1"], "holder": ["prs_1"], "digest": ["digest"], "kind": ["envelope"],
    "version": ["1"], "stream": ["stream"], "index": [0], "seq": [2], "size": [1], "receipt_id": ["rcp_1"],
    "owner": ["owner"], "dead_node_but": [None, "nod_x"], "latest": [10], "table": [], "key": [], "level": [0],
    "at": [0], "by": ["agt_1"], "origin": ["origin"],
    "subject_id": ["sub_1"], "tag": ["tag"], "envelope": ["a!", "b!"], "beyond": [(0, "")],
    "impact_key": ["impact"], "until": [10],
    "tool": ["a!", "b!"],
    "since": [0], "clearance_id": ["clr_1"], "workflow": ["books"], "delegation_id": ["dlg_1"], "root_id": ["dlg_1"],
    "window_us": [10], "began": [0],
}  # fmt: skip


def methods() -> list[str]:
    """Return every query method that a transaction offers, by door and name."""
    return sorted(
        f"{door}.{name}"
        for door, protocol in DOORS.items()
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    )


def test_every_door_of_a_transaction_is_tried() -> None:
    doors = set(port.Transaction.__annotations__) - {"tenant", "now"}
    assert doors == DOORS.keys()
    assert set(methods()) >= WRITES | OF_NO_TENANT


def calls(name: str) -> Iterator[tuple[Any, ...]]:
    """Yield arguments for a method: one of each of its parameters, by name."""
    door, _, method = name.partition(".")
    names = list(inspect.signature(getattr(DOORS[door], method)).parameters)[1:]
    if door == "stored" and "table" in names:
        for table in sorted(metadata.tables):
            key = list(metadata.tables[table].primary_key)[1].name
            yield (table, IDS.get(key, "x")) if "key" in names else (table,)
        return
    chosen: list[tuple[Any, ...]] = [()]
    for one in names:
        chosen = [(*before, value) for before in chosen for value in ARGUMENTS[one]]
    yield from chosen


IDS = {
    "action_id": "act_1", "run_id": "run_1", "person_id": "prs_1", "agent_id": "agt_1", "key_id": "key_1",
    "halt_id": "hlt_1", "publication_id": "env_1", "stream": "stream", "receipt_id": "rcp_1", "owner": "owner",
    "origin": "origin", "level": 0,
}  # fmt: skip


def listed(found: Any) -> Any:
    if isinstance(found, Iterator):
        return list(found)
    if isinstance(found, Mapping) and not isinstance(found, dict):
        return [found.get((0, 0))]
    return found


@pytest.mark.parametrize(
    "name", [name for name in methods() if name not in WRITES | OF_NO_TENANT | {"ledger.unmarked"}]
)
async def test_no_query_leaves_its_tenant(opened: Opened, name: str) -> None:
    storage = opened.storage(runs_twice=False)
    for tenant in ("a", "b"):
        await storage.transact(tenant, fill)
    door, _, method = name.partition(".")
    answered = False
    for given in calls(name):

        def ask(tx: Transaction, given: tuple[Any, ...] = given) -> Any:
            return listed(getattr(getattr(tx, door), method)(*given))

        for read in (storage.view, storage.transact):
            mine, theirs, nobodys = [await read(tenant, ask) for tenant in ("a", "b", "c")]
            assert "b!" not in repr(mine), (name, given)
            assert "a!" not in repr(theirs), (name, given)
            assert "!" not in repr(nobodys), (name, given)
            assert is_nothing(nobodys), (name, given, nobodys)
            answered = answered or not is_nothing(mine)
            for one, tenant in ((mine, "a"), (theirs, "b")):
                tenants = {row.tenant for row in (one if isinstance(one, list) else [one]) if hasattr(row, "tenant")}
                assert tenants <= {tenant}
    assert answered, f"{name} answers nothing even where there is something: the test asks for nothing"


async def test_an_entry_without_its_mark_is_told_to_its_tenant_alone(opened: Opened) -> None:
    storage = opened.storage(runs_twice=False)
    for tenant in ("a", "b"):
        await storage.transact(tenant, fill)
    other = sqlite3.connect(opened.path)
    other.execute("UPDATE entries SET mark = x'00' WHERE tenant = 'a'")
    other.commit()
    other.close()
    told = [await storage.view(tenant, lambda tx: list(tx.ledger.unmarked())) for tenant in ("a", "b")]
    assert told == [[("stream", 3), ("stream", 1), ("stream", 2)], []]
    with pytest.raises(Corrupt):
        await storage.view("a", lambda tx: tx.ledger.pending(9))


def is_nothing(found: Any) -> bool:
    """Tell whether an answer says that there is nothing: empty, none, or only zeros."""
    if is_dataclass(found) and not isinstance(found, type):
        found = astuple(found)
    if isinstance(found, tuple | list):
        return all(is_nothing(one) for one in found)
    return not found


CHANGES: Mapping[str, Callable[[Transaction], Any]] = {
    "ledger.append": lambda tx: tx.ledger.append("stream", 4, 9, b"new"),
    "ledger.integrate": lambda tx: tx.ledger.integrate([("stream", 3, 2)]),
    "ledger.add_nodes": lambda tx: tx.ledger.add_nodes([(0, 2, b"new")]),
    "ledger.publish": lambda tx: tx.ledger.publish(LogHead("origin", 2, "new")),
    "receipts.add": lambda tx: tx.receipts.add(Receipt("b", "rcp_2", "act_1", 1, "new")),
    "receipts.sign": lambda tx: tx.receipts.sign([("rcp_1", "key", b"signature")]),
    "payloads.add": lambda tx: tx.payloads.add(SealedPayload("owner", "other", "key_1", b"new", "c")),
    "payloads.add_key": lambda tx: tx.payloads.add_key(WrappedKey("key_2", "m", b"new")),
    "payloads.destroy_key": lambda tx: tx.payloads.destroy_key("key_1"),
    "payloads.erase_run": lambda tx: tx.payloads.erase_run("owner"),
    "payloads.erase_subject": lambda tx: tx.payloads.erase_subject("sub_1"),
    "leases.renew": lambda tx: tx.leases.renew("act_3", 1, 99),
    "leases.drop": lambda tx: tx.leases.drop("act_3"),
    "sums.count": lambda tx: tx.sums.count("act_1", []),
}


def test_every_way_to_write_is_tried() -> None:
    assert CHANGES.keys() | {"actions.add_vote"} == WRITES  # that one is refused by name: `test_contract.py`


@pytest.mark.parametrize("name", sorted(CHANGES))
async def test_no_write_leaves_its_tenant(opened: Opened, name: str) -> None:
    storage = opened.storage(runs_twice=False)
    for tenant in ("a", "b"):
        await storage.transact(tenant, fill)

    def everything(tx: Transaction) -> list[Any]:
        return [list(tx.stored.rows(table)) for table in sorted(metadata.tables)]

    before = [await storage.view(tenant, everything) for tenant in ("a", "b")]
    await storage.transact("a", CHANGES[name])
    after = [await storage.view(tenant, everything) for tenant in ("a", "b")]
    assert after[1] == before[1]
    assert after[0] != before[0]
