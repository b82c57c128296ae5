# SPDX-License-Identifier: Apache-2.0
"""What Prometheus scrapes: a registry of this node's own, filled as requests pass and read anew at each scrape."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from signoff.app.evidence import Vitals
from signoff.core.action.lifecycle import State

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counts requests by route template, never by path: a path may hold anything."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "signoff_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "signoff_http_request_seconds",
            "Time to answer, waiting included.",
            ["route"],
            registry=registry,
            buckets=BUCKETS,
        )
        self._actions = Gauge("signoff_actions", "Actions by state.", ["state"], registry=registry)
        self._lag = Gauge(
            "signoff_tick_lag_seconds", "How long the most overdue timer has been due.", registry=registry
        )
        self._ledger = Gauge("signoff_ledger_entries", "Size of the published log.", registry=registry)
        self._pending = Gauge(
            "signoff_approvals_pending", "Actions that wait for people's approval.", registry=registry
        )
        self._escalated = Gauge(
            "signoff_approvals_escalated",
            "Approvals at which nobody has looked by half of their time, up to 200.",
            registry=registry,
        )
        self._broken = Gauge(
            "signoff_circuit_open", "Tools whose calls are broken off for a while.", ["tool"], registry=registry
        )
        self._halts = Gauge("signoff_halts_in_force", "Halts in force.", registry=registry)
        self._doubt = Gauge("signoff_actions_in_doubt", "Writes whose outcome is not known.", registry=registry)
        self._person = Gauge("signoff_actions_needing_person", "Writes only a person can settle.", registry=registry)
        self._unsigned = Gauge(
            "signoff_receipts_unsigned", "Receipts that wait for their signature, up to 200.", registry=registry
        )
        self._late = Gauge(
            "signoff_actions_found_late",
            "Failed writes that a look a day later found, or got no answer about, up to 200.",
            registry=registry,
        )
        self._unreceipted = Gauge(
            "signoff_writes_without_receipt",
            "Writes that systems list under this node's keys and that no receipt stands for.",
            registry=registry,
        )
        self._unswept = Gauge(
            "signoff_sweeps_unanswered", "Tools whose writes could not be listed at the last sweep.", registry=registry
        )
        self._jump = Gauge(
            "signoff_clock_jump_seconds",
            "How far the machine's clock is ahead of the node's own, which decides.",
            registry=registry,
        )
        self._counted: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; an answer that never began has the status 0."""
        key = (method if method in METHODS else "OTHER", route, status)
        counter = self._counted.get(key)
        if counter is None:
            counter = self._counted[key] = self._requests.labels(key[0], route, str(status))
            self._timed.setdefault(route, self._seconds.labels(route))
        counter.inc()
        self._timed[route].observe(seconds)

    def text(self, vitals: Vitals) -> bytes:
        """Return everything in the text format, with what a look at the database told just now."""
        states: Mapping[str, int] = vitals.states
        for state in State:
            self._actions.labels(str(state)).set(states.get(state, 0))
        self._lag.set(vitals.lag_s)
        self._ledger.set(vitals.ledger_size)
        self._pending.set(vitals.pending)
        self._escalated.set(vitals.escalated)
        self._broken.clear()
        for tool in vitals.broken_off:
            self._broken.labels(tool).set(1)
        self._halts.set(vitals.halts)
        self._doubt.set(states.get(State.IN_DOUBT, 0))
        self._person.set(states.get(State.NEEDS_PERSON, 0))
        self._unsigned.set(vitals.unsigned)
        self._late.set(vitals.late)
        self._unreceipted.set(vitals.unreceipted)
        self._unswept.set(vitals.unswept)
        self._jump.set(vitals.clock_jump_s)
        return generate_latest(self._registry)
