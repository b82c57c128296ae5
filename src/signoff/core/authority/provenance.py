# SPDX-License-Identifier: Apache-2.0
"""Provenance: where an argument's value must come from, and whether it was seen there.

The rules are those of the contract, section 1, "Provenance". A result endorses a value only if the call succeeded, the
field is trusted, the agent had said nothing of it before, and the run had not written to what was read. Arguments that
name the same tool meet in one result. `tests/core/authority/test_provenance.py` states as a property that a value whose
only source is untrusted is never accepted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from signoff.core.authority.normal import Normal, Told, folded_text, form, stands_in
from signoff.core.authority.said import Said, leaves
from signoff.core.authority.tool import OutputTrust

RESULTS_MAX: Final = 256  # of one tool, the newest, that are looked at for a match
_ORIGINS_MAX: Final = 4  # that are told of one value
_LEAVES_MAX: Final = 4096
_LIST_MAX: Final = 1000

__all__ = ["Normal", "Provenance", "Seen", "Shown", "Source", "Sourcing", "Traced", "trace"]


@dataclass(frozen=True, slots=True)
class Source:
    """An allowed origin: the user's task, or one field of a trusted tool's result."""

    tool: str | None = None  # None: what the user named
    field: str = ""

    def __str__(self) -> str:
        """Return the source as a page writes it."""
        return "user" if self.tool is None else f"tool:{self.tool}.{self.field}"


@dataclass(frozen=True, slots=True)
class Sourcing:
    """What one argument of a tool must match."""

    argument: str
    sources: tuple[Source, ...]
    normal: Normal = Normal.EXACT


@dataclass(frozen=True, slots=True)
class Provenance:
    """The provenance rules of a page for one tool.

    `then_deny`: the page says that nobody needs what fails, so that it is denied instead of asked.
    `intents`: words of which the user's task must hold one, so that the task asks for this kind of act.
    """

    tool: str
    arguments: Mapping[str, Sourcing]
    then_deny: bool = False
    intents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """What one call of the run brought in: its result, or the error it ended with.

    `until` counts the calls that the agent had made by then, this one included. `is_written`: the run had written to
    what it is about.
    """

    action_id: str
    tool: str
    content: Mapping[str, Any]
    trust: OutputTrust
    until: int
    is_error: bool = False
    is_written: bool = False
    is_read: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run has said and seen before the call that is looked at; `said` and `shown` are oldest first."""

    task: Told
    said: tuple[Said, ...] = ()
    shown: tuple[Shown, ...] = ()
    edited: frozenset[str] = frozenset()  # arguments that a person has changed
    is_barred: bool = False  # a call of the run was denied for this before
    gap: str = ""  # why not all of it was read; then no result endorses anything

    def had_said(self, value: Any, shown: Shown) -> bool:
        """Tell whether the agent may have brought in a value itself before a result came."""
        return any(one.holds(value) for one in self.said[: shown.until])


