# SPDX-License-Identifier: Apache-2.0
"""What callers send: one strict model a body, unknown members refused, bounds checked before any model sees it.

A body passes `core/proposal.read_json` first: 256 KiB, 32 levels, UTF-8, no duplicate key, no NaN (contract, section
7). A model then names what is wrong by its path.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from signoff.app.authority.delegations import Wanted
from signoff.core.action.plan import STEPS_MAX
from signoff.core.authority.reading import NAME
from signoff.core.errors import Malformed
from signoff.core.proposal import BYTES_MAX, read_json
from signoff.surfaces.problems import TooLarge, WrongContentType, malformed_by

Reason = Annotated[str, Field(max_length=4000)]
Said = Annotated[str, Field(min_length=1, max_length=4000)]
Id = Annotated[str, Field(min_length=1, max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Key = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,200}")


class Body(BaseModel):
    """A body: types are taken as they come, and nothing unknown is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class KeyedBody(Body):
    idempotency_key: Key | None = Field(None, description="Or the header `Idempotency-Key`; not two different ones.")


class RunBody(KeyedBody):
    """Begin a task."""

    workflow: Name
    task: Annotated[str, Field(max_length=65536)]
    principal: Id | None = None
    environment: Name | None = None
    delegation: Id | None = Field(None, description="Under which it is begun, in the name of whoever granted it.")
    labels: dict[str, Any] | None = None


class ProposalBody(KeyedBody):
    """Ask for one tool call. `rationale`, `confidence` and `citations` are claims."""

    # As a contract may write it: the name is kept in the clear, even of a tool that nobody knows.
    tool: Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
    args: dict[str, Any]
    rationale: Annotated[str, Field(max_length=16384)] | None = None
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    citations: Annotated[list[Any], Field(max_length=200)] | None = None
    again: bool = False

    def claims(self) -> dict[str, Any]:
        """Return what the agent says of its own call, as far as it said anything."""
        said = {"rationale": self.rationale, "confidence": self.confidence, "citations": self.citations}
        return {name: value for name, value in said.items() if value is not None}


class StepBody(Body):
    """One step, with literal arguments: what needs an earlier step's result is proposed by itself."""

    tool: Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
    args: dict[str, Any]
    rationale: Annotated[str, Field(max_length=16384)] | None = None
    again: bool = False


class PlanBody(KeyedBody):
    """Ask for several tool calls, approved as one, and done in this order."""

    steps: Annotated[list[StepBody], Field(min_length=1, max_length=STEPS_MAX)]


class CompleteBody(Body):
    outcome: Literal["completed", "failed"]
    summary: Reason = ""


class NothingBody(Body):
    """No members."""


class TurnBody(Body):
    """Why a run is paused or resumed."""

    reason: Reason = ""


class CancelBody(Body):
    reason: Reason = ""


class ResolveBody(Body):
    """What a person found in the target."""

    found: Literal["done", "not_done"]
    evidence: Said
    reason: Said


class DecisionBody(Body):
    """A person's word on the digest they saw. `args` go with an edit, `until` with a deferral, and only with those."""

    decision: Literal["approve", "reject", "edit", "defer"]
    digest: Annotated[str, Field(min_length=1, max_length=80)]
    reason: Reason = ""
    args: dict[str, Any] | None = None
    until: Annotated[str, Field(max_length=40)] | None = Field(None, description="A time, RFC 3339.")

    def until_us(self) -> int | None:
        """Return `until` in microseconds since 1970.

        Raises:
            Malformed: it is no time, or one without its offset from UTC.
        """
        return None if self.until is None else microseconds(self.until, "$.until")

    @model_validator(mode="after")
    def _fits(self) -> "DecisionBody":
        if (self.args is not None) != (self.decision == "edit"):
            raise ValueError("`args` go with an edit, and only with one")
        if (self.until is not None) != (self.decision == "defer"):
            raise ValueError("`until` goes with a deferral, and only with one")
        if self.decision == "reject" and not self.reason.strip():
            raise ValueError("a rejection has a reason")
        return self


class BatchItem(Body):
    approval_id: Id
    digest: Annotated[str, Field(min_length=1, max_length=80)]


class BatchBody(Body):
    """One word on several similar actions, each by the digest that was seen."""

    items: Annotated[list[BatchItem], Field(min_length=1, max_length=50)]
    decision: Literal["approve", "reject"]
    reason: Reason = ""

    @model_validator(mode="after")
    def _fits(self) -> "BatchBody":
        if self.decision == "reject" and not self.reason.strip():
            raise ValueError("a rejection has a reason")
        return self


