# SPDX-License-Identifier: Apache-2.0
"""What people may have done in their name: what their roles permit, on a page that an admin publishes (ADR 0025).

Once such a page is in force, a call needs a line that permits it: one of a role that the run's principal holds, about
this tool and this environment, whose condition holds and whose cap is not passed. No role, no permission. A line whose
condition cannot be evaluated permits nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from signoff.core.authority.names import PRINCIPAL, RUN
from signoff.core.authority.reach import is_within, means
from signoff.core.authority.rule import CannotEvaluate, Expression, Names
from signoff.core.money import dollars
from signoff.core.principal import Person

NAMES = Names(("args",), (*RUN, *PRINCIPAL, ("action.tool", "string"), ("action.agent", "string")))
"""What a condition may speak of: no claim of the agent's is among it, and no fact that would have to be fetched."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One line of a role: which tools, where, under what condition, and what one call may cost (micro-dollars)."""

    tools: tuple[str, ...]
    environments: tuple[str, ...]
    when: Expression | None = None
    usd_micros_max: int | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """The page: what each role permits. `digest` is over its exact bytes."""

    file: str
    text: str
    digest: str
    version: str
    permits: Mapping[str, tuple[Permission, ...]]


def lines_of(roles: Roles, person: Person) -> Iterator[Permission]:
    """Yield the lines of every role that a person holds."""
    for role in person.roles:
        yield from roles.permits.get(role, ())


def unpermitted(
    roles: Roles, person: Person | None, tool: str, environment: str, names: Mapping[str, Any], cost_usd_micros: int
) -> str:
    """Return why nothing permits a call in a person's name; '' where something does.

    Args:
        names: what `NAMES` stand for here.
        cost_usd_micros: what the call may cost at most, by its tool's contract.
    """
    if person is None or not person.is_active:
        return "The person in whose name this is done is no longer active."
    about = [line for line in lines_of(roles, person) if environment in line.environments and _is_about(line, tool)]
    if not about:
        return f"No role of {person.person_id} permits {tool} in {environment}."
    why: list[str] = []
    for line in about:
        if line.usd_micros_max is not None and cost_usd_micros > line.usd_micros_max:
            why.append(f"a call may cost USD {dollars(line.usd_micros_max)}, and this one {dollars(cost_usd_micros)}")
            continue
        try:
            if line.when is None or line.when.holds(names):
                return ""
            why.append(f"`{line.when.text[:120]}` does not hold")
        except CannotEvaluate as error:
            why.append(f"`{line.when.text[:120] if line.when else ''}` cannot be evaluated: {error.why}")
    return f"What the roles of {person.person_id} permit of {tool} in {environment} is narrower: {'; '.join(why[:5])}."


def out_of_reach(roles: Roles, person: Person, tools: Iterable[str], environments: Iterable[str]) -> str:
    """Return a tool and an environment that no role of a person permits at all; '' where there is none.

    A delegation is held against this when it is granted; its conditions are looked at with each call.
    """
    lines = list(lines_of(roles, person))
    for environment in environments:
        words = [word for line in lines if environment in line.environments for word in line.tools]
        for tool in tools:
            if not is_within(tool, words):
                return f"{tool} in {environment}"
    return ""


def _is_about(line: Permission, tool: str) -> bool:
    return any(means(word, tool) for word in line.tools)
