# SPDX-License-Identifier: Apache-2.0
"""The client rides out what a network does, shows a key to nobody, and repeats nothing under another key."""

import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff_sdk import Action, Client, SignoffError, Unreachable
from signoff_sdk.errors import from_problem
from tests.sdk.flaky import DROP, Flaky, serving

KEY = "sgk_" + "0" * 32 + "_" + "f" * 64
RUN = (201, {"run_id": "run_1", "state": "open"})
PENDING: dict[str, Any] = {
    "action_id": "act_1",
    "run_id": "run_1",
    "tool": "t",
    "state": "pending_approval",
    "digest": "sha256:1",
}
PENDING |= {"approval": {"approval_id": "apr_1", "votes": []}}
DONE = PENDING | {"state": "succeeded", "result": {"entry_id": "JE-1"}}


def agent(flaky: Flaky, patience_s: float = 20.0) -> Client:
    return Client(flaky.url, KEY, holder="agent", patience_s=patience_s)


@pytest.mark.parametrize("trouble", [DROP, (503, {}), (429, {}), (502, b"bad gateway"), (504, b"")])
def test_a_call_without_an_answer_is_made_again_under_the_same_key(trouble: tuple[int, object] | str) -> None:
    with serving(Flaky([trouble, trouble, RUN])) as flaky, agent(flaky) as client:
        assert client.begin("w", "task").run_id == "run_1"
        assert len(flaky.seen) == 3
        assert len({seen.key for seen in flaky.seen}) == 1
        assert flaky.seen[0].key
        assert all(seen.body == {"workflow": "w", "task": "task"} for seen in flaky.seen)


def test_each_call_has_a_key_of_its_own_unless_it_is_given_one() -> None:
    with serving(Flaky([RUN])) as flaky, agent(flaky) as client:
        client.begin("w", "task")
        client.begin("w", "task")
        client.begin("w", "task", idempotency_key="mine")
        keys = [seen.key for seen in flaky.seen]
        assert len(set(keys)) == 3
        assert keys[2] == "mine"


def test_a_server_that_is_down_is_waited_for() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    found = []
    with Client(f"http://127.0.0.1:{port}", KEY, patience_s=60.0) as client:
        caller = threading.Thread(target=lambda: found.append(client.begin("w", "task").run_id))
        caller.start()
        with serving(Flaky([RUN]), port):
            caller.join(60)
    assert found == ["run_1"]


def test_patience_ends_with_a_word_on_what_to_do() -> None:
    with serving(Flaky([DROP])) as flaky, agent(flaky, patience_s=0.3) as client:
        with pytest.raises(Unreachable) as caught:
            client.begin("w", "task")
        assert caught.value.code == "unreachable"
        assert "same key" in caught.value.fix
        assert len({seen.key for seen in flaky.seen}) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500])
def test_a_refused_call_is_told_once_and_in_the_servers_words(status: int) -> None:
    problem = {
        "type": "x/errors#run.closed",
        "title": "t",
        "status": status,
        "what": "No.",
        "why": "Closed.",
        "fix": "Begin.",
    }
    with (
        serving(Flaky([(status, problem | {"code": "run.closed", "field": "state"})])) as flaky,
        agent(flaky) as client,
    ):
        with pytest.raises(SignoffError) as caught:
            client.begin("w", "task")
        error = caught.value
        assert (error.what, error.why, error.fix, error.code, error.status) == (
            "No.", "Closed.", "Begin.", "run.closed", status,
        )  # fmt: skip
        assert error.detail == {"field": "state"}
        assert not isinstance(error, Unreachable)
        assert len(flaky.seen) == 1


def test_a_token_is_renewed_before_it_ends_and_once_where_it_is_refused() -> None:
    with serving(Flaky([RUN], life_s=0)) as flaky, agent(flaky) as client:
        client.begin("w", "1")
        client.begin("w", "2")
        assert [seen.bearer for seen in flaky.seen] == ["token-1", "token-2"]
    with serving(Flaky([(401, {}), RUN])) as flaky, agent(flaky) as client:
        client.begin("w", "1")
        client.begin("w", "2")
        assert [seen.bearer for seen in flaky.seen] == ["token-1", "token-2", "token-2"]
        assert flaky.seen[0].key == flaky.seen[1].key
    with serving(Flaky([(401, {"code": "unauthenticated.token"})])) as flaky, agent(flaky) as client:
        with pytest.raises(SignoffError, match="401"):
            client.begin("w", "1")
        assert flaky.tokens == 2


