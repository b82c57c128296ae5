# SPDX-License-Identifier: Apache-2.0
"""The pages in a real browser: one governed write is found, read, and proved from what the browser saved.

Chromium comes from the operating system (`make browser`), is never downloaded by a test, and can resolve no name.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

from signoff.ledger.checkpoint import parse_keys
from signoff.ledger.verify import Outcome, verify_receipt
from tests.surfaces.office import ENTRY, WORKFLOW, Office, envelope, opened

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
HOSTILE = "<img src=https://elsewhere.test/x onerror=alert(1)><style>*{display:none}</style>\u202epaid " + "x" * 150
SECRETS = ("erp.", "Ann", "clerk", "BP-2026-0412", WORKFLOW, "payload")
expect.set_options(timeout=10_000)  # milliseconds; a page is quick, a shared machine may not be
FOCUSABLE = "a[href], button, input, summary, [tabindex='0']"


@dataclass
class Scene:
    """An installation where one write was approved and done, and a hostile one waits."""

    office: Office
    browser: Browser
    done: dict[str, Any]
    waiting: dict[str, Any]

    def paths(self) -> list[str]:
        """Return the address of every kind of page that needs a session."""
        found = [f"/actions/{self.done['action_id']}", f"/actions/{self.waiting['action_id']}"]
        return ["/", *found, f"/receipts/{self.done['receipt_id']}"]

    @contextmanager
    def visit(self, who: str | None = "zoe", width: int = 1280, scheme: Any = "light") -> Iterator["Visit"]:
        """Open a page of a fresh browser profile, signed in as someone; at the end it must have met no fault."""
        context = self.browser.new_context(
            base_url=self.office.url, viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        context.set_default_timeout(10_000)
        try:
            visit = Visit(context, context.new_page())
            visit.watch()
            if who is not None:
                visit.sign_in(self.office.keys[who])
                expect(visit.page).to_have_url(f"{self.office.url}/")
            yield visit
            assert visit.complaints == []
            assert visit.hosts == {urlsplit(self.office.url).netloc}
        finally:
            context.close()


@dataclass
class Visit:
    """One browser profile: what its console said, and whom it asked."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        # What a policy forbids is reported to the page itself, too; the console may be silent about some of it.
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective}`))"
        )

    def open(self, path: str) -> Response:
        answer = self.page.goto(path)
        assert answer is not None
        return answer

    def sign_in(self, key: str) -> None:
        self.open("/login")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()

    def refusals(self) -> list[str]:
        """Take away what the console said of answers that are no success, and return it."""
        found = [one for one in self.complaints if one.startswith("Failed to load resource")]
        self.complaints = [one for one in self.complaints if one not in found]
        return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("There is no browser to look at the pages with: run `make browser`.", pytrace=False)
    with (
        opened(tmp_path_factory.mktemp("browser")) as office,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=found, args=ARGUMENTS) as browser,
    ):
        asked = envelope(version="2", more="models: {reasoning: frontier}\n")
        office.ok("PUT", f"/v1/envelopes/{WORKFLOW}", {"text": asked}, who="arthur")
        run_id = office.begin()
        body = {"tool": "erp.create_journal_entry", "args": ENTRY, "rationale": "It matches its order."}
        asked_for = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=0", body, who="clerk")
        done = office.approve(office.until(asked_for, "pending_approval"))
        assert done["state"] == "succeeded", done
        office.receipt(done["action_id"])
        yield Scene(office, browser, done, office.waiting(run_id, note=HOSTILE))


def test_a_person_goes_from_signing_in_to_a_receipt_that_verifies(scene: Scene, tmp_path: Path) -> None:
    with scene.visit() as visit:
        page, action_id, receipt_id = visit.page, scene.done["action_id"], scene.done["receipt_id"]
        expect(page.get_by_role("region", name="1 control is asked for and does nothing")).to_contain_text(
            re.compile(r"Asked for by models, line \d+ of invoice_reconcile 2")
        )
        line = page.locator("table.actions tr", has=page.locator(f"a[href='/actions/{action_id}']"))
        expect(line).to_contain_text("Done")
        expect(line.locator("td.by")).to_have_text("Ann")
        waiting = page.get_by_role("region", name="Waiting for a person")
        expect(waiting).to_contain_text("for FinanceAdmin")

        line.get_by_role("link").click()
        expect(page).to_have_title("erp.create_journal_entry: Done · Signoff")
        expect(page.locator(".signed")).to_have_text("Signed off by Ann as FinanceAdmin.")
        changed = page.locator("table.diff tr.changed", has_text="open_cents")
        expect(changed.locator(".before")).to_have_text("145200")
        expect(changed.locator(".after")).to_have_text("0")
        expect(page.locator("table.votes")).to_contain_text("Because: It matches.")

        page.get_by_role("link", name=f"Signed receipt {receipt_id}").click()
        proof = page.get_by_role("region", name="Where it stands in the log")
        expect(proof).to_contain_text("in a log of")
        proof.get_by_text("Audit path").click()
        expect(proof.locator(".path-list li").first).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("link", name="the signed receipt as data").click()
        assert saved.value.suggested_filename == f"{receipt_id}.json", "the command on the page names this file"
        saved.value.save_as(tmp_path / "receipt.json")

    keys = parse_keys(scene.office.call("GET", "/v1/ledger/keys", who="audra").text)
    bundle = (tmp_path / "receipt.json").read_bytes()
    verdict = verify_receipt(bundle, keys)
    assert verdict.outcome is Outcome.INCLUDED, verdict
    assert verdict.statement and verdict.statement["predicate"]["action"] == action_id
    assert verify_receipt(bundle.replace(b"145200", b"145201"), keys).outcome is Outcome.FALSE


def test_whoever_is_signed_out_meets_the_form_and_nothing_else(scene: Scene) -> None:
    raw = f"/v1/receipts/{scene.done['receipt_id']}"
    with scene.visit(who=None) as visit:
        visit.context.add_cookies([{"name": "signoff_session", "value": "0" * 64, "url": scene.office.url}])
        for path in (*scene.paths(), "/actions/act_1", raw):
            assert visit.open(path).status == 401
            assert not [one for one in SECRETS if one in visit.page.content()], path
            if path != raw:
                expect(visit.page.locator("form")).to_have_attribute("action", "/login")
        assert len(visit.refusals()) == len(scene.paths()) + 2


def test_a_wrong_key_is_refused_on_the_page_and_not_kept(scene: Scene) -> None:
    key = scene.office.keys["zoe"]
    wrong = key[:-4] + ("0000" if key[-4:] != "0000" else "1111")
    with scene.visit(who=None) as visit:
        visit.sign_in(wrong)
        expect(visit.page.get_by_role("alert")).to_contain_text("That did not work.")
        expect(visit.page.get_by_label("API key")).to_have_value("")
        assert wrong not in visit.page.content() and visit.context.cookies() == []
        assert visit.open("/").status == 401
        assert len(visit.refusals()) == 2
        visit.sign_in(key)
        expect(visit.page.get_by_role("heading", name="Latest actions")).to_be_visible()


def test_the_keyboard_alone_signs_in_and_reaches_everything_in_sight(scene: Scene) -> None:
    with scene.visit(who=None) as visit:
        page = visit.page
        visit.open("/login")
        _tab_to(page, "#key")
        page.keyboard.type(scene.office.keys["zoe"])
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{scene.office.url}/")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main", "the first stop skips to the content"
        for path in (f"/actions/{scene.done['action_id']}", f"/receipts/{scene.done['receipt_id']}"):
            assert _unreached(page) == []
            _tab_to(page, f"a[href='{path}']")
            page.keyboard.press("Enter")
            expect(page).to_have_url(scene.office.url + path)
        assert _unreached(page) == []
        _tab_to(page, "summary")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.parentElement.open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_small_telephone(scene: Scene, scheme: str) -> None:
    with scene.visit(width=360, scheme=scheme) as visit:
        for path in [*scene.paths(), "/actions/act_1", "/login"]:
            visit.open(path)
            for summary in visit.page.locator("summary").all():
                summary.click()
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert len(visit.refusals()) == 1, "only the action that does not exist is refused"


def test_what_a_hostile_note_asks_of_the_browser_is_shown_and_not_done(scene: Scene) -> None:
    with scene.visit() as visit:
        visit.open(f"/actions/{scene.waiting['action_id']}")
        note = visit.page.locator("table.diff td.after")
        expect(note).to_contain_text("<img src=https://elsewhere.test/x onerror=alert(1)>")
        expect(note.locator(".hidden-char")).to_have_text("⟨U+202E⟩")
        expect(visit.page.get_by_text("Nobody has answered yet.")).to_be_visible()


def test_what_a_page_tried_against_the_policy_would_have_been_noticed(scene: Scene) -> None:
    with scene.visit() as visit:
        visit.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=color:red>')")
        visit.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://elsewhere.test/x'}))")
        visit.page.evaluate("new Promise(done => setTimeout(done, 200))")  # reports come after the deed
        said = [one for one in visit.complaints if one.startswith("policy: ")]
        assert said == ["policy: style-src-attr", "policy: img-src"]
        visit.complaints.clear()
        visit.hosts.discard("elsewhere.test")


def _tab_to(page: Page, selector: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def _unreached(page: Page) -> list[str]:
    """Walk the page with Tab, and return what can be used but was not reached, or did not show that it was."""
    page.evaluate(
        """selector => {
            window.stops = [...document.querySelectorAll(selector)].filter(one => one.checkVisibility());
            window.reached = new Set();
            addEventListener('focusin', event => {
                const drawn = getComputedStyle(event.target);
                if (drawn.outlineStyle !== 'none' && parseFloat(drawn.outlineWidth) >= 2) reached.add(event.target);
            });
        }""",
        FOCUSABLE,
    )
    for _ in range(page.evaluate("stops.length") + 2):  # once around, past the browser's own stop
        page.keyboard.press("Tab")
    left: list[str] = page.evaluate("stops.filter(one => !reached.has(one)).map(one => one.outerHTML.slice(0, 120))")
    return left
