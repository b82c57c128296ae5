# SPDX-License-Identifier: Apache-2.0
"""Facts: what Signoff fetches itself from trusted read tools, so that no rule stands on what an agent claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.core.authority.description import ToolDescription
from signoff.core.authority.rule import Expression
from signoff.core.authority.tool import Effect, ToolContract


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a page: the tool that knows it, and the arguments it is asked with, over `args` of the proposal."""

    name: str
    tool: str
    args: Mapping[str, Expression]
    max_age_us: int  # how long one answer serves the same run and arguments


def unfit(tool: ToolContract, live: ToolDescription | None, live_digest: str | None) -> str:
    """Return why a tool cannot vouch for a fact now, '' if it can: a pinned read of trusted output with a schema."""
    if tool.effect is not Effect.READ:
        return f"{tool.name} does not only read."
    if not tool.output.whole and not any(tool.output.fields.values()):
        return f"The output of {tool.name} is not trusted."
    if live is None:
        return f"The server does not offer {tool.name} now, or cannot be asked."
    if tool.schema_digest is None or live_digest != tool.schema_digest:
        return f"{tool.name} is not the tool that was pinned."
    if not live.output_schema:
        return f"Nothing is known of the form in which {tool.name} answers."
    return ""


def as_fact(tool: ToolContract, live: ToolDescription, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result vouches for: its trusted fields, with null for one that is optional and absent.

    A field that is not trusted is left out, so that a condition which names it has no value and allows nothing.
    """
    schema = live.output_schema or {}
    known = dict.fromkeys(schema.get("properties", ())) | dict(result)
    return {name: value for name, value in known.items() if tool.output.is_trusted(name)}
