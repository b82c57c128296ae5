# SPDX-License-Identifier: Apache-2.0
"""The pages fool nobody: hostile text stays text, every state has words, and they work without script or style."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.action.lifecycle import State
from signoff.core.authority.policy import Outcome, Verdict
from signoff.core.errors import NotFound
from signoff.ledger.canonical import canonical
from signoff.ledger.checkpoint import verifier_key
from signoff.ledger.dsse import PAYLOAD_TYPE, envelope, pae
from signoff.surfaces.web import render
from signoff.surfaces.web.render import Document, Home, ReceiptView

ACTION = "act_01931f5e-7c2a-7b44-9d1e-5a0c3f6b8e21"
DIGEST = "sha256:" + "0123456789abcdef" * 4
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:x' style='color:red'>{{ 7*7 }}"


def document(**changes: Any) -> Document:
    """Return an action that went all the way."""
    args = {"vendor_id": "V-20418", "amount_cents": 1248000, "lines": [{"account": "6010"}], "memo": "Paper"}
    whole: dict[str, Any] = {
        "action_id": ACTION,
        "run_id": "run_1",
        "tool": "erp.create_journal_entry",
        "state": "succeeded",
        "workflow": "invoice_reconcile",
        "agent": "invoice-agent",
        "decision": {
            "verdict": "ask",
            "checks": [
                {"check": "agent", "outcome": "pass", "reason": "", "detail": ""},
                {"check": "class", "outcome": "ask", "reason": "class_c", "detail": "Class C asks each time."},
            ],
        },
        "args": {
            "proposed": args,
            "approved": args | {"memo": "Paper, Q4"},
            "effective": args | {"memo": "Paper, Q4", "key": "9f2c"},
        },
        "digest": DIGEST,
        "revision": 2,
        "preview": {
            "digest": DIGEST,
            "summary": "changes entry.vendor",
            "changes": [
                {"path": "entry.vendor", "before": None, "after": "Northwind"},
                {"path": "po.hold", "before": "short delivery", "after": None},
                {"path": "vendor.iban", "before": "DE89 3704 0532", "after": "DE89 3704 0523"},
                {"path": "po.status", "before": "open", "after": "open"},
            ],
        },
        "approval": {
            "owed": [{"roles": ["FinanceAdmin"], "count": 1, "reason": "class_c"}],
            "votes": [vote()],
        },
        "result": {"entry_id": "JE-1"},
        "receipt_id": "rcp_1",
        "cost": {"settled_usd_micros": 2000},
        "timestamps": {"proposed_at": "2026-11-20T22:41:02Z", "approved_at": "2026-11-20T22:44:50Z"},
        "explain": "One holder of FinanceAdmin approved it.",
    }
    return cast(Document, whole | changes)


def vote(**changes: Any) -> dict[str, Any]:
    return {
        "person": "dana@acme.test",
        "role": "FinanceAdmin",
        "at": "2026-11-20T22:44:50Z",
        "decision": "approve",
        "digest": DIGEST,
        "reason": "Matches the order.",
    } | changes


def home(**changes: Any) -> Home:
    whole: dict[str, Any] = {
        "installation": {"name": "Acme", "tenant": "acme", "version": "0.1.0", "storage": "SQLite"},
        "as_of": "2026-11-20T22:45:12Z",
        "controls": [],
        "actions": [],
        "next_cursor": None,
        "waiting": [],
        "halts": [],
        "ledger": None,
        "spend": [],
    }
    return cast(Home, whole | changes)


def full_home(text: str = "plain") -> Home:
    return home(
        installation={"name": text, "tenant": text, "version": text, "storage": text},
        controls=[{"name": text, "state": state, "note": text, "fix": text} for state in ("on", "off", "inert")],
        actions=[
            {
                "action_id": text,
                "at": text,
                "workflow": text,
                "agent": text,
                "tool": text,
                "state": text,
                "why": text,
            }
        ],
        next_cursor=text,
        waiting=[
            {
                "action_id": text,
                "state": "held",
                "tool": text,
                "workflow": text,
                "summary": text,
                "since": text,
                "roles": [text],
                "expires": text,
            }
        ],
        halts=[{"halt_id": text, "scope": text, "reason": text, "by": text, "since": text, "in_flight": 1}],
        ledger={"origin": text, "size": 3, "root": text, "at": text, "mirror": False},
        spend=[
            {
                "scope": text,
                "window": text,
                "settled_usd_micros": 1,
                "reserved_usd_micros": 1,
                "cap_usd_micros": 9,
            }
        ],
    )


def receipt_view(text: str = "plain", **changes: Any) -> ReceiptView:
    names = (
        "receipt_id action_id run_id workflow environment agent principal tool tool_contract envelope digest at key_id "
        "log leaf due reverses executed_by"
    )
    whole: dict[str, Any] = dict.fromkeys(names.split(), text)
    whole |= {
        "state": "succeeded",
        "revision": 1,
        "attempts": 1,
        "voters": [{"person": text, "role": text, "at": text, "digest": text, "assurance": text}],
        "self_approved": True,
        "cost_usd_micros": 2000,
        "commitments": {"preview": text},
        "inclusion": {"index": 2, "size": 3, "root": text, "path": [text], "at": text},
        "changes": [{"path": text, "before": text, "after": {text: text}}],
        "result": {text: text},
    }
    return cast(ReceiptView, whole | changes)


def hostile_document(text: str) -> Document:
    return document(
        **dict.fromkeys(("action_id", "run_id", "tool", "digest", "reverses", "reversed_by", "receipt_id"), text),
        **dict.fromkeys(("workflow", "environment", "agent", "principal", "explain"), text),
        args={"proposed": {text: text, "a": [text]}, "effective": {text: text + "x"}},
        decision={
            "verdict": text,
            "checks": [{"check": text, "outcome": text, "reason": text, "detail": {text: text}}],
        },
        preview={"digest": text, "summary": text, "changes": [{"path": text, "before": text, "after": text + "!"}]},
        approval={
            "owed": [{"roles": [text], "count": 1, "reason": text}],
            "votes": [vote(person=text, role=text, at=text, digest=text, reason=text, assurance=text)],
            "expires": text,
        },
        hold={text: text},
        result={text: text},
        error={text: [text]},
        timestamps={"proposed": text, "decided": text},
        claims={"rationale": text},
    )


def event(text: str) -> render.Event:
    return {"at": text, "type": text, "by": text, "note": text, "index": 7}


def pages(text: str) -> dict[str, str]:
    """Return every page with `text` wherever a document may hold any."""
    return {
        "home": render.home(full_home(text)),
        "action": render.action(hostile_document(text), [event(text)], {"receipt_id": text}),
        "receipt": render.receipt(receipt_view(text)),
        "sign_in": render.sign_in(text),
        "problem": render.problem(404, text, text, text),
    }


class Reader(HTMLParser):
    """Reads a page strictly: what it notes in `faults` a browser would silently mend, or should never meet."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "wbr", "rect"})
    BLOCK = frozenset({"p", "div", "ul", "ol", "dl", "table", "details", "pre", "section", "h1", "h2", "form"})

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.headings: list[int] = []
        self.feed(page)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.BLOCK and "p" in self.open:
            self.faults.append(f"<{tag}> inside <p>")
        if tag in self.BLOCK and "summary" in self.open:
            self.faults.append(f"<{tag}> inside <summary>")
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")
        if tag in {"td", "th"}:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def examples() -> dict[str, str]:
    made = pages("plain") | {"empty": render.home(home()), "sign in": render.sign_in()}
    made |= {f"action {state}": render.action(document(state=state), [], None) for state in State}
    bare = {"approval": None, "preview": None, "decision": None, "cost": None, "explain": None, "digest": None}
    made["bare"] = render.action(document(state="proposed", timestamps={}, args={"proposed": {}}, **bare), [], None)
    made["promised"] = render.receipt(receipt_view(inclusion=None, voters=[], changes=None, result=None))
    return made


