# SPDX-License-Identifier: Apache-2.0
"""What Signoff must know of a tool to govern it: the values that a contract file loads into.

Nothing here is believed from the server: effect, risk and reversal are a person's statements (contract, section 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, NamedTuple

from signoff.core.authority.rule import Expression
from signoff.core.authority.sweep import Sweep

Reversibility = Literal["reversible", "manual", "irreversible"]
ServerKind = Literal["mcp_stdio", "mcp_http", "http", "python", "by_environment"]


class Effect(StrEnum):
    """What a call does; an egress is a read that carries data out, and asks like a write."""

    READ = "read"
    WRITE = "write"
    EGRESS = "egress"


class Risk(StrEnum):
    """A low, B medium, C high, D restricted."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


@dataclass(frozen=True, slots=True)
class DryRun:
    """A preview by a read tool that answers `{changes: [{path, before, after}], version?}`."""

    tool: str
    args: Mapping[str, Expression]
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadPreview:
    """A preview from a read of what is there (`before`) and expressions for what will be (`after`, by path)."""

    read: str
    args: Mapping[str, Expression]
    after: Mapping[str, Expression]
    ignore: tuple[str, ...] = ()


class Precondition(NamedTuple):
    """The argument by which the target refuses if it moved after the drift check, and its value."""

    argument: str
    value: Expression


@dataclass(frozen=True, slots=True)
class LookUp:
    """How doubt is settled: a read that finds the write; "not found" counts only after `settles_after_us`."""

    tool: str
    args: Mapping[str, Expression]
    found: Expression
    settles_after_us: int


@dataclass(frozen=True, slots=True)
class UndoCheck:
    """A read whose fields `unchanged` must equal the image read right after the write."""

    read: str
    args: Mapping[str, Expression]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undo:
    """The write that compensates, and what must not have changed since."""

    tool: str
    args: Mapping[str, Expression]
    check: UndoCheck | None = None


@dataclass(frozen=True, slots=True)
class OutputTrust:
    """Whether a result may vouch for a value, whole or by field; what is not said is untrusted."""

    whole: bool = False
    fields: Mapping[str, bool] = field(default_factory=dict)

    def is_trusted(self, name: str) -> bool:
        """Tell whether the top-level field `name` of a result is trusted."""
        return self.fields.get(name, self.whole)


@dataclass(frozen=True, slots=True)
class ToolContract:
    """One tool under governance; `name` is ours, `server_name` the server's own."""

    name: str
    server_name: str
    effect: Effect
    risk: Risk
    reversibility: Reversibility
    reversal_note: str = ""
    schema_digest: str | None = None
    resource: Expression | None = None
    key_argument: str | None = None
    natural_key: tuple[Expression, ...] = ()
    keeps_us: int | None = None
    not_done: frozenset[str] = frozenset()
    preview: DryRun | ReadPreview | None = None
    precondition: Precondition | None = None
    look_up: LookUp | None = None
    undo: Undo | None = None
    output: OutputTrust = OutputTrust()
    subject: Expression | None = None
    cost_usd_micros: int = 0
    timeout_s: float = 10.0
    sweep: Sweep | None = field(default=None, compare=False)  # it finds writes and governs none

    @property
    def has_reversal_story(self) -> bool:
        """Whether someone said how this is taken back, or that it is not. A read needs no story."""
        return self.effect is not Effect.WRITE or self.undo is not None or bool(self.reversal_note)


@dataclass(frozen=True, slots=True)
class Server:
    """How the system is reached. `env` names the variables a started server may see; values never stand in a file.

    `env_as` has pairs of names: what the started server calls a variable, and what this node calls it.
    """

    kind: ServerKind
    command: tuple[str, ...] = ()
    url: str | None = None
    module: str | None = None
    env: tuple[str, ...] = ()
    env_as: tuple[tuple[str, str], ...] = ()


BY_ENVIRONMENT = Server("by_environment")
"""Stands where no environment was said for a system that has a server in each: nothing is reached through it."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One file: a system and its tools. `digest` is over the file's exact bytes.

    `servers` has a server for each environment, where the system has one of its own in each; `server` is then the one
    of the environment that was said (`within`), and `BY_ENVIRONMENT` before.
    """

    file: str
    text: str
    digest: str
    format: int
    server: Server
    tools: Mapping[str, ToolContract]
    servers: Mapping[str, Server] = field(default_factory=dict)

    def within(self, environment: str) -> "Contract | None":
        """Return this contract as it holds in one environment; None where the system is not there."""
        if not self.servers:
            return self
        server = self.servers.get(environment)
        return replace(self, server=server) if server is not None else None

    @property
    def reached(self) -> tuple[Server, ...]:
        """Every server by which the system is reached, whatever the environment."""
        return tuple(self.servers.values()) or (self.server,)


def governs_alike(name: str, mine: Contract, other: Contract) -> bool:
    """Tell whether two files say the same of a tool: its own entry, those of the tools it calls, and the server.

    Values are compared, not bytes: a comment, or a change to an unrelated tool, changes nothing for this one.
    """
    if mine.server != other.server or name not in mine.tools or name not in other.tools:
        return False
    return all(mine.tools.get(one) == other.tools.get(one) for one in (name, *_called(mine.tools[name])))


def _called(tool: ToolContract) -> tuple[str, ...]:
    """Return the tools that a tool's contract names: for its preview, its look-up, its undo and the undo's check."""
    match tool.preview:
        case DryRun(tool=preview) | ReadPreview(read=preview):
            called = [preview]
        case None:
            called = []
    if tool.look_up is not None:
        called.append(tool.look_up.tool)
    if tool.undo is not None:
        called.append(tool.undo.tool)
        called += [tool.undo.check.read] if tool.undo.check is not None else []
    return tuple(called)
