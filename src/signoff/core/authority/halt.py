# SPDX-License-Identifier: Apache-2.0
"""The kill switch: a halt has a scope, stops whatever is not sent, and brings nothing back when lifted."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from signoff.core.errors import Malformed


class Scope(StrEnum):
    """What a halt covers; `tenant` covers everything of the tenant and has no target."""

    TENANT = "tenant"
    WORKFLOW = "workflow"
    AGENT = "agent"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Halt:
    """One use of the kill switch."""

    tenant: str
    halt_id: str
    seq: int
    head: str
    scope: Scope
    target: str  # a workflow, an agent's id or a tool; empty for the tenant
    stop_undo: bool
    by: str
    since: int
    reason: str  # commitment
    payload_key: str
    is_lifted: bool = False
    lifted_by: str | None = None
    lifted_at: int | None = None
    request_key: str | None = None
    request_tag: str | None = None

    def covers(self, workflow: str, agent_id: str, tool: str) -> bool:
        """Tell whether an action of this workflow, agent and tool falls under the halt."""
        return self.target == {
            Scope.TENANT: "",
            Scope.WORKFLOW: workflow,
            Scope.AGENT: agent_id,
            Scope.TOOL: tool,
        }.get(self.scope)


def in_force(halts: Iterable[Halt], workflow: str, agent_id: str, tool: str, *, is_undo: bool) -> Halt | None:
    """Return the first halt that stops this action. A reversal asked by a person passes unless `stop_undo`."""
    for halt in halts:
        if halt.covers(workflow, agent_id, tool) and (halt.stop_undo or not is_undo):
            return halt
    return None


def read_scope(text: str) -> tuple[Scope, str]:
    """Return scope and target of `tenant`, `workflow:NAME`, `agent:ID` or `tool:NAME`.

    Raises:
        Malformed: it is none of these.
    """
    kind, colon, target = text.partition(":")
    if kind in tuple(Scope) and bool(colon) == bool(target) == (kind != Scope.TENANT):
        return Scope(kind), target
    raise Malformed(
        what=f"{text[:60]!r} is no scope of a halt.",
        why="A halt covers the tenant, one workflow, one agent or one tool.",
        fix="Write tenant, workflow:NAME, agent:ID or tool:NAME.",
        path="scope",
    )