PAGES = examples()


# --- structure: what the strict policy, the keyboard and a screen reader rely on ----------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_under_the_strict_policy_and_asks_nothing_of_anybody_else(name: str) -> None:
    for tag, attrs in Reader(PAGES[name]).tags:
        assert tag not in {"script", "style", "iframe", "object", "embed", "base"}
        for attribute, value in attrs.items():
            assert attribute != "style" and not attribute.startswith("on")
            if attribute in {"href", "src", "action"}:
                assert value is not None and re.match(r"/(?!/)|#", value), value


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_can_be_walked_by_its_landmarks_and_headings(name: str) -> None:
    read = Reader(PAGES[name])
    assert read.faults == []
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in read.tags:
        for attribute in ("aria-labelledby", "aria-describedby", "for"):
            assert attrs.get(attribute) in {None, *ids}, (tag, attrs)
    assert [len(read.all(tag)) for tag in ("h1", "main", "header", "footer")][:2] == [1, 1]
    assert all(later - earlier <= 1 for earlier, later in zip([0, *read.headings], read.headings, strict=False))
    assert read.all("a")[0] == {"class": "skip", "href": "#main"}
    assert read.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize("name", PAGES)
def test_a_table_has_a_caption_and_every_header_a_scope(name: str) -> None:
    read = Reader(PAGES[name])
    assert len(read.all("caption")) == len(read.all("table"))
    assert all(attrs.get("scope") in {"col", "row"} for attrs in read.all("th"))


