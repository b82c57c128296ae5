# SPDX-License-Identifier: Apache-2.0
"""How much money may be spent beyond the task: by one user, one agent, one workflow, the whole tenant."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, deny, passed
from signoff.core.money import dollars


def spend_caps(b: Bearing, _: Mapping[str, Any]) -> Check:
    """What is settled and reserved, with this call, stays within the page's caps of user, agent, workflow, tenant."""
    assert b.contract is not None
    cost = b.contract.cost_usd_micros
    for spent in b.spent:
        cap = spent.cap
        if cost and spent.usd_micros + cost > cap.cap_usd_micros:
            until = datetime.fromtimestamp(spent.until // 1_000_000, UTC)
            return deny(
                "spend_caps",
                "spend_cap_exhausted",
                f"The cap of this {cap.per}: USD {dollars(spent.usd_micros)} is spent or set aside in this period, "
                f"this call costs {dollars(cost)}, the cap is {dollars(cap.cap_usd_micros)}. "
                f"The period ends {until:%Y-%m-%d %H:%M}Z.",
            )
    return passed("spend_caps")