class SweepBody(Body):
    """Look for writes without a receipt from `since` on, by default in the last seven days."""

    since: Annotated[str, Field(max_length=40)] | None = Field(None, description="A time, RFC 3339.")

    def since_us(self) -> int | None:
        """Return `since` in microseconds since 1970.

        Raises:
            Malformed: it is no time, or one without its offset from UTC.
        """
        return None if self.since is None else microseconds(self.since, "$.since")


class HaltBody(KeyedBody):
    scope: Annotated[str, Field(min_length=1, max_length=260)]
    reason: Said
    stop_undo: bool = False


class TokenBody(Body):
    """Mint a token for an agent; by default for the agent whose key is shown."""

    agent_id: Id | None = None
    life_s: Annotated[int, Field(ge=1, le=300)] = 300


class PageBody(Body):
    """A page of YAML, byte for byte: an envelope or a tool contract."""

    text: Annotated[str, Field(min_length=1)]
    file: Name | None = Field(None, description="What findings call the page.")


class ClearanceBody(Body):
    """Open a tier, or put a class D review on record, for what was seen under `digest`."""

    kind: Literal["tier", "class_d"]
    name: Name
    digest: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Said


class ReasonBody(Body):
    reason: Said


class WithdrawBody(Body):
    version: Name


class PersonBody(Body):
    name: Annotated[str, Field(max_length=200)]
    email: Annotated[str, Field(max_length=320)] = ""
    roles: Annotated[list[str], Field(max_length=64)] = []


class PersonChange(Body):
    roles: Annotated[list[str], Field(max_length=64)] | None = None
    is_active: bool | None = None


class AgentBody(Body):
    name: Name
    owner_id: Id | None = None


class AgentChange(Body):
    is_active: bool | None = None
    revoke_tokens: bool = False


class KeyBody(Body):
    holder: Id | None = Field(None, description="By default the caller.")


class SubjectBody(Body):
    """A data subject, as the tools' contracts make it."""

    subject: Annotated[str, Field(min_length=1, max_length=1000)]


class ErasureBody(SubjectBody):
    """Erase a subject. The reason is kept: leave out who it is about."""

    reason: Said


class DelegationBody(KeyedBody):
    """Delegate to an agent. It begins now where `not_before` is not said, and ends at `not_after` or after `lasts_s`.

    With `parent` an agent passes on a part of what it holds; what it leaves out is then that of the whole.
    """

    agent_id: Id
    tools: Annotated[list[Name], Field(min_length=1, max_length=64)]
    environments: Annotated[list[Name], Field(min_length=1, max_length=64)]
    purpose: Said
    not_before: Annotated[str, Field(max_length=40)] | None = Field(None, description="A time, RFC 3339.")
    not_after: Annotated[str, Field(max_length=40)] | None = Field(None, description="A time, RFC 3339.")
    lasts_s: Annotated[int, Field(ge=1, le=366 * 86400)] | None = None
    condition: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(None, description="CEL over `args`.")
    uses_max: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    usd_micros_max: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    parent: Id | None = None

    def wanted(self) -> Wanted:
        """Return what is to be delegated.

        Raises:
            Malformed: a time that is none.
        """
        return Wanted(
            self.agent_id,
            tuple(self.tools),
            tuple(self.environments),
            self.purpose,
            None if self.not_before is None else microseconds(self.not_before, "$.not_before"),
            None if self.not_after is None else microseconds(self.not_after, "$.not_after"),
            None if self.lasts_s is None else self.lasts_s * 1_000_000,
            self.condition,
            self.uses_max,
            self.usd_micros_max,
            self.parent,
        )


class VerifyBody(Body):
    """Checkpoints and receipts kept elsewhere, as text, to hold the log against."""

    against: Annotated[list[Annotated[str, Field(max_length=BYTES_MAX)]], Field(max_length=32)] = []