def test_what_a_link_names_cannot_leave_its_place_in_the_address() -> None:
    page = render.home(full_home("../x?y=1&z=#'\""))
    hrefs = [attrs["href"] or "" for attrs in Reader(page).all("a")]
    assert "/actions/..%2Fx%3Fy%3D1%26z%3D%23%27%22" in hrefs
    assert "/?cursor=..%2Fx%3Fy%3D1%26z%3D%23%27%22" in hrefs


# --- hostile text -------------------------------------------------------------------------------------------------


def shape(page: str) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attrs)) for tag, attrs in Reader(page).tags]


def test_markup_in_a_document_is_shown_and_never_obeyed() -> None:
    tame = "-" * len(HOSTILE)
    for (name, page), calm in zip(pages(HOSTILE).items(), pages(tame).values(), strict=True):
        assert shape(page) == shape(calm), name
        assert "<script>alert(1)</script>" in html.unescape(page), name
        assert "{{ 7*7 }}" in html.unescape(page), "a template in a document was run"


@pytest.mark.parametrize(
    "char",
    "\u202e\u202a\u2066\u2069\u200e\u061c\u200b\u200d\u2060\ufeff\u00ad\u00a0\u3164\u2800\ufe0f\x00\x1b\r\ud800\U000e0041",
)
def test_a_character_that_reorders_hides_or_imitates_a_blank_is_named_on_every_page(char: str) -> None:
    for name, page in pages(f"pay{char}able").items():
        page.encode()
        assert char not in page, name
        assert f"pay⟨U+{ord(char):04X}⟩able" in Reader(page).text, name


def test_a_named_character_is_set_apart_from_one_that_was_typed() -> None:
    assert render.text("a\u202eb⟨U+202E⟩") == 'a<span class="hidden-char">⟨U+202E⟩</span>b⟨U+202E⟩'


def test_a_pile_of_marks_cannot_paint_over_other_lines() -> None:
    assert render.visible("a" + "\u0301" * 5) == "a" + "\u0301" * 3 + "⟨U+0301⟩⟨U+0301⟩"
    assert render.visible("Ệ naïve שָׁלוֹם") == "Ệ naïve שָׁלוֹם"


any_text = st.text(st.one_of(st.characters(), st.sampled_from("<>&\"'{}%\u202e\u200b\u2066\ud800\x00\n")), max_size=400)


@given(any_text)
@settings(max_examples=25, deadline=None)
def test_no_text_at_all_becomes_markup_or_goes_unseen(text: str) -> None:
    for name, page in pages(text).items():
        read = Reader(page)
        assert read.faults == [], name
        assert not {tag for tag, _ in read.tags} & {"script", "style", "iframe"}
        assert all(char.isprintable() or char in "\n\t" for char in page), name


@given(any_text)
@settings(deadline=None)
def test_a_value_is_there_in_full_however_long_it_is(text: str) -> None:
    value = f"v{text}{'.' * 300}"
    assert "".join(Reader(str(render.shown(value))).words).endswith(render.visible(value))


def test_a_long_text_is_clipped_in_the_middle_and_whole_on_request() -> None:
    long = "begin " + "x" * 5000 + " end"
    page = str(render.shown(long))
    summary, whole = page.split("</summary>")
    assert "begin" in summary and "end" in summary and "characters …" in summary and len(summary) < 500
    assert long in whole
    assert "<details" in str(render.shown("line\n" * 20 + "end")), "many short lines push everything else away too"


