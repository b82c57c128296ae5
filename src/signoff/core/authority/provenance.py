# SPDX-License-Identifier: Apache-2.0
"""Provenance: where an argument's value must come from, and whether it was seen there."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Normal(StrEnum):
    """How two values are made comparable; whole items of one type, never substrings."""

    EXACT = "exact"
    NUMBER = "number"
    DATE = "date"
    TEXT = "text"
    IBAN = "iban"


@dataclass(frozen=True, slots=True)
class Source:
    """An allowed origin: the user's task, or one field of a trusted tool's result."""

    tool: str | None = None  # None: what the user named
    field: str = ""


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
class Traced:
    """Where each argument under a rule was found: origins by argument, none for a value that nobody vouches for."""

    origins: Mapping[str, tuple[str, ...]]
    failed: tuple[str, ...] = ()  # arguments without an allowed origin
    why: str = ""