def microseconds(text: str, path: str) -> int:
    """Return a time of RFC 3339 in microseconds since 1970.

    Raises:
        Malformed: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        pass
    raise Malformed(
        what=f"{text[:40]!r} is no time.",
        why="A time has a date, a time of day and its offset from UTC (RFC 3339).",
        fix="Write it like 2026-03-01T18:00:00Z.",
        path=path,
    )


BODIES: Final[tuple[type[Body], ...]] = tuple(
    model for model in list(globals().values()) if isinstance(model, type) and issubclass(model, Body)
)
B = TypeVar("B", bound=Body)


@dataclass(slots=True)
class Head:
    """What the headers of a request say of its body; of a header given twice the first counts, and of keys all."""

    content_type: bytes | None = None
    length: bytes | None = None
    keys: tuple[bytes, ...] = ()


def head_of(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """Return what a request's headers say of its body, in one pass."""
    head = Head()
    for name, value in headers:
        if name == b"content-type":
            head.content_type = value if head.content_type is None else head.content_type
        elif name == b"content-length":
            head.length = value if head.length is None else head.length
        elif name == b"idempotency-key":
            head.keys += (value,)
    return head


async def read(request: Request, model: type[B]) -> B:
    """Return the request's body as `model`; no body at all reads as `{}`.

    Raises:
        TooLarge, WrongContentType: what the status says.
        Malformed: out of bounds, or not what the model takes; the paths are in `problems`.
    """
    return await read_from(request.receive, head_of(request.scope["headers"]), model)


async def read_from(receive: Receive, head: Head, model: type[B]) -> B:
    """Return what is received as `model`; the same as `read`, without a request around it."""
    data = await whole(receive, head)
    if data and not is_json((head.content_type or b"").decode("latin-1")):
        raise WrongContentType(
            what="This content type is not read here.",
            why="A body is JSON.",
            fix="Send it with `Content-Type: application/json`.",
        )
    return fitted(read_json(data) if data else {}, model)


def fitted(value: Any, model: type[B]) -> B:
    """Return a value read from JSON as `model`.

    Raises:
        Malformed: it is not what the model takes.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise malformed_by(error.errors(include_url=False, include_input=False, include_context=False)) from None


async def whole(receive: Receive, head: Head) -> bytes:
    """Return the body, reading no further than the bound.

    Raises:
        TooLarge: there is more.
        ClientDisconnect: the caller hung up before its end.
    """
    if head.length is not None and head.length.isdigit() and int(head.length[:12]) > BYTES_MAX:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > BYTES_MAX:
            raise _too_large()
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@lru_cache(maxsize=64)  # clients send one of a few
def is_json(content_type: str) -> bool:
    """Tell whether a content type is JSON in UTF-8, the only charset it has (RFC 8259, section 8.1)."""
    kind, _, rest = content_type.partition(";")
    charset = rest.strip().lower()
    return kind.strip().lower() == "application/json" and charset in ("", "charset=utf-8", 'charset="utf-8"')


def idempotency_key(request: Request, in_body: str | None) -> str | None:
    """Return the call's idempotency key, from the header `Idempotency-Key` or the body.

    Raises:
        Malformed: both are given and differ, or the header is out of shape.
    """
    return key_of(head_of(request.scope["headers"]), in_body)


def key_of(head: Head, in_body: str | None) -> str | None:
    """Return a call's idempotency key; the same as `idempotency_key`, without a request around it."""
    given = head.keys
    if not given:
        return in_body
    if len(set(given)) > 1 or not _KEY.fullmatch(given[0]):
        raise _bad_key("The header is given twice, or is not 1 to 200 visible ASCII characters.")
    key: str = given[0].decode("ascii")
    if in_body is not None and in_body != key:
        raise _bad_key("The header and the body's `idempotency_key` differ.")
    return key


def refuse_key(request: Request) -> None:
    """Refuse an idempotency key where making the call twice makes two things: silence would promise what is not so.

    Raises:
        Malformed: one was sent.
    """
    if any(name == b"idempotency-key" for name, _ in request.scope["headers"]):
        raise Malformed(
            what="This call takes no idempotency key.",
            why="Whatever it makes is made anew each time, with a secret that is shown once.",
            fix="Leave the header out; look for what was made before you call again.",
            code="idempotency.not_taken",
            path="header.Idempotency-Key",
        )


def _bad_key(why: str) -> Malformed:
    return Malformed(
        what="The idempotency key cannot be used.",
        why=why,
        fix="Send one key of up to 200 visible ASCII characters, such as a UUID.",
        path="header.Idempotency-Key",
    )


def _too_large() -> TooLarge:
    return TooLarge(
        what="The body was refused at the door.",
        why=f"It is larger than {BYTES_MAX // 1024} KiB.",
        fix="Send less at once.",
    )
