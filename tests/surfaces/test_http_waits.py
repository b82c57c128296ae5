# SPDX-License-Identifier: Apache-2.0
"""Waiting for an action: nobody takes all places, and a proof that is withdrawn meanwhile shows nothing more."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from signoff.surfaces.http import waits
from signoff.surfaces.http.waits import Waits
from tests.surfaces.office import Office


def test_places_are_bounded_for_one_caller_and_for_all_and_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "OF_ONE_MAX", 2)
    monkeypatch.setattr(waits, "IN_ALL_MAX", 3)
    room = Waits()
    with room.place("a") as first, room.place("a") as second, room.place("a") as third, room.place("b") as other:
        assert (first, second, third, other) == (True, True, False, True)
        with room.place("c") as late:
            assert not late
    with room.place("a") as first, room.place("a") as second, room.place("b") as other:
        assert (first, second, other) == (True, True, True)


def test_who_finds_no_place_is_answered_as_things_stand_while_others_wait_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "OF_ONE_MAX", 1)
    document = office.waiting(office.begin())
    path = f"/v1/actions/{document['action_id']}?wait=30"
    with ThreadPoolExecutor(2) as pool:
        agent = pool.submit(office.call, "GET", path, who="clerk")
        _until_waiting(office, document["action_id"], 1)
        assert office.call("GET", path, who="clerk").json()["state"] == "pending_approval"
        assert not agent.done()
        person = pool.submit(office.call, "GET", path, who="bob")
        _until_waiting(office, document["action_id"], 2)
        office.approve(document)
        assert agent.result(20).json()["state"] == person.result(20).json()["state"] == "succeeded"


def test_a_token_that_is_revoked_while_it_waits_is_shown_nothing(office: Office) -> None:
    document = office.waiting(office.begin())
    with ThreadPoolExecutor(1) as pool:
        agent = pool.submit(office.call, "GET", f"/v1/actions/{document['action_id']}?wait=30", who="clerk")
        _until_waiting(office, document["action_id"], 1)
        office.ok("PATCH", f"/v1/agents/{office.ids['clerk']}", {"revoke_tokens": True})
        office.ok("POST", f"/v1/actions/{document['action_id']}/cancel", {}, who="otto")
        assert (agent.result(20).status_code, agent.result().json()["code"]) == (401, "unauthenticated.token_revoked")


def _until_waiting(office: Office, action_id: str, count: int) -> None:
    assert office.world is not None
    for _ in range(1000):
        if len(office.world.bell._waiting.get(action_id, ())) == count:
            return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")
