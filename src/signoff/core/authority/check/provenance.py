# SPDX-License-Identifier: Apache-2.0
"""Where the values come from: what fails asks with the true origins, or denies where the page says so (ADR 0022)."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, Outcome, ask, deny, passed

ORIGIN_REASONS = frozenset({"provenance_unproved", "provenance_intent", "provenance_barred"})


def provenance(b: Bearing, _: Mapping[str, Any]) -> Check:
    """Each argument under a rule stands where the page says, and the task asks for this kind of act."""
    rule = b.envelope.provenance.get(b.tool)
    if rule is None or b.reversal is not None:
        return passed("provenance")
    traced = b.traced
    if traced is None:  # nobody has traced it: then nothing is proved
        return deny("provenance", "provenance_unproved", "Nothing was traced for this call.")
    if not traced.failed and traced.asks_for_act:
        found = (f"{name}: {' and '.join(origins)}" for name, origins in traced.origins.items() if origins)
        return Check("provenance", Outcome.PASS, "", "\n".join(found))
    why = traced.why
    if not traced.asks_for_act:
        wanted = " or ".join(rule.intents)
        why = f"The task does not ask for this kind of act; the page wants it to say {wanted}.\n{why}".strip()
    if traced.is_barred:
        return deny("provenance", "provenance_barred", f"A call of this run was refused for its origins before.\n{why}")
    if rule.then_deny:
        if traced.failed:
            return deny("provenance", "provenance_unproved", why)
        return deny("provenance", "provenance_intent", why)
    if traced.failed:
        return ask("provenance", "provenance_unproved", why)
    return ask("provenance", "provenance_intent", why)
