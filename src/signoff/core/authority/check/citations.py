# SPDX-License-Identifier: Apache-2.0
"""Whether a claim of a kind that the page lists quotes what was read; a list that does not verify is no citation."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.contract import Effect
from signoff.core.authority.decision import Check, Outcome, ask, deny, passed


def citations(b: Bearing, _: Mapping[str, Any]) -> Check:
    """A write that claims something of a kind that the page lists quotes a read of this run for it."""
    assert b.contract is not None
    if not b.envelope.citations_for or b.reversal is not None or b.contract.effect is Effect.READ:
        return passed("citations")
    cited = b.cited
    if cited is None:
        return ask("citations", "citation_unproved", "Nothing was looked up for the citations of this call.")
    if not cited.missing and not cited.unproved:
        return Check("citations", Outcome.PASS, "", cited.why)
    if cited.is_barred:
        return deny("citations", "provenance_barred", f"A call of this run was refused for its origins.\n{cited.why}")
    if cited.unproved:
        return ask("citations", "citation_unproved", cited.why)
    return ask("citations", "citation_missing", cited.why)
