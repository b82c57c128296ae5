# SPDX-License-Identifier: Apache-2.0
"""The terms of a workflow: the values that an envelope's page loads into (contract, section 1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from signoff.core.authority.done import Done
from signoff.core.authority.downgrade import Downgrade
from signoff.core.authority.facts import Fact
from signoff.core.authority.hold import Hold
from signoff.core.authority.limit import Limit
from signoff.core.authority.provenance import Provenance
from signoff.core.authority.rules import Rule
from signoff.core.authority.spend import SpendCap

DAY_US = 86_400_000_000


class Mode(StrEnum):
    """The ceiling of autonomy."""

    SUGGEST = "suggest"
    WATCH = "watch"
    ASSIST = "assist"
    AUTONOMOUS = "autonomous"


@dataclass(frozen=True, slots=True)
class Budgets:
    """What one task may use; None is no cap."""

    tokens_max: int | None = None
    calls_max: int | None = None
    cap_usd_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Loops:
    """When a run goes round in circles."""

    identical_calls_max: int = 3
    denials_max: int = 3
    steps_max: int = 40
    run_seconds_max: int = 900


@dataclass(frozen=True, slots=True)
class Envelope:
    """One version of a workflow's page; `digest` is over the file's exact bytes.

    A page that names no environment is for production: nothing is assumed to be a rehearsal.
    """

    file: str
    text: str
    digest: str
    workflow: str
    version: str
    format: int = 1
    purpose: str = ""
    environments: tuple[str, ...] = ("production",)
    owners: Mapping[str, str] = field(default_factory=dict)
    mode: Mode = Mode.ASSIST
    models: Mapping[str, str] = field(default_factory=dict)
    budgets: Budgets = Budgets()
    allowed_tools: frozenset[str] = frozenset()
    writes_ask: bool = True
    approval_roles: tuple[str, ...] = ()
    expires_us: int = DAY_US
    redact_pii: bool = True
    store_transcripts_days: int = 30
    injection_threshold_ppm: int | None = None
    citations_for: tuple[str, ...] = ()
    loops: Loops = Loops()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    spend: tuple[SpendCap, ...] = ()
    done: Done | None = None
    downgrade: tuple[Downgrade, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    """On which line of the page each key stands that was asked for, by its path: `budgets.max_tool_calls`."""
