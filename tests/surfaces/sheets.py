# SPDX-License-Identifier: Apache-2.0
"""What pages are given in tests: whole, bare, and with any text wherever a document may hold some."""

from typing import Any, cast

from hypothesis import strategies as st

from signoff.core.action.lifecycle import State
from signoff.surfaces.web import render
from signoff.surfaces.web.models import Document, Event, Home, ReceiptView

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
        controls=[
            {
                "name": text,
                "state": state,
                "note": text,
                "asked_by": [{"workflow": text, "version": text, "key": text, "line": 4}],
            }
            for state in ("on", "off", "inert")
        ],
        actions=[
            {
                "action_id": text,
                "at": text,
                "workflow": text,
                "agent": text,
                "tool": text,
                "state": text,
                "why": text,
                "signers": [{"person": text, "decision": "reject"}],
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
        **dict.fromkeys(("workflow", "environment", "agent", "principal", "asker", "explain"), text),
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


def event(text: str) -> Event:
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


def examples() -> dict[str, str]:
    made = pages("plain") | {"empty": render.home(home()), "sign in": render.sign_in()}
    made |= {f"action {state}": render.action(document(state=state), [], None) for state in State}
    bare = {"approval": None, "preview": None, "decision": None, "cost": None, "explain": None, "digest": None}
    made["bare"] = render.action(document(state="proposed", timestamps={}, args={"proposed": {}}, **bare), [], None)
    made["promised"] = render.receipt(receipt_view(inclusion=None, voters=[], changes=None, result=None))
    return made


PAGES = examples()

any_text = st.text(st.one_of(st.characters(), st.sampled_from("<>&\"'{}%\u202e\u200b\u2066\ud800\x00\n")), max_size=400)
