# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent, no call answers with a 5xx, and each answer is what `/openapi.json` says of it.

The inputs come from the description itself, good ones and bad ones, the same on every run. They are sent twice: with
whatever ids were thought up, and with ids of things that exist.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.surfaces.office import TIERED, Office, opened

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
bounded = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office of its own: what is sent here may well stop it."""
    with opened(tmp_path_factory.mktemp("fuzzed")) as office:
        yield office


@pytest.fixture(scope="module")
def description(fuzzed: Office) -> Any:
    return schemathesis.openapi.from_dict(fuzzed.ok("GET", "/openapi.json"))


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as found:
        found.trust_env = False  # the way to this machine leads through no proxy
        yield found


@pytest.fixture(scope="module")
def known(fuzzed: Office) -> dict[str, str]:
    """Ids of things that exist, by the name of the path's parameter."""
    run_id = fuzzed.begin()
    done = fuzzed.approve(fuzzed.waiting(run_id))
    fuzzed.receipt(done["action_id"])
    waiting = fuzzed.waiting(run_id)
    halt = fuzzed.ok("POST", "/v1/halts", {"scope": "tool:none", "reason": "x"})
    key = fuzzed.ok("POST", "/v1/keys", {"holder": fuzzed.ids["bob"]})
    fuzzed.ok("PUT", "/v1/envelopes/tiered", {"text": TIERED})
    [tier] = fuzzed.ok("GET", "/v1/envelopes/tiered/clearances")["tiers"]
    opening = {"kind": "tier", "name": tier["name"], "digest": tier["digest"], "reason": "x"}
    given = fuzzed.ok("POST", "/v1/envelopes/tiered/clearances", opening)
    part = {"agent_id": fuzzed.ids["rival"], "tools": ["erp.*"], "environments": ["production"]}
    delegated = fuzzed.ok("POST", "/v1/delegations", part | {"purpose": "x", "lasts_s": 3600}, who="ann")
    return {
        "run_id": run_id,
        "action_id": done["action_id"],
        "approval_id": waiting["approval"]["approval_id"],
        "receipt_id": done["receipt_id"],
        "halt_id": halt["halt_id"],
        "workflow": "tiered",
        "clearance_id": given["clearance_id"],
        "delegation_id": delegated["delegation_id"],
        "system": "other",
        "person_id": fuzzed.ids["bob"],
        "agent_id": fuzzed.ids["rival"],
        "key_id": key["key_id"],
    }


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_call_breaks_on_any_input(
    mode: GenerationMode, fuzzed: Office, description: Any, session: requests.Session
) -> None:
    for operation in operations(description, mode):
        attempt(operation.as_strategy(mode), fuzzed, session, "admin")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_call_breaks_on_any_input_about_what_exists(
    mode: GenerationMode, fuzzed: Office, description: Any, session: requests.Session, known: dict[str, str]
) -> None:
    for operation in operations(description, mode):
        named = {one.name: known[one.name] for one in operation.path_parameters}
        who = "clerk" if operation.path in ("/v1/runs", "/v1/runs/{run_id}/actions") else "admin"
        attempt(operation.as_strategy(mode, path_parameters=named), fuzzed, session, who)


def operations(description: Any, mode: GenerationMode) -> list[Any]:
    """Return every described call; where bad input is wanted, those that take any."""
    found = [result.ok() for result in description.get_all_operations()]
    assert len(found) > 40
    takes = [one for one in found if one.body or one.query or one.headers or one.path_parameters]
    return found if mode.is_positive else takes


def attempt(cases: SearchStrategy[Any], office: Office, session: requests.Session, who: str) -> None:
    """Send what the strategy thinks up, and hold each answer against the description."""
    proof = {"Authorization": f"Bearer {office.bearer(who)}"}

    @bounded
    @given(case=cases)
    def send(case: Any) -> None:
        case.call_and_validate(office.url, session, proof, checks=CHECKS)

    send()
