# SPDX-License-Identifier: Apache-2.0
"""The door: nobody passes without proof, nothing out of bounds gets in, and no error tells more than it should."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from signoff.surfaces.http.authentication import Sessions
from signoff.surfaces.http.door import Door
from signoff.surfaces.http.metrics import Metrics
from tests.surfaces.office import LOOK_UP, Office

OPEN = ("/healthz", "/readyz", "/login")
CLOSED = ("/v1/me", "/v1/runs", "/v1/ledger/checkpoint", "/metrics", "/openapi.json", "/v1/nothing", "/nothing")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO, "signoff.http")
    yield caplog


@pytest.mark.parametrize("path", CLOSED)
def test_every_path_asks_who_calls_even_one_that_does_not_exist(office: Office, path: str) -> None:
    answer = office.call("GET", path, who=None)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="signoff"'


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_the_sign_in_page_are_open(office: Office, path: str) -> None:
    assert office.call("GET", path, who=None).status_code == 200


def test_every_described_call_but_the_probes_refuses_a_caller_without_proof(office: Office) -> None:
    described = office.ok("GET", "/openapi.json")
    calls = [(method, path) for path, item in described["paths"].items() for method in item]
    assert len(calls) > 40
    for method, path in calls:
        answer = office.call(method.upper(), path, who=None)
        assert answer.status_code == (200 if path in OPEN else 401), (method, path)


@pytest.mark.parametrize(
    "proof",
    [
        "Bearer",
        "Basic YWRtaW46YWRtaW4=",
        "Bearer sgk_1",
        "Bearer sgk_" + "0" * 32 + "_" + "0" * 64,
        "Bearer a.b.c",
        "Bearer " + "x" * 9000,
        "Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.",
    ],
)
def test_a_proof_that_is_wrong_in_any_way_is_refused_alike_and_never_repeated(office: Office, proof: str) -> None:
    answer = office.call("GET", "/v1/me", who=None, headers={"Authorization": proof})
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers
    assert proof[8:60] not in answer.text or len(proof) < 12


def test_two_proofs_in_one_call_are_refused(office: Office) -> None:
    bearer = f"Bearer {office.keys['admin']}"
    answer = office.http.get(f"{office.url}/v1/me", headers=[("Authorization", bearer), ("Authorization", bearer)])
    assert answer.status_code == 401


def test_an_agents_key_only_mints_and_its_token_does_everything_but_mint(office: Office) -> None:
    key, token = office.keys["clerk"], office.bearer("clerk")
    refused = office.call("GET", "/v1/runs", who=None, headers={"Authorization": f"Bearer {key}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "agent.key_only_mints")
    refused = office.call("POST", "/v1/tokens", {}, who=None, headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "agent.token_mints_nothing")
    assert office.call("GET", "/v1/runs", who=None, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_revoked_token_no_longer_reads_and_what_it_proposes_is_denied_and_recorded(office: Office) -> None:
    made = office.ok("POST", "/v1/agents", {"name": "leaver", "owner_id": office.ids["zoe"]})
    minted = office.call("POST", "/v1/tokens", who=None, headers={"Authorization": f"Bearer {made['api_key']}"}).json()
    proof = {"Authorization": f"Bearer {minted['token']}"}
    run = office.call(
        "POST", "/v1/runs", {"workflow": "invoice_reconcile", "task": "x"}, who=None, headers=proof
    ).json()
    path = f"/v1/runs/{run['run_id']}/actions?wait=10"
    done = office.call("POST", path, LOOK_UP, who=None, headers=proof).json()
    assert done["state"] == "succeeded"
    office.ok("PATCH", f"/v1/agents/{made['agent_id']}", {"revoke_tokens": True}, who="otto")
    for read in ("/v1/runs", f"/v1/actions/{done['action_id']}"):
        assert office.call("GET", read, who=None, headers=proof).json()["code"] == "unauthenticated.token_revoked"
    denied = office.call("POST", path, LOOK_UP, who=None, headers=proof).json()
    assert (denied["state"], denied["reason"]) == ("denied", "token_revoked")


DEEP = "[" * 40 + "]" * 40
BODIES = [
    (b'{"text": "' + b"x" * (256 * 1024) + b'"}', 413, "too_large"),
    (f'{{"text": {DEEP}}}'.encode(), 422, "malformed"),
    (("[" * 100_000 + "]" * 100_000).encode(), 422, "malformed"),
    (b'{"text": "a", "text": "b"}', 422, "malformed"),
    (b'{"text": NaN}', 422, "malformed"),
    (b'{"text": 1e999}', 422, "malformed"),
    (b'{"text": 9007199254740992}', 422, "malformed"),
    (b'{"text": "\\ud800"}', 422, "malformed"),
    (b'{"text": "\xff"}', 422, "malformed"),
    (b'{"text": ', 422, "malformed"),
    (b"[]", 422, "malformed"),
    (b'"text"', 422, "malformed"),
    (b"{}", 422, "malformed"),
    (b'{"text": 5}', 422, "malformed"),
    (b'{"text": "a", "odd": 1}', 422, "malformed"),
]


@pytest.mark.parametrize(("data", "status", "code"), BODIES, ids=range(len(BODIES)))
def test_a_body_out_of_bounds_is_refused_at_the_door(office: Office, data: bytes, status: int, code: str) -> None:
    headers = {"Content-Type": "application/json"}
    for who, method, path in (
        ("arthur", "PUT", "/v1/envelopes/x"),
        ("clerk", "POST", "/v1/runs/run_1/actions"),
    ):
        answer = office.call(method, path, who=who, content=data, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert len(answer.content) < 4096


def test_a_body_that_never_says_its_length_is_cut_off_at_the_bound(office: Office) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 8192

    headers = {"Content-Type": "application/json"}
    answer = office.call("PUT", "/v1/envelopes/x", who="arthur", content=endless(), headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_a_body_that_is_not_json_has_the_wrong_content_type(office: Office, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = office.call("PUT", "/v1/envelopes/x", who="arthur", content=b'{"text": "a"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "content_type")


def test_every_unknown_member_is_named_by_its_path_and_no_value_is_repeated(office: Office) -> None:
    body = {"workflow": "w", "task": 1, "secret_sauce": "hunter2"}
    answer = office.call("POST", "/v1/runs", body, who="clerk")
    told = {one["path"]: one["why"] for one in answer.json()["problems"]}
    assert told == {"$.task": "Input should be a valid string", "$.secret_sauce": "no such member is known"}
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/runs", {"GET", "POST"}),
        ("DELETE", "/v1/actions/act_1", {"GET", "HEAD"}),
        ("GET", "/v1/runs/run_1/actions", {"POST"}),
        ("POST", "/", {"GET", "HEAD"}),
    ],
)
def test_a_method_that_a_path_does_not_know_is_a_405_that_names_those_it_knows(
    office: Office, method: str, path: str, allowed: set[str]
) -> None:
    answer = office.call(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) <= allowed


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1/nothing", "/v1/runs/", "/v1//runs", "/static/../admin.key", "/static/x.css"]
)
def test_a_path_that_leads_nowhere_is_a_problem_too(office: Office, path: str) -> None:
    answer = office.call("GET", path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_answer_carries_the_security_headers_and_a_request_id(office: Office) -> None:
    seen = set()
    for method, path, who in (
        ("GET", "/healthz", None),
        ("GET", "/v1/me", "ann"),
        ("GET", "/v1/x", None),
        ("GET", "/", "ann"),
    ):
        headers = office.call(method, path, who=who).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "strict-transport-security" not in headers  # a promise that http cannot keep
        assert "server" not in headers
        seen.add(headers["x-request-id"])
    assert len(seen) == 4


def test_a_request_is_logged_by_its_route_without_path_query_or_proof(
    office: Office, told: pytest.LogCaptureFixture
) -> None:
    paths = ("/v1/runs?cursor=hunter2", "/v1/runs/hunter3", "/hunter4")
    ids = [office.call("GET", path).headers["x-request-id"] for path in paths]
    lines: dict[str, dict[str, Any]] = {}
    while len(lines) < len(ids):  # a line is written right after its answer
        fields = [record.__dict__["fields"] for record in told.records if record.getMessage() == "request"]
        lines = {one["request_id"]: one for one in fields if one["request_id"] in ids}
    answered = [(lines[one]["route"], lines[one]["status"]) for one in ids]
    assert answered == [("/v1/runs", 422), ("/v1/runs/{run_id}", 404), ("none", 404)]
    assert {one["caller"] for one in lines.values()} == {office.ids["admin"]}
    assert "hunter" not in str(lines)
    assert office.keys["admin"] not in told.text


class Broken:
    """What stands behind the door fails in its own way."""

    def __init__(self, error: BaseException, *, begins: bool = False) -> None:
        self.error, self.begins = error, begins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise self.error


async def _answer(office: Office, error: BaseException, path: str = "/healthz", **asked: Any) -> httpx2.Response:
    assert office.world is not None
    door = Door(office.world, Broken(error), Sessions(), Metrics())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(door), base_url=asked.get("url", "http://t")) as http:
        return await http.get(path)


async def test_what_nobody_foresaw_is_a_500_whose_incident_is_in_the_log_and_nothing_more(
    office: Office, told: pytest.LogCaptureFixture
) -> None:
    answer = await _answer(office, KeyError("hunter2"))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal")
    assert problem["incident"] == answer.headers["x-request-id"]
    assert "hunter2" not in answer.text and "Traceback" not in answer.text
    incident = next(record for record in told.records if record.getMessage() == "incident")
    assert incident.__dict__["fields"]["incident"] == problem["incident"]
    assert incident.exc_info


async def test_a_page_that_fails_is_a_page(office: Office) -> None:
    answer = await _answer(office, RuntimeError("hunter2"), "/login")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "hunter2" not in answer.text


async def test_over_https_the_browser_is_told_to_stay_there(office: Office) -> None:
    answer = await _answer(office, RuntimeError(), url="https://t")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_metrics_count_requests_by_route_and_tell_what_stands_in_the_database(office: Office) -> None:
    office.call("GET", "/v1/runs/run_none")
    text = office.call("GET", "/metrics", who="audra").text
    assert 'signoff_http_requests_total{method="GET",route="/v1/runs/{run_id}",status="404"}' in text
    assert 'signoff_http_request_seconds_bucket{le="0.001",route="/v1/runs/{run_id}"}' in text
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    for name in (
        "signoff_tick_lag_seconds", "signoff_ledger_entries", "signoff_approvals_pending", "signoff_halts_in_force",
        "signoff_actions_in_doubt", "signoff_actions_needing_person", 'signoff_actions{state="succeeded"}',
    ):  # fmt: skip
        assert values[name] >= 0
    assert values["signoff_ledger_entries"] > 10
    assert "run_none" not in text


@pytest.mark.parametrize("who", ["zoe", "ann", "clerk", "arthur"])
def test_metrics_and_the_log_are_for_those_who_audit_or_operate(office: Office, who: str) -> None:
    for path in (
        "/metrics",
        "/v1/ledger/checkpoint",
        "/v1/ledger/entries",
        "/v1/ledger/keys",
        "/v1/ledger/proof/inclusion?index=0",
    ):
        assert office.call("GET", path, who=who).status_code == 403, path


def test_the_description_names_every_call_and_what_each_may_end_in(office: Office) -> None:
    described = office.ok("GET", "/openapi.json", who="zoe")
    assert described["openapi"] == "3.1.0"
    propose = described["paths"]["/v1/runs/{run_id}/actions"]["post"]
    assert propose["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ProposalBody")
    named = json.dumps(described)
    for ref in {part.split('"')[0] for part in named.split('"$ref": "')[1:]}:
        assert ref.rpartition("/")[2] in described["components"]["schemas"], ref
    for path, item in described["paths"].items():
        for method, call in item.items():
            assert {"401", "422", "500"} <= call["responses"].keys(), (method, path)
            assert call["summary"]
