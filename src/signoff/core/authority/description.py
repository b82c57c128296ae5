# SPDX-License-Identifier: Apache-2.0
"""A tool as its server describes it, and the digest by which that description is pinned.

The digest covers name, description and both schemas: a server that changes what a tool says of itself is quarantined
until a person accepts the change (contract, section 2). Title and annotations are hints, never trusted, and not pinned.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from signoff.core.errors import Malformed
from signoff.core.money import INT_MAX


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """What a server says of one of its tools."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None = None
    title: str | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def with_absent(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return `args` with null for each optional argument that is absent, as expressions see them."""
        return dict.fromkeys(self.input_schema.get("properties", ())) | dict(args)


def schema_digest(described: ToolDescription) -> str:
    """Return `sha256:<hex>` over the canonical JSON of name, description and schemas (RFC 8785).

    Schemas often bound integers at 2^63-1, which RFC 8785 cannot write exactly; such an integer is written as
    `{"\\u0000integer": "<digits>"}`, which no schema that a person wrote can hold.

    Raises:
        Malformed: the description is no JSON, or is nested too deeply.
    """
    try:
        body = _exact(
            {
                "name": described.name,
                "description": described.description,
                "input_schema": described.input_schema,
                "output_schema": described.output_schema,
            }
        )
        return "sha256:" + hashlib.sha256(rfc8785.dumps(body)).hexdigest()
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError, TypeError) as error:
        raise Malformed(
            what="The server's description of a tool has no digest.",
            why=f"It is no well-formed JSON ({type(error).__name__}).",
            fix="Correct the tool's schema on its server; until then the tool cannot be pinned.",
            code="tool.description",
        ) from None


def _exact(value: Any) -> Any:
    """Return `value` with integers that a double cannot hold made exact, and numbers that are no JSON refused."""
    if isinstance(value, Mapping):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -INT_MAX <= value <= INT_MAX:
        return {"\0integer": str(value)}
    return value
