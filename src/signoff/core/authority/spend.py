# SPDX-License-Identifier: Apache-2.0
"""Money beyond one task: caps per user, agent, workflow and tenant in fixed periods from the UTC epoch."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """Over whom a cap adds up."""

    USER = "user"
    AGENT = "agent"
    WORKFLOW = "workflow"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class SpendCap:
    """At most `cap_usd_micros` in each period of `window_us`, counted from 1970-01-01T00:00Z."""

    per: Scope
    window_us: int
    cap_usd_micros: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What is settled and reserved of a cap in the present period."""

    cap: SpendCap
    usd_micros: int
