# SPDX-License-Identifier: Apache-2.0
"""Whether the delegation that a run was begun under covers the call, and its grantor may still do it themselves."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.check.permission import lacking
from signoff.core.authority.contract import Effect
from signoff.core.authority.decision import Check, deny, passed
from signoff.core.authority.delegation import Held, covers, reach_of


def delegation(b: Bearing, args: Mapping[str, Any]) -> Check:
    """The run's delegation, and each above it, covers the call, and whoever granted it may do as much now."""
    if b.run.delegation_id is None:
        if b.is_delegation_required:
            return deny("delegation", "delegation_required", "No person has delegated anything to this run.")
        return passed("delegation")
    if b.delegated is None or not b.delegated.chain:
        return deny("delegation", "delegation_revoked", f"{b.run.delegation_id} is not known any more.")
    for held in b.delegated.chain:
        name = held.delegation.delegation_id
        match _refused(b, args, held):
            case "delegation_revoked":
                return deny("delegation", "delegation_revoked", f"{name} was revoked.")
            case "delegation_expired":
                return deny("delegation", "delegation_expired", f"The time of {name} has not begun, or is over.")
            case "delegation_used_up":
                return deny("delegation", "delegation_used_up", f"As much as {name} allows was done, or set aside.")
            case "":
                continue
            case _:
                why = f"{name} is not about this tool with these arguments in this environment."
                return deny("delegation", "delegation_narrower", why)
    grantor = b.delegated.grantor
    if grantor is None or not grantor.is_active:
        return deny("delegation", "grantor_lost", "The person who granted it is no longer active.")
    if b.reversal is None and (why := lacking(b, args, grantor)):
        return deny("delegation", "grantor_lost", f"Whoever granted it may not do this themselves now. {why}")
    return passed("delegation")


def _refused(b: Bearing, args: Mapping[str, Any], held: Held) -> str:
    assert b.contract is not None
    if held.delegation.is_revoked:
        return "delegation_revoked"
    if not held.is_readable:
        return "delegation_narrower"
    seen = b.live.with_absent(args) if b.live is not None else args
    return covers(
        reach_of(held), b.tool, b.run.environment, seen, b.now, held.used, held.spent_usd_micros,
        cost=b.contract.cost_usd_micros,
        is_read=b.contract.effect is Effect.READ,
        is_undo=b.reversal is not None,
    )  # fmt: skip
