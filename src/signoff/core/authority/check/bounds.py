# SPDX-License-Identifier: Apache-2.0
"""How much one run may do: calls, steps, denials, identical calls, time, money, tokens."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.contract import Effect
from signoff.core.authority.decision import Check, deny, inert, passed
from signoff.core.money import dollars


def calls(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run has calls left; they are counted when they are sent."""
    most = b.envelope.budgets.calls_max
    if most is not None and b.tally.sent >= most:
        return deny("calls", "calls_exhausted", f"{b.tally.sent} of {most} tool calls were sent.")
    return passed("calls")


def steps(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run has steps left."""
    if b.tally.steps >= b.envelope.loops.steps_max:
        return deny("steps", "steps_exhausted", f"{b.tally.steps} of {b.envelope.loops.steps_max} steps were taken.")
    return passed("steps")


def denials(b: Bearing, _: Mapping[str, Any]) -> Check:
    """After too many denials the run may only read."""
    assert b.contract is not None
    if b.tally.denied >= b.envelope.loops.denials_max and b.contract.effect is not Effect.READ:
        return deny(
            "denials", "denials_exhausted", f"{b.tally.denied} proposals of this run were denied; it may only read."
        )
    return passed("denials")


def identical(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The same call is not made over and over; of reads those count that told nothing new."""
    if b.tally.identical < b.envelope.loops.identical_calls_max:
        return passed("identical")
    said = f"This very call was made {b.tally.identical} times in this run"
    if b.contract is not None and b.contract.effect is Effect.READ:
        said += ", and its result has not changed; an event is waited for, not polled"
    return deny("identical", "identical_calls", f"{said}.")


def time(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run has time left; it does not pass while people are waited for, nor while it is paused."""
    used_s = (b.now - b.run.started_at - b.run.paused_us - b.tally.waited_us) // 1_000_000
    if used_s >= b.envelope.loops.run_seconds_max:
        return deny("time", "time_exhausted", f"The run has used {used_s} of {b.envelope.loops.run_seconds_max} s.")
    return passed("time")


def spend(b: Bearing, _: Mapping[str, Any]) -> Check:
    """What is settled and reserved, with this call, stays within the task's cap."""
    assert b.contract is not None
    cap, cost = b.envelope.budgets.cap_usd_micros, b.contract.cost_usd_micros
    if cap is not None and b.tally.spent_usd_micros + cost > cap:
        spent = dollars(b.tally.spent_usd_micros)
        return deny(
            "spend",
            "spend_exhausted",
            f"USD {spent} is spent or set aside, this call costs {dollars(cost)}, the cap is {dollars(cap)}.",
        )
    return passed("spend")


def tokens(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The token cap: nothing counts model tokens before the model gateway does."""
    if b.envelope.budgets.tokens_max is None:
        return passed("tokens")
    return inert("tokens", "tokens_uncounted", "The envelope caps model tokens; nothing counts them yet.")
