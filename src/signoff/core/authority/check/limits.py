# SPDX-License-Identifier: Apache-2.0
"""How much a workflow may do within a sliding window, summed over all its runs and agents."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, Duty, ask, deny, passed
from signoff.core.authority.limit import duration
from signoff.core.authority.rules import Then


def limits(b: Bearing, _: Mapping[str, Any]) -> Check:
    """What it adds, with what stands in the window, stays within each limit of the page about the tool."""
    said: list[str] = []
    duties: list[Duty] = []
    for impact in b.impacts:
        limit = impact.limit
        if impact.amount is None:
            why = "its amount must be an integer of 0 or more, and its `per` a text that is not empty"
            return deny("limits", "limit_unevaluable", f"The limit {limit.limit_id} has no value here: {why}.")
        if impact.total <= limit.most:
            continue
        window = duration(limit.window_us)
        detail = f"{limit.limit_id}: {impact.total} within {window} with this call, at most {limit.most}."
        if limit.then is Then.DENY:
            return deny("limits", "limit_exceeded", detail)
        said.append(detail)
        e = b.envelope
        duties.append(limit.duty or Duty(e.approval_roles, 1, True, e.expires_us, "limit_exceeded"))
    return ask("limits", "limit_exceeded", " ".join(said), *dict.fromkeys(duties)) if said else passed("limits")
