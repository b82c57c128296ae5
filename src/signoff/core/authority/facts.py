# SPDX-License-Identifier: Apache-2.0
"""Facts: what Signoff fetches itself from trusted read tools, so that no rule stands on what an agent claims."""

from collections.abc import Mapping
from dataclasses import dataclass

from signoff.core.authority.rule import Expression


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a page: the tool that knows it, and the arguments it is asked with, over `args` of the proposal."""

    name: str
    tool: str
    args: Mapping[str, Expression]
    max_age_us: int  # how long one answer serves the same run and arguments