def test_a_string_that_looks_like_something_else_keeps_its_quotes() -> None:
    for looks in ("1248000", "true", "null", "", " x", "absent", '{"a": 1}'):
        assert Reader(str(render.shown(looks))).text == " ".join(json.dumps(looks).split())
    assert Reader(str(render.shown("V-20418"))).text == "V-20418"


def test_a_key_of_an_argument_cannot_pose_as_a_path() -> None:
    honest = render.action(document(args={"proposed": {"a": {"b": 1}}}), [], None)
    forged = render.action(document(args={"proposed": {"a.b": 1}}), [], None)
    assert "a.b" in Reader(honest).text and '["a.b"]' in Reader(forged).text


# --- one action ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_every_state_is_told_in_words_with_a_sign_beside_the_colour(state: State) -> None:
    read = Reader(render.action(document(state=str(state)), [], None))
    label = next(attrs for tag, attrs in read.tags if (attrs.get("class") or "").startswith("state "))
    assert label["class"] != "state doubt" or state in {State.IN_DOUBT, State.NEEDS_PERSON}, "the state has no words"
    assert "This page does not know this state" not in read.text
    title = re.search("<title>(.*?)</title>", render.action(document(state=str(state)), [], None))
    assert title and str(state) not in title[1], "a person reads words, not codes"


def test_outcomes_and_verdicts_are_told_in_words() -> None:
    for outcome in Outcome:
        check = {"check": "class", "outcome": str(outcome), "reason": "r", "detail": "d"}
        said = Reader(render.action(document(decision={"verdict": "ask", "checks": [check]}), [], None)).text
        words = {"pass": "1 check passed", "ask": "asks a person", "deny": "refused", "inert": "could not check"}
        assert words[outcome] in said
    for verdict in Verdict:
        assert f'<p class="says">{verdict}</p>' not in render.action(
            document(decision={"verdict": str(verdict), "checks": []}), [], None
        )


def rows(page: str, table: str) -> list[str]:
    found = re.search(rf'<table class="{table}.*?</table>', page, re.DOTALL)
    assert found
    return [Reader(row).text for row in re.findall("<tr.*?</tr>", found[0], re.DOTALL)]


def test_additions_and_removals_can_be_told_apart_without_colour() -> None:
    said = rows(render.action(document(), [], None), "diff")
    assert said[1].startswith("+ added entry.vendor nothing Northwind")
    assert said[2].startswith("− removed po.hold short delivery nothing")
    assert said[3].startswith("± changed vendor.iban")
    assert said[4].startswith("= the same po.status")


def test_the_very_characters_that_change_are_marked_and_never_clipped_away() -> None:
    iban = render.action(document(), [], None)
    assert "<mark>0532</mark>" in iban and "<mark>0523</mark>" in iban
    before = "x y " * 500 + "DE89" + " z w" * 500
    change = {"path": "note", "before": before, "after": before.replace("DE89", "DE98")}
    page = render.action(document(preview={"digest": DIGEST, "summary": "s", "changes": [change]}), [], None)
    summaries = re.findall("<summary>(.*?)</summary>", page)
    assert any("<mark>DE89</mark>" in one for one in summaries) and any("<mark>DE98</mark>" in one for one in summaries)


@given(any_text, any_text)
@settings(deadline=None)
def test_a_diff_shows_both_sides_whole(before: str, after: str) -> None:
    for side, other in ((before, after), (after, before)):
        shown = "".join(Reader(str(render._pair(side, other)[0])).words)
        assert shown.endswith(render.visible(side))


def test_arguments_that_differ_between_the_three_records_are_flagged() -> None:
    said = rows(render.action(document(), [], None), "arguments")
    assert (
        said[0]
        == "Argument Proposed what the agent sent Approved what people agreed to Effective what goes to the target"
    )
    assert "memo differs Paper Paper, Q4 Paper, Q4" in said
    assert "key differs absent absent 9f2c" in said
    assert "vendor_id V-20418 same same" in said


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (None, "null"), ("1", 1), ([], {})])
def test_values_that_a_target_tells_apart_are_told_apart(one: Any, other: Any) -> None:
    page = render.action(document(args={"proposed": {"a": one}, "effective": {"a": other}}), [], None)
    assert "a differs" in " ".join(rows(page, "arguments"))