@dataclass(frozen=True, slots=True)
class Traced:
    """Where each argument under a rule was found: origins by argument, none for a value that nobody vouches for."""

    origins: Mapping[str, tuple[str, ...]]
    failed: tuple[str, ...] = ()  # arguments without an allowed origin
    why: str = ""  # for people: where they were seen in truth
    asks_for_act: bool = True  # the task holds one of the page's words
    is_barred: bool = False


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An argument that is under a rule and was given by the agent."""

    value: Any
    sourcing: Sourcing
    is_users: bool
    tools: frozenset[str] = field(default_factory=frozenset)


def trace(rule: Provenance, args: Mapping[str, Any], seen: Seen) -> Traced:
    """Return where the arguments under a rule come from. One that is absent or null has no value to trace."""
    origins: dict[str, tuple[str, ...]] = {name: ("person",) for name in rule.arguments if name in seen.edited}
    wanted: dict[str, _Wanted] = {}
    for name, sourcing in rule.arguments.items():
        value = args.get(name)
        if name in origins or value is None or value == []:
            continue
        is_users = any(source.tool is None for source in sourcing.sources) and _is_users(value, sourcing, seen.task)
        tools = frozenset(source.tool for source in sourcing.sources if source.tool is not None)
        wanted[name] = _Wanted(value, sourcing, is_users, tools)
        origins[name] = ("user",) if is_users else ()
    for tool in sorted({tool for one in wanted.values() for tool in one.tools}):
        naming = {name: one for name, one in wanted.items() if tool in one.tools}
        if all(one.is_users for one in naming.values()):
            continue
        shown, endorsed = _best(naming, tool, seen)
        for name in endorsed if shown is not None else ():
            origins[name] = (*origins[name], f"tool:{tool}, {shown.action_id}" if shown else "")
    failed = tuple(name for name in wanted if not origins[name])
    asks = not rule.intents or any(stands_in(seen.task.folded, folded_text(word)) for word in rule.intents)
    return Traced(origins, failed, _told(failed, wanted, seen), asks, seen.is_barred)


def _is_users(value: Any, sourcing: Sourcing, task: Told) -> bool:
    items = value if isinstance(value, list) else [value]
    return len(items) <= _LIST_MAX and all(task.holds(item, sourcing.normal) for item in items)


def _best(naming: Mapping[str, _Wanted], tool: str, seen: Seen) -> tuple[Shown | None, frozenset[str]]:
    """Return the result of a tool in which all arguments that name it meet, and which of them it endorses.

    An argument that the user named needs no endorsement, and yet stands in the same result: so no result about one
    thing lends its values to another.
    """
    needed = frozenset(name for name, one in naming.items() if not one.is_users)
    best: tuple[Shown | None, frozenset[str]] = None, frozenset()
    for shown in _usable(tool, seen):
        if not _meet(naming.values(), tool, shown):
            continue
        endorsed = frozenset(name for name in needed if not seen.had_said(naming[name].value, shown))
        if endorsed == needed:
            return shown, endorsed
        if len(endorsed) > len(best[1]):
            best = shown, endorsed
    return best


def _usable(tool: str, seen: Seen) -> list[Shown]:
    if seen.gap:
        return []
    found = [one for one in seen.shown if one.tool == tool and one.is_read and not (one.is_error or one.is_written)]
    return found[: -RESULTS_MAX - 1 : -1]


def _meet(naming: Iterable[_Wanted], tool: str, shown: Shown) -> bool:
    """Tell whether all values stand in their fields of one result; those within lists at one and the same place."""
    common: set[int] | None = None
    for one in naming:
        places = {
            place
            for source in one.sourcing.sources
            if source.tool == tool and shown.trust.is_trusted(source.field)
            for place in _places(one.value, shown.content.get(source.field), one.sourcing.normal)
        }
        if not places:
            return False
        if None not in places:
            at = {place for place in places if place is not None}
            common = at if common is None else common & at
    return common is None or bool(common)


def _places(value: Any, item: Any, how: Normal) -> set[int | None]:
    """Return where a value is the item of a field: None as a whole, else at which places of a list."""
    sought = form(value, how)
    if sought is not None and sought == form(item, how):
        return {None}
    if not isinstance(item, list) or len(item) > _LIST_MAX:
        return set()
    if isinstance(value, list):
        forms = {form(one, how) for one in item}
        return {None} if all((mine := form(one, how)) is not None and mine in forms for one in value) else set()
    return {place for place, one in enumerate(item) if sought is not None and form(one, how) == sought}


# --- what people are told -------------------------------------------------------------------------------------------


def _told(failed: tuple[str, ...], wanted: Mapping[str, _Wanted], seen: Seen) -> str:
    """Return for each failed argument where it should have come from and where it was seen in truth, values apart."""
    lines = []
    for name in failed:
        sources = " or ".join(str(source) for source in wanted[name].sourcing.sources)
        found = list(dict.fromkeys(_seen_at(wanted[name], seen)))
        stands = "; ".join(found[:_ORIGINS_MAX]) or "nothing that this run has seen"
        more = f" and {len(found) - _ORIGINS_MAX} more" if len(found) > _ORIGINS_MAX else ""
        lines.append(f"{name} must come from {sources}. It stands in {stands}{more}.")
    shared = {tool for name in failed for tool in wanted[name].tools}
    apart = [tool for tool in sorted(shared) if sum(tool in one.tools for one in wanted.values()) > 1]
    if apart:
        lines.append(f"Arguments that name {', '.join(apart)} must match in one and the same result.")
    return "\n".join([*lines, *([seen.gap] if seen.gap and failed else [])])


def _seen_at(one: _Wanted, seen: Seen) -> Iterator[str]:
    how = one.sourcing.normal
    values = one.value if isinstance(one.value, list) else [one.value]
    for value in values[:_ORIGINS_MAX]:
        sought = form(value, how)
        if sought is None:
            continue
        if seen.task.holds(value, how):
            yield "the task"
        for shown in reversed(seen.shown):
            for name, item in shown.content.items():
                if (inside := _stands(value, sought, item, how)) is not None:
                    yield _place(seen, shown, name, value, inside)
        if any(said.holds(value) for said in seen.said):
            yield "what the agent sent itself"


def _stands(value: Any, sought: Any, item: Any, how: Normal) -> bool | None:
    """Return None where a value does not stand in an item, else whether only inside a longer text."""
    inside = None
    for _, leaf in zip(range(_LEAVES_MAX), leaves(item), strict=False):
        if form(leaf, how) == sought:
            return False
        if isinstance(leaf, str) and Told(leaf).holds(value, how):
            inside = True
    return inside


def _place(seen: Seen, shown: Shown, name: str, value: Any, inside: bool) -> str:
    marks = [] if shown.trust.is_trusted(name) and not shown.is_error else ["untrusted"]
    marks += ["inside a text"] if inside else []
    marks += ["an error"] if shown.is_error else []
    marks += ["said by the agent before"] if seen.had_said(value, shown) else []
    marks += ["written to by this run before"] if shown.is_written else []
    return f"{shown.tool} {name} of {shown.action_id} ({', '.join(marks) or 'trusted'})"
