# SPDX-License-Identifier: Apache-2.0
"""Whether calls of the tool are broken off for a while, since the last ones all went wrong."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, deny, passed


def circuit(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The last calls of the tool did not all fail or get no clear answer; after a pause one is tried."""
    if not b.open_circuit:
        return passed("circuit")
    return deny("circuit", "circuit_open", b.open_circuit)