def test_one_point_nought_is_one() -> None:
    page = render.action(document(args={"proposed": {"a": 1}, "effective": {"a": 1.0}}), [], None)
    assert rows(page, "arguments")[1:] == ["a 1"]


def test_a_vote_for_another_digest_is_called_out() -> None:
    stale = {"votes": [vote(digest="sha256:" + "ff" * 32)]}
    assert "it does not count" in render.action(document(state="pending_approval", approval=stale), [], None)
    assert "it does not count" not in render.action(document(), [], None)


def test_doubt_says_that_it_may_have_happened() -> None:
    said = Reader(render.action(document(state="in_doubt", result=None), [], None)).text
    assert "It may have happened." in said and "confirmed" not in said


def test_undo_and_what_it_undoes_link_to_each_other() -> None:
    assert 'href="/actions/act_2"' in render.action(document(state="reversed", reversed_by="act_2"), [], None)
    assert 'href="/actions/act_1"' in render.action(document(reverses="act_1"), [], None)


def test_an_agents_document_without_details_can_be_read() -> None:
    check = {"check": "class", "outcome": "ask", "reason": "class_c"}
    page = render.action(document(decision={"verdict": "ask", "checks": [check]}), [], None)
    assert "not shown to this reader" in page


# --- home, receipt, sign in, errors -------------------------------------------------------------------------------


def test_inert_controls_are_announced_above_everything_that_works() -> None:
    page = render.home(full_home())
    assert "1 control is asked for and does nothing" in Reader(page).text
    assert page.index('id="inert"') < page.index('id="latest"')
    assert "asked for and do" not in render.home(home())


def test_an_empty_installation_says_what_to_do_next() -> None:
    said = Reader(render.home(home())).text
    for command in ("signoff tools discover", "signoff check FILE", "signoff demo", "signoff approvals"):
        assert command in said


def test_older_actions_are_one_link_away_and_so_are_the_newest() -> None:
    first, later = render.home(home(next_cursor="a+b")), render.home(home(cursor="a+b"))
    assert 'rel="next" href="/?cursor=a%2Bb"' in first and "Newest" not in first
    assert "There are no earlier actions" in later and '<a href="/">Newest</a>' in later


@pytest.mark.parametrize(
    ("micros", "said"),
    [(1_284_331_200, "1,284.3312"), (2000, "0.002"), (0, "0.00"), (-1_500_000, "-1.50"), (1, "0.000001")],
)
def test_money_is_exact(micros: int, said: str) -> None:
    assert render.usd(micros) == said


@given(st.integers(-(2**53), 2**53))
def test_a_grouped_number_copies_as_the_number(number: int) -> None:
    assert "".join(Reader(str(render.shown(number))).words) == str(number)


def test_a_digest_is_shown_whole_and_copies_whole() -> None:
    assert "".join(Reader(str(render.digest(DIGEST))).words) == DIGEST
    assert render.short(DIGEST) == "0123456789ab"


def test_times_are_utc_and_what_is_no_time_is_not_made_one() -> None:
    assert ">20 Nov 2026, 22:41:02 UTC<" in render.when("2026-11-20T23:41:02+01:00")
    assert "<time" not in render.when("2026-11-20T22:41:02") and "<time" not in render.when("soon")
    assert render.elapsed("2026-11-20T22:41:02Z", "2026-11-20T22:44:50Z") == "3 min 48 s"
    assert render.elapsed("2026-11-20T22:44:50Z", "2026-11-20T22:41:02Z") == ""


def test_a_receipt_names_its_place_in_the_log_and_how_to_check_it() -> None:
    said = Reader(render.receipt(receipt_view(receipt_id="rcp_1"))).text
    assert "2 in a log of 3" in said and "signoff verify rcp_1.json --key KEY" in said and "openssl pkeyutl" in said
    assert "must stand there by" in Reader(PAGES["promised"]).text


