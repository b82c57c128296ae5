# SPDX-License-Identifier: Apache-2.0
"""Who asks, and whether anything may be done at all: agent, kill switch, run, version of the page."""

from collections.abc import Mapping
from typing import Any

from signoff.core.authority import halt as halts_
from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, deny, passed
from signoff.core.run import CLOSED, RunState


def agent(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The agent is known and active, its token is of its present epoch, and its principal is active."""
    if b.agent is None or not b.agent.is_active:
        return deny("agent", "agent_inactive", "The agent is not registered, or was switched off.")
    if b.epoch is not None and b.epoch != b.agent.epoch:
        return deny("agent", "token_revoked", "The agent's tokens were revoked after this one was issued.")
    if b.principal is None or not b.principal.is_active:
        return deny("agent", "principal_inactive", "The person on whose behalf this runs is no longer active.")
    return passed("agent")


def halt(b: Bearing, _: Mapping[str, Any]) -> Check:
    """No halt covers it."""
    is_undo = b.reversal is not None and b.reversal.by_person
    found = halts_.in_force(b.halts, b.run.workflow, b.run.agent_id, b.tool, is_undo=is_undo)
    if found is None:
        return passed("halt")
    scope = f"{found.scope} {found.target}".strip()
    return deny("halt", "halted", f"Halt {found.halt_id} is in force for {scope}.")


def run(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run is open."""
    if b.run.state in CLOSED:
        return deny("run", "run_closed", f"The run is {b.run.state}; a closed run takes no more calls.")
    if b.run.state is RunState.PAUSED:
        return deny("run", "run_paused", "The run is paused until a person resumes it.")
    return passed("run")


def version(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The envelope's version was not withdrawn."""
    if b.is_withdrawn:
        return deny("version", "version_withdrawn", f"Version {b.envelope.version} of the envelope was withdrawn.")
    return passed("version")
