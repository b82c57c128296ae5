# SPDX-License-Identifier: Apache-2.0
"""The names that conditions of a page may speak of: `args`, `facts`, `run`, `principal` and `action` (contract, 1).

`run`, `principal` and `action` have the same fields for everyone, so that a misspelt one is found on any page. Facts
are named one by one, as `facts.vendor`; `args` is a map until the tool's schema is at hand. `action.confidence`,
`action.rationale` and `action.citations` are the agent's own claims; one that was not made is `null`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from signoff.core.authority.rule import Names
from signoff.core.principal import Person
from signoff.core.run import Run

Fields = tuple[tuple[str, str], ...]
CLAIMS: Final = ("confidence", "rationale", "citations")
RUN: Final = (
    ("run.id", "string"),
    ("run.workflow", "string"),
    ("run.environment", "string"),
    ("run.started_by", "string"),
    ("run.started", "string"),
    ("run.now", "string"),
)
PRINCIPAL: Final = (("principal.id", "string"), ("principal.roles", "strings"))
ACTION: Final = (
    ("action.tool", "string"),
    ("action.agent", "string"),
    *((f"action.{claim}", "dyn") for claim in CLAIMS),
)
ARGS_ONLY: Final = Names(("args",))
CLAIMS_ONLY: Final = Names((), tuple((f"action.{claim}", "dyn") for claim in CLAIMS))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def names_of(
    facts: Iterable[str], *, args: Fields | None = None, results: Mapping[str, Fields] = MappingProxyType({})
) -> Names:
    """Return the names of a condition: each of `facts` by its typed `results`, else as a map, and so `args`."""
    shapes: list[tuple[str, str]] = []
    for name in facts:
        shapes += results.get(name, ((f"facts.{name}", "map"),))
    own = (*RUN, *PRINCIPAL, *ACTION)
    return Names(("args",), (*shapes, *own)) if args is None else Names((), (*args, *shapes, *own))


def spoken(
    args: Mapping[str, Any],
    facts: Mapping[str, Mapping[str, Any]],
    run: Run,
    principal: Person | None,
    tool: str,
    claims: Mapping[str, Any],
    now: int,
) -> dict[str, Any]:
    """Return what the names stand for, as `Expression.value` takes it.

    `args` and the results in `facts` have null for what is optional and absent (`ToolDescription.with_absent`). Without
    a principal a condition that names one has no value.

    Args:
        now: microseconds since 1970-01-01T00:00Z; `run.now` is RFC 3339 text of fixed width, so that texts sort by time
            and `timestamp(run.now)` reads it.
    """
    return {
        "args": dict(args),
        "facts": {name: dict(result) for name, result in facts.items()},
        "run": {
            "id": run.run_id,
            "workflow": run.workflow,
            "environment": run.environment,
            "started_by": run.started_by,
            "started": _rfc3339(run.started_at),
            "now": _rfc3339(now),
        },
        "principal": {"id": principal.person_id, "roles": list(principal.roles)} if principal is not None else {},
        "action": {"tool": tool, "agent": run.agent_id, **{claim: claims.get(claim) for claim in CLAIMS}},
    }


@lru_cache(maxsize=1024)  # a run begins once, and a batch of decisions is one instant
def _rfc3339(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
