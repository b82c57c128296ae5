# SPDX-License-Identifier: Apache-2.0
"""Render the read-only pages: pure functions from plain values to HTML text.

Every expression of a template passes one gate (`hostile.visible`, then escaping), so that no value is ever markup and
no character that reorders, hides or joins text goes unseen. The pages need no script, no inline style and nothing from
elsewhere.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from signoff.surfaces.web import diff, figures, hostile, statics
from signoff.surfaces.web.models import Document, Event, Home, ReceiptLink, ReceiptView


def home(model: Home) -> str:
    """Return the page for `/`."""
    return _page("home.html", m=model)


def action(document: Document, timeline: Sequence[Event], receipt: ReceiptLink | None) -> str:
    """Return the page for `/actions/{id}`: one action as a straight walk from proposal to undo."""
    args, preview = document["args"], document["preview"]
    return _page(
        "action.html",
        d=document,
        timeline=timeline,
        receipt=receipt,
        arguments=diff.arguments(args),
        changes=diff.rows(preview["changes"]) if preview else [],
        at={name.removesuffix("_at"): at for name, at in document["timestamps"].items()},
    )


def receipt(bundle_view: ReceiptView) -> str:
    """Return the page for `/receipts/{id}`: what was done, on whose approval, and how to prove it offline."""
    return _page("receipt.html", r=bundle_view, changes=diff.rows(bundle_view.get("changes") or []))


def sign_in(error: str | None = None) -> str:
    """Return the page for `/login`; `error` says why the last key was refused, never the key."""
    return _page("sign_in.html", error=error)


def problem(status: int, what: str, why: str, fix: str) -> str:
    """Return the page of an error."""
    return _page("problem.html", status=status, what=what, why=why, fix=fix)


def _page(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("signoff.surfaces.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_gate,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        text=hostile.text,
        shown=hostile.shown,
        prose=hostile.prose,
        clip=hostile.clip,
        when=figures.when,
        digest=figures.digest,
        short=figures.short,
        leaves=diff.leaves,
        usd=figures.usd,
        segment=figures.segment,
        path=hostile.path,
        bar=figures.bar,
    )
    made.globals.update(elapsed=figures.elapsed, statics=statics.addresses())
    return made


def _gate(value: Any) -> Any:
    """Pass every expression of every template: markup of ours as it is, all else made visible, then escaped."""
    return value if isinstance(value, Markup) else hostile.visible(str(value))