def test_an_agents_key_is_shown_for_tokens_only_and_a_persons_with_each_call() -> None:
    with serving(Flaky([RUN])) as flaky, agent(flaky) as client:
        client.begin("w", "1")
        assert [seen.bearer for seen in flaky.seen] == ["token-1"]
        assert KEY not in repr(client)
    with serving(Flaky([(200, {"items": [], "next_cursor": None})])) as flaky, Client(flaky.url, KEY) as client:
        assert list(client.inbox(role="FinanceAdmin")) == []
        assert flaky.tokens == 0
        assert flaky.seen[0].bearer == KEY
        assert flaky.seen[0].path == "/v1/approvals?state=pending_approval&role=FinanceAdmin"


def test_the_inbox_reads_on_to_its_last_page() -> None:
    pages = [(200, {"items": [{"action_id": "a"}], "next_cursor": "c 1"}), (200, {"items": [{"action_id": "b"}]})]
    with serving(Flaky([*pages])) as flaky, Client(flaky.url, KEY) as client:
        assert [item["action_id"] for item in client.inbox()] == ["a", "b"]
        assert flaky.seen[1].path.endswith("cursor=c+1")


def test_a_proposal_is_waited_for_across_dropped_connections_until_it_is_concluded() -> None:
    script: list[tuple[int, Any] | str] = [RUN, DROP, (202, PENDING), DROP, (200, PENDING), (200, DONE)]
    with serving(Flaky([*script])) as flaky, agent(flaky) as client:
        action = client.begin("w", "1").propose("t", {"a": 1}, rationale="why", wait=None)
        assert action.is_done
        assert action.result["entry_id"] == "JE-1"
        assert action.refusal is None
        assert [seen.method for seen in flaky.seen] == ["POST", "POST", "POST", "GET", "GET", "GET"]
        assert flaky.seen[1].body == {"tool": "t", "args": {"a": 1}, "rationale": "why"}


def test_without_waiting_what_is_pending_is_returned_at_once() -> None:
    with serving(Flaky([RUN, (202, PENDING)])) as flaky, agent(flaky) as client:
        action = client.begin("w", "1").propose("t", {}, wait=0)
        assert action.is_waiting
        assert not action.is_concluded
        assert "wait" not in flaky.seen[-1].path


def test_a_vote_carries_the_digest_that_was_seen() -> None:
    with serving(Flaky([(200, DONE)])) as flaky, Client(flaky.url, KEY) as client:
        client.approve(Action(PENDING), "sha256:1", "fits")
        client.reject("apr_2", "sha256:2", "no")
        client.edit("apr_3", "sha256:3", {"a": 2}, "less")
        assert [(seen.path, seen.body["decision"], seen.body["digest"]) for seen in flaky.seen] == [
            ("/v1/approvals/apr_1", "approve", "sha256:1"),
            ("/v1/approvals/apr_2", "reject", "sha256:2"),
            ("/v1/approvals/apr_3", "edit", "sha256:3"),
        ]


def test_a_refusal_is_a_value_with_the_words_of_the_person_who_said_no() -> None:
    votes = [{"decision": "approve", "reason": "yes"}, {"decision": "reject", "reason": "Too much."}]
    action = Action(
        PENDING | {"state": "rejected", "reason": "rejected", "explain": "Rejected.", "approval": {"votes": votes}}
    )
    assert action.refusal
    assert (action.refusal.state, action.refusal.reason, action.refusal.said) == ("rejected", "rejected", "Too much.")
    assert str(action.refusal) == "Rejected. (Too much.)"


@pytest.mark.parametrize(("url", "key"), [("ftp://x", KEY), ("nonsense", KEY), ("http://x", ""), ("http://x", "a\nb")])
def test_a_wrong_address_or_key_is_told_before_any_call(url: str, key: str) -> None:
    with pytest.raises(SignoffError) as caught:
        Client(url, key)
    assert caught.value.fix


def test_an_answer_that_is_no_json_is_an_error_in_words() -> None:
    with serving(Flaky([(200, b"<html>")])) as flaky, agent(flaky) as client:
        with pytest.raises(SignoffError) as caught:
            client.begin("w", "1")
        assert caught.value.code == "answer.malformed"


@given(st.integers(300, 599), st.one_of(st.binary(), st.text().map(str.encode), st.just(b'{"what": 3, "type": []}')))
def test_whatever_stands_in_a_refusal_it_is_an_error_with_a_code(status: int, body: bytes) -> None:
    error = from_problem(status, body)
    assert error.what
    assert error.code
    assert error.status == status
