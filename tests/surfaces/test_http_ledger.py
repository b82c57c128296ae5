# SPDX-License-Identifier: Apache-2.0
"""The log over HTTP: what is shown can be proved with the ledger's own code, and with nothing but the answers."""

from typing import Any

import pytest

from signoff.ledger.checkpoint import parse, parse_keys, verify
from signoff.ledger.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from tests.surfaces.office import Office


def test_every_entry_can_be_fetched_and_together_they_give_the_signed_root(office: Office) -> None:
    note = office.ok("GET", "/v1/ledger/checkpoint", who="audra")["note"]
    keys = parse_keys(office.call("GET", "/v1/ledger/keys", who="audra").text)
    head = verify(note, keys)
    tree, cursor = Frontier(), None
    while tree.size < head.size:
        query = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = office.ok("GET", "/v1/ledger/entries", who="audra", params=query)
        for item in page["items"]:
            if item["index"] >= head.size:
                break
            assert leaf_hash(item["entry"].encode()).hex() == item["leaf"]
            tree.append(bytes.fromhex(item["leaf"]))
        cursor = page["next_cursor"]
    assert tree.root() == head.root
    from_two = office.ok("GET", "/v1/ledger/entries?from=2&limit=1", who="audra")["items"]
    assert [one["index"] for one in from_two] == [2]


def test_an_entry_is_proved_to_lie_in_the_published_tree(office: Office) -> None:
    head = parse(office.ok("GET", "/v1/ledger/checkpoint")["note"])
    for index in (0, 3, head.size - 1):
        proof = office.ok("GET", f"/v1/ledger/proof/inclusion?index={index}&size={head.size}", who="otto")
        leaf, hashes = bytes.fromhex(proof["leaf"]), [bytes.fromhex(one) for one in proof["hashes"]]
        assert verify_inclusion(leaf, index, head.size, hashes, head.root)
        assert not verify_inclusion(leaf, index, head.size, hashes[:-1], head.root)


def test_an_older_tree_is_proved_to_be_the_beginning_of_the_present_one(office: Office) -> None:
    head = parse(office.ok("GET", "/v1/ledger/checkpoint")["note"])
    older = parse(office.ok("GET", "/v1/ledger/checkpoint?size=2")["note"])  # of the first start
    answer = office.ok("GET", f"/v1/ledger/proof/consistency?first=2&second={head.size}")
    hashes = [bytes.fromhex(one) for one in answer["hashes"]]
    assert verify_consistency(2, head.size, older.root, head.root, hashes)


def test_the_checkpoint_is_the_note_alone_for_who_reads_text(office: Office) -> None:
    answer = office.call("GET", "/v1/ledger/checkpoint", headers={"Accept": "text/plain"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert parse(answer.text).size > 0


def test_a_node_verifies_its_whole_log_and_every_row_on_request(office: Office) -> None:
    note = office.ok("GET", "/v1/ledger/checkpoint")["note"]
    report = office.ok("POST", "/v1/ledger/verify", {"against": [note]}, who="audra")
    assert report["verified"] and report["entries"] > 10 and report["findings"] == []
    assert office.call("POST", "/v1/ledger/verify", who="zoe").status_code == 403
    assert office.call("POST", "/v1/ledger/verify", {"against": note}, who="audra").status_code == 422


BAD: list[tuple[str, int, str]] = [
    ("/v1/ledger/checkpoint?size=1", 404, "ledger.no_checkpoint"),
    ("/v1/ledger/checkpoint?size=-1", 422, "malformed"),
    ("/v1/ledger/entries?cursor=x", 422, "cursor.unknown"),
    ("/v1/ledger/entries?from=-1", 422, "malformed"),
    ("/v1/ledger/entries?limit=0", 422, "malformed"),
    ("/v1/ledger/proof/inclusion", 422, "malformed"),
    ("/v1/ledger/proof/inclusion?index=5&size=5", 422, "ledger.out_of_range"),
    ("/v1/ledger/proof/inclusion?index=1000000000", 422, "ledger.out_of_range"),
    ("/v1/ledger/proof/inclusion?index=9007199254740992", 422, "malformed"),
    ("/v1/ledger/proof/consistency?first=3&second=2", 422, "ledger.out_of_range"),
    ("/v1/ledger/proof/consistency?first=1&second=1000000000", 422, "ledger.out_of_range"),
]


@pytest.mark.parametrize(("path", "status", "code"), BAD)
def test_there_is_no_proof_of_what_is_not_there(office: Office, path: str, status: int, code: str) -> None:
    answer: Any = office.call("GET", path, who="audra")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