@pytest.mark.skipif(not all(map(shutil.which, ("sh", "jq", "openssl", "awk", "base64"))), reason="needs jq and openssl")
def test_the_recipe_on_a_receipt_verifies_the_signature_and_refuses_a_bent_one(tmp_path: Path) -> None:
    recipe = re.search('aria-label="Shell recipe"><code>(.*?)</code>', render.receipt(receipt_view()), re.DOTALL)
    assert recipe
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    lines = [verifier_key("acme/receipt", one.public_key().public_bytes_raw()) for one in (other, key)]
    (tmp_path / "KEY").write_text("# keys\n" + "".join(f"{line} 0\n" for line in lines))
    payload = canonical({"predicate": {"tool": "erp.create_journal_entry", "note": "é"}})
    keyid = lines[1].rsplit("+", lines[1].count("+") - 1)[0]
    sealed = envelope(payload, keyid, key.sign(pae(PAYLOAD_TYPE, payload)))
    bent = sealed | {"payload": envelope(payload[:-1] + b" ", keyid, b"")["payload"]}
    for dsse, is_true in ((sealed, True), (bent, False)):
        (tmp_path / "receipt.json").write_bytes(canonical({"dsse": dsse, "inclusion": {}}))
        ran = subprocess.run(
            ["sh", "-e", "-c", html.unescape(recipe[1])], cwd=tmp_path, capture_output=True, check=False
        )
        assert (ran.returncode == 0) is is_true, ran.stderr
        assert (b"Verified Successfully" in ran.stdout) is is_true


def test_the_key_field_is_hidden_never_filled_in_and_posted() -> None:
    read = Reader(render.sign_in("no such key"))
    assert read.all("form") == [{"method": "post", "action": "/login", "autocomplete": "off"}]
    (field,) = read.all("input")
    assert field["type"] == "password" and field["autocomplete"] == "off" and "value" not in field
    assert "no such key" in read.text and "aria-invalid" in field


def test_an_error_says_what_why_and_how_to_mend_it() -> None:
    said = Reader(render.problem(404, "No such action.", "It is not of this tenant.", "Check the id.")).text
    assert all(part in said for part in ("404", "No such action.", "It is not of this tenant.", "Check the id."))


# --- static files and colours -------------------------------------------------------------------------------------


def test_static_files_are_named_by_their_content_and_nothing_else_is_served() -> None:
    page = Reader(render.sign_in())
    names = [(attrs.get("href") or attrs.get("src") or "") for tag, attrs in page.tags if tag in {"link", "img"}]
    for name in names:
        content, kind, etag = render.static_file(name.removeprefix("/static/"))
        assert content and etag.strip('"') in name and re.fullmatch(r'"[0-9a-f]{16}"', etag)
        assert kind.startswith(("text/css", "image/svg+xml"))
    for name in ("signoff.css", "../render.py", "", "signoff.0000000000000000.css"):
        with pytest.raises(NotFound):
            render.static_file(name)


def stylesheet() -> str:
    name = Reader(render.sign_in()).all("link")[0]["href"] or ""
    return render.static_file(name.removeprefix("/static/"))[0].decode()


def test_the_style_sheet_loads_nothing() -> None:
    assert not re.search(r"url\(|@import|https?:|@font-face", stylesheet())


def schemes() -> Mapping[str, Mapping[str, str]]:
    light, dark, paper = (
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\n\s*\}", stylesheet(), re.DOTALL)
    )
    return {"light": light, "dark": light | dark, "print": light | paper}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


INKS: Sequence[tuple[str, Sequence[str]]] = [
    (ink, ("paper", "sheet", "band"))
    for ink in ("ink", "ink-2", "link", "good", "wait", "bad", "doubt", "move", "quiet")
] + [
    ("bad", ("bad-wash",)), ("wait", ("wait-wash",)), ("doubt", ("wait-wash", "doubt-wash")), ("mark-ink", ("mark",)),
    *((ink, ("bad-wash", "wait-wash", "doubt-wash")) for ink in ("ink", "ink-2", "link")),
    *(("on-tone", (tone,)) for tone in ("good", "wait", "bad", "doubt", "move", "link")),
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_ink_is_legible_on_every_ground_it_stands_on(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text; axe cannot judge text beside drawn marks, so the tokens are computed."""
    tokens = schemes()[scheme]
    for ink, grounds in INKS:
        for ground in grounds:
            one, other = sorted((luminance(tokens[ink]), luminance(tokens[ground])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (scheme, ink, ground)
