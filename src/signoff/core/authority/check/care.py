# SPDX-License-Identifier: Apache-2.0
"""What asks by default: the class of the tool, the page, its mode, and controls that are missing."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.contract import Effect, Risk
from signoff.core.authority.decision import Check, Duty, ask, ask_by_default, deny, inert, passed
from signoff.core.authority.envelope import Mode


def risk_class(b: Bearing, _: Mapping[str, Any]) -> Check:
    """Class C asks; class D is denied until the compliance owner's review is on record, then asks two people."""
    assert b.contract is not None
    if b.contract.risk is Risk.D and not b.is_reviewed:
        return deny(
            "class", "class_d_unreviewed", "Class D needs the compliance owner's policy review on record first."
        )
    worst = max(b.contract.risk, b.reversal.original_risk) if b.reversal else b.contract.risk
    if worst is Risk.D:
        return _class_d(b)
    if b.reversal and b.reversal.owed:
        return ask("class", "as_original", "An agent's reversal owes what the original owed.", *b.reversal.owed)
    if worst >= Risk.C and b.contract.effect is not Effect.READ:
        return ask_by_default(
            "class", "class_c", "Class C (money, messages sent, access, irreversible) asks each time."
        )
    return passed("class")


def _class_d(b: Bearing) -> Check:
    roles = tuple(sorted(set(b.envelope.approval_roles)))
    if len(roles) < 2:
        why = f"Class D takes two people of different roles; the page names {len(roles)} in `approval_roles`."
        return deny("class", "class_d_one_role", why)
    two = Duty(roles, 2, True, b.envelope.expires_us, "class_d", distinct_roles=True)
    return ask("class", "class_d", "Class D asks two people of different roles each time, whatever allows.", two)


def writes(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The envelope lets writes ask, which it does when silent."""
    assert b.contract is not None
    if b.envelope.writes_ask and b.contract.effect is not Effect.READ:
        return ask_by_default("writes", "write_asks", "The envelope asks for an approval of every write.")
    return passed("writes")


def mode(b: Bearing, _: Mapping[str, Any]) -> Check:
    """In watch every call asks, in assist every write."""
    assert b.contract is not None
    if b.envelope.mode is Mode.WATCH:
        return ask("mode", "mode_watch", "In mode watch every call waits for a person.")
    if b.envelope.mode is Mode.ASSIST and b.contract.effect is not Effect.READ:
        return ask("mode", "mode_assist", "In mode assist every write waits for a person.")
    return passed("mode")


def injection(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The score port: asked for by the envelope, and no scorer is installed, so a person stands in for it."""
    if b.envelope.injection_threshold_ppm is None:
        return passed("injection")
    return inert(
        "injection",
        "no_injection_scorer",
        "The envelope asks for an injection score; no scorer is installed.",
    )
