# SPDX-License-Identifier: Apache-2.0
"""The pages over HTTP: a person signs in with their key, looks around, and can change nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.surfaces.office import Office

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@contextmanager
def sign_in(office: Office, who: str) -> Iterator[httpx2.Client]:
    """A browser of a sort, signed in as someone."""
    with httpx2.Client(base_url=office.url, trust_env=False, timeout=30) as browser:
        answer = browser.post("/login", content=f"key={office.keys[who]}", headers=FORM)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        yield browser


def test_a_person_signs_in_and_sees_what_waits_what_happened_and_its_receipt(office: Office) -> None:
    run_id = office.begin()
    waiting = office.waiting(run_id)
    done = office.approve(office.waiting(run_id))
    office.receipt(done["action_id"])
    with sign_in(office, "zoe") as browser:
        home = browser.get("/")
        assert home.headers["content-type"] == "text/html; charset=utf-8"
        assert home.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert waiting["action_id"] in home.text and done["action_id"] in home.text
        assert "erp.update_vendor_note" in home.text and ">clerk<" in home.text
        page = browser.get(f"/actions/{done['action_id']}")
        assert page.status_code == 200
        assert "Ann" in page.text and "It matches." in page.text and "action.approved" in page.text
        receipt = browser.get(f"/receipts/{done['receipt_id']}")
        assert receipt.status_code == 200
        assert "Ann" in receipt.text and "Audit path" in receipt.text
        assert browser.get(f"/v1/receipts/{done['receipt_id']}").status_code == 200  # the page links to the data


def test_pages_load_only_files_of_this_release_which_never_change(office: Office) -> None:
    with sign_in(office, "zoe") as browser:
        names = re.findall(r'(?:href|src)="(/static/[^"]+)"', browser.get("/").text)
    assert names
    for name in set(names):
        answer = office.http.get(office.url + name)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        same = office.http.get(office.url + name, headers={"If-None-Match": answer.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


def test_home_pages_go_back_in_time(office: Office) -> None:
    for run_id in (office.begin(), office.begin()):
        for _ in range(13):
            office.waiting(run_id)
    with sign_in(office, "zoe") as browser:
        following = re.search(r'rel="next" href="(/\?cursor=[^"]+)"', browser.get("/").text)
        assert following
        assert "Earlier actions" in browser.get(following[1]).text
        assert browser.get("/?cursor=odd").status_code == 422


def test_the_cookie_holds_no_key_and_is_out_of_reach_of_scripts_and_other_sites(office: Office) -> None:
    with sign_in(office, "ann") as browser:
        answer = browser.post("/login", content=f"key={office.keys['ann']}", headers=FORM)
        cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Max-Age=28800", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # this installation is served over http
    assert office.keys["ann"].rpartition("_")[2] not in cookie


def test_a_session_only_reads_and_ends_with_its_key(office: Office) -> None:
    made = office.ok("POST", "/v1/people", {"name": "Tess", "roles": ["operator"]})
    office.keys["tess"] = made["api_key"]
    with sign_in(office, "tess") as browser:
        assert browser.get("/v1/me").status_code == 200
        assert browser.post("/v1/halts", json={"scope": "tool:x", "reason": "x"}).status_code == 401
        office.ok("PATCH", f"/v1/people/{made['person_id']}", {"is_active": False})
        assert browser.get("/").status_code == 401
        assert browser.get("/v1/me").status_code == 401


def test_whoever_is_not_signed_in_meets_the_form_where_they_stand(office: Office) -> None:
    answer = office.call("GET", "/actions/act_1", who=None)
    assert answer.status_code == 401
    assert 'action="/login"' in answer.text
    stale = office.call("GET", "/", who=None, headers={"Cookie": "signoff_session=" + "0" * 64})
    assert (stale.status_code, "session is over" in stale.text) == (401, True)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"key=sgk_wrong", FORM, 401),
        (b"key=sgk_" + b"0" * 32 + b"_" + b"0" * 64, FORM, 401),
        (b"", FORM, 422),
        (b"key=a&key=b", FORM, 422),
        (b"key=a&name=b", FORM, 422),
        (b"key=\xff", FORM, 422),
        (b"key=" + b"x" * 5000, FORM, 413),
        (b'{"key": "x"}', {"Content-Type": "application/json"}, 415),
        (b"key=x", FORM | {"Sec-Fetch-Site": "cross-site"}, 403),
        (b"key=x", FORM | {"Origin": "https://elsewhere.test"}, 403),
    ],
)
def test_a_sign_in_that_is_not_right_is_a_page_that_says_so(
    office: Office, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = office.http.post(f"{office.url}/login", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "set-cookie" not in answer.headers
    assert "0" * 64 not in answer.text


def test_an_agents_key_signs_nobody_in_and_its_token_sees_no_page(office: Office) -> None:
    answer = office.http.post(f"{office.url}/login", content=f"key={office.keys['clerk']}", headers=FORM)
    assert answer.status_code == 403
    assert office.call("GET", "/", who="clerk").status_code == 403


def test_what_is_not_there_is_a_page_too(office: Office) -> None:
    for path in ("/actions/act_1", "/receipts/rcp_1"):
        answer = office.call("GET", path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
