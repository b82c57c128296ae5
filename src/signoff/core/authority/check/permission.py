# SPDX-License-Identifier: Apache-2.0
"""Whether the person in whose name this is done may have it done: by their roles, and by what they have delegated."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, deny, passed
from signoff.core.authority.names import spoken
from signoff.core.authority.permission import unpermitted
from signoff.core.principal import Person


def permission(b: Bearing, args: Mapping[str, Any]) -> Check:
    """A role of the run's principal permits the tool here, once a roles page is published."""
    if why := lacking(b, args, b.principal):
        return deny("permission", "not_permitted", why)
    return passed("permission")


def lacking(b: Bearing, args: Mapping[str, Any], person: Person | None) -> str:
    """Return what a person lacks to have this done now; '' where nothing is, or no roles page is in force."""
    if b.roles is None:
        return ""
    assert b.contract is not None
    seen = b.live.with_absent(args) if b.live is not None else args
    names = spoken(seen, {}, b.run, person, b.tool, {}, b.now)
    return unpermitted(b.roles, person, b.tool, b.run.environment, names, b.contract.cost_usd_micros)
