# SPDX-License-Identifier: Apache-2.0
"""Whether the tool is one that is governed, is the one that was pinned, and whether the arguments fit it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.contract import ToolContract, ToolDescription, argument_problems
from signoff.core.authority.decision import Check, deny, passed


def tool(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The envelope lists the tool; what is not listed is denied."""
    if b.tool in b.envelope.allowed_tools:
        return passed("tool")
    return deny("tool", "tool_not_allowed", f"The envelope of {b.run.workflow} does not list {b.tool}.")


def registered(b: Bearing, _: Mapping[str, Any]) -> Check:
    """A published tool contract knows the tool."""
    if b.contract is not None:
        return passed("registered")
    return deny("registered", "tool_unregistered", f"No published tool contract knows {b.tool} in {b.run.environment}.")


def contract(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The contract in force says of the tool what it said when this was decided."""
    if b.is_contract_as_decided:
        return passed("contract")
    return deny("contract", "contract_changed", f"The contract of {b.tool} was changed after this was decided.")


def pin(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The server still offers the tool exactly as it was pinned."""
    assert b.contract is not None
    if b.live is None:
        return deny("pin", "tool_unavailable", f"The server does not offer {b.tool} now, or cannot be asked.")
    if b.contract.schema_digest is None:
        return deny("pin", "tool_unpinned", f"The contract of {b.tool} pins no schema.")
    if b.live_digest != b.contract.schema_digest:
        return deny("pin", "tool_changed", f"{b.tool} is now {b.live_digest}, pinned was {b.contract.schema_digest}.")
    return passed("pin")


def key(b: Bearing, args: Mapping[str, Any]) -> Check:
    """What Signoff puts in (idempotency key, expected version) is refused from the agent."""
    assert b.contract is not None
    own = [name for name in put_in(b.contract) if name in args]
    if own:
        return deny("key", "argument_reserved", f"{own[0]} is put in by Signoff and must not be sent.")
    return passed("key")


def args(b: Bearing, args: Mapping[str, Any]) -> Check:
    """The arguments fit the pinned schema, with what Signoff itself puts in."""
    assert b.contract is not None and b.live is not None
    if problems := argument_problems(_without_precondition(b.live, b.contract), completed(b.contract, args, "0" * 32)):
        return deny("args", "args_invalid", "; ".join(problems[:5]))
    return passed("args")


def resource(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The resource it would hold alone, and the subject it is about, can be told from the arguments."""
    if b.is_resource_known and b.is_subject_known:
        return passed("resource")
    if b.is_resource_known:
        return deny("resource", "subject_unknown", f"The contract's `subject` of {b.tool} has no value for these.")
    return deny("resource", "resource_unknown", f"The contract's `resource` of {b.tool} has no value for these.")


def put_in(contract: ToolContract) -> tuple[str, ...]:
    """Return the names of the arguments that Signoff itself fills."""
    names = (contract.key_argument, contract.precondition.argument if contract.precondition else None)
    return tuple(name for name in names if name)


def completed(contract: ToolContract, args: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the arguments as they are sent, with the idempotency key where the contract has a place for it."""
    return {**args, contract.key_argument: key} if contract.key_argument else dict(args)


_RELAXED: dict[int, tuple[Mapping[str, Any], ToolDescription]] = {}


def _without_precondition(live: ToolDescription, contract: ToolContract) -> ToolDescription:
    """Return a tool's description without the demand for the argument that only a preview can fill.

    It is remembered by the schema's identity, for schemas are compiled by theirs.
    """
    required = live.input_schema.get("required", ())
    if contract.precondition is None or contract.precondition.argument not in required:
        return live
    known = _RELAXED.get(id(live.input_schema))
    if known is None or known[0] is not live.input_schema:
        left = [name for name in required if name != contract.precondition.argument]
        known = live.input_schema, replace(live, input_schema={**live.input_schema, "required": left})
        if len(_RELAXED) >= 256:
            _RELAXED.clear()
        _RELAXED[id(live.input_schema)] = known
    return known[1]
