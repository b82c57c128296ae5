# SPDX-License-Identifier: Apache-2.0
"""What is not yours is answered like what does not exist: for another agent, and for another tenant, by every route.

The calls are made from the application's own description, so that a new route is tried as soon as it is there. A kind
of id or body that this file does not know fails it.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from signoff.app.authority import people, policies
from signoff.app.authority.clearances import clear, clearable
from signoff.app.authority.delegations import Wanted, grant
from signoff.app.setup import open_tenant
from signoff.core.action.lifecycle import State
from signoff.core.authority.clearance import Cleared
from signoff.core.principal import Caller
from signoff.surfaces.http import authentication
from signoff.surfaces.http.api import Api, create_app
from signoff.surfaces.http.replies import cursor_of
from tests.world import CONTRACT, HOUR, TENANT, World, envelope, new_world

OTHER = "other"
PAGES = {"/", "/login", "/static/{name}", "/actions/{action_id}", "/receipts/{receipt_id}"}
PREFIXES = {
    "run_id": "run", "run": "run", "parent_run": "run", "action_id": "act", "receipt_id": "rcp", "approval_id": "apr",
    "halt_id": "hlt", "person_id": "prs", "principal": "prs", "owner_id": "prs", "agent_id": "agt", "key_id": "key",
    "holder": "prs", "cursor": "act", "delegation_id": "dlg", "delegation": "dlg", "parent": "dlg",
    "clearance_id": "clr",
}  # fmt: skip
NAMES = {"workflow", "system"}  # chosen by people; whoever has no such name has no such thing
# Parameters that name nothing anybody has.
NO_IDS = {
    "limit", "wait", "state", "role", "in_force", "index", "size", "first", "second", "from", "epoch", "name", "of",
}  # fmt: skip


@dataclass
class Stage:
    """One node with two tenants, what there is in the first, and who calls."""

    world: World
    api: Api
    ids: dict[str, list[str]] = field(default_factory=dict)  # by kind of parameter: what there is to be found
    bearers: dict[str, tuple[str, str]] = field(default_factory=dict)  # by who calls: tenant and credential


@dataclass(frozen=True)
class Call:
    """One call that names an id: `place` says where it stands."""

    method: str
    path: str
    place: str
    kind: str
    query: str = ""
    body: Mapping[str, Any] | None = None

    def about(self, name: str, given: str) -> tuple[str, str, bytes]:
        """Return path, query and body with the id put in, other names being ones that nobody has."""
        path = re.sub(r"\{(\w+)\}", lambda m: given if m[1] == name else "nothing", self.path)
        body = b"" if self.body is None else json.dumps(self.body).replace("<id>", given).encode()
        return path, self.query.replace("<id>", given), body


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with new_world(tmp_path, runs_twice=False) as world:
        stage = Stage(world, create_app(world.node))
        await _furnish(stage)
        await _furnish_other(stage)
        yield stage


async def _furnish(stage: Stage) -> None:
    world, node, cast = stage.world, stage.world.node, stage.world.cast
    done, reversed_ = await world.posted(), await world.posted(args={"shelf": "b", "amount": 3})
    await world.vote(await world.undo(reversed_))
    waiting = await world.propose("book.note", {"text": "waits"})
    unknown = await world.propose("book.unheard", {"text": "x"})
    denied = await world.propose("book.note", {"nothing": 1})
    assert (unknown.contract, unknown.state, denied.reason) == ("", State.DENIED, "args_invalid")
    world.target.plan.append("error:odd")
    world.target.reading["book.find"] = "fail"
    doubtful = await world.vote(await world.propose("book.note", {"text": "doubt"}))
    effect = await world.halt("tool:book.erase")
    key, _ = await people.issue_key(node, cast.ann, cast.ann.id)
    wanted = Wanted(cast.agent.id, ("book.*",), ("production",), "notes", lasts_us=HOUR)
    delegation = await grant(node, cast.ann, wanted)
    await people.change_person(node, cast.admin, cast.zoe.id, roles=["compliance"])
    [review] = [one for one in (await clearable(node, cast.zoe, "books")).reviews if one.tool == "book.erase"]
    cleared, _ = await clear(node, cast.zoe, "books", Cleared.CLASS_D, review.tool, review.digest, "in order")
    await world.tick()
    actions = [done, reversed_, waiting, unknown, denied, doubtful]
    receipts = [now.receipt_id for one in actions if (now := await world.get(one)).receipt_id and now.ended_at]
    stage.ids = {
        "run_id": [world.run_id], "run": [world.run_id], "parent_run": [world.run_id],
        "action_id": [one.action_id for one in actions], "receipt_id": [one for one in receipts if one],
        "approval_id": [waiting.approval_id or "", waiting.action_id, done.approval_id or ""],
        "halt_id": [effect.halt.halt_id], "person_id": [cast.ann.id], "principal": [cast.ann.id, cast.olga.id],
        "owner_id": [cast.ann.id], "agent_id": [cast.agent.id], "key_id": [key.key_id], "holder": [cast.ann.id],
        "cursor": [done.action_id, world.run_id, cast.ann.id, cast.agent.id, effect.halt.halt_id],
        "workflow": ["books"], "system": ["book"],
        "delegation_id": [delegation.delegation_id], "delegation": [delegation.delegation_id],
        "parent": [delegation.delegation_id],
        "clearance_id": [cleared.clearance_id],
    }  # fmt: skip
    assert all(stage.ids.values())
    token, _ = await people.mint_token(node, cast.olga, cast.rival.id)
    stage.bearers["another agent"] = TENANT, token


async def _furnish_other(stage: Stage) -> None:
    node = stage.world.node
    kept: list[str] = []
    first = await open_tenant(node, OTHER, kept.append)
    assert first is not None
    admin = Caller(OTHER, first[0].person_id, first[0].roles)
    await policies.publish_contract(node, admin, "others", CONTRACT)
    await policies.publish_envelope(node, admin, envelope(workflow="others"))
    agent, _ = await people.add_agent(node, admin, "stranger")
    token, _ = await people.mint_token(node, admin, agent.agent_id)
    stage.bearers |= {"an agent of another tenant": (OTHER, token), "an admin of another tenant": (OTHER, kept[0])}


def calls(api: Api) -> Iterator[Call]:
    """Yield every call that names an id, in its path, its query or its body."""
    described = api.description
    models = described["components"]["schemas"]
    paths = dict(described["paths"])
    for path in PAGES:
        paths.setdefault(path, {"get": {"parameters": [], "responses": {}}})
    for path, item in paths.items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            model = content["schema"]["$ref"].rpartition("/")[2] if content else None
            body = None if model is None else BODIES[model]
            for name in re.findall(r"\{(\w+)\}", path):
                if name not in NO_IDS:
                    assert name in PREFIXES or name in NAMES, f"say what {name} of {path} names"
                    yield Call(method.upper(), path, name, name, body=body)
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if parameter["in"] == "query" and name not in NO_IDS:
                    assert name in PREFIXES or name in NAMES, f"say what {name} of {path} names"
                    yield Call(method.upper(), path, f"query {name}", name, query=f"{name}=<id>")
            for name in models[model]["properties"] if model else ():
                if name in PREFIXES:
                    yield Call(method.upper(), path, f"body {name}", name, body={**(body or {}), name: "<id>"})
            if model == "BatchBody":
                items = [{"approval_id": "<id>", "digest": "sha256:" + "0" * 64}]
                yield Call(method.upper(), path, "items", "approval_id", body={**(body or {}), "items": items})
            if model == "HaltBody":
                yield Call(method.upper(), path, "scope", "agent_id", body={**(body or {}), "scope": "agent:<id>"})


BODIES: Mapping[str, dict[str, Any]] = {
    "RunBody": {"workflow": "others", "task": "x"},
    "ProposalBody": {"tool": "book.note", "args": {"text": "x"}},
    "PlanBody": {"steps": [{"tool": "book.note", "args": {"text": "x"}}]},
    "CompleteBody": {"outcome": "completed"},
    "NothingBody": {},
    "TurnBody": {"reason": "x"},
    "CancelBody": {"reason": "x"},
    "ResolveBody": {"found": "done", "evidence": "x", "reason": "x"},
    "DecisionBody": {"decision": "approve", "digest": "sha256:" + "0" * 64},
    "BatchBody": {"items": [{"approval_id": "x", "digest": "sha256:" + "0" * 64}], "decision": "approve"},
    "SweepBody": {},
    "HaltBody": {"scope": "tool:book.erase", "reason": "x"},
    "TokenBody": {},
    "PageBody": {"text": "version: 1"},
    "WithdrawBody": {"version": "1"},
    "ClearanceBody": {"kind": "tier", "name": "routine", "digest": "sha256:" + "0" * 64, "reason": "x"},
    "ReasonBody": {"reason": "x"},
    "PersonBody": {"name": "x"},
    "PersonChange": {"is_active": False},
    "AgentBody": {"name": "x"},
    "AgentChange": {"revoke_tokens": True},
    "KeyBody": {},
    "DelegationBody": {"agent_id": "x", "tools": ["*"], "environments": ["x"], "purpose": "x", "lasts_s": 60},
    "VerifyBody": {},
    "SubjectBody": {"subject": "shelf/a"},
    "ErasureBody": {"subject": "shelf/a", "reason": "x"},
}


async def made(stage: Stage, who: str, call: Call, given: str) -> tuple[int, str]:
    """Make a call, and return status and body."""
    tenant, credential = stage.bearers[who]
    path, query, body = call.about(call.place, given)
    headers = [(b"host", b"x"), (b"authorization", f"Bearer {credential}".encode())]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())] if body else []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": call.method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(), "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    # A key is looked up in the one tenant that this version signs people in to; the test stands in for a second.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authentication, "TENANT", tenant)
        await stage.api(scope, receive, send)  # type: ignore[arg-type]
    text = b"".join(message.get("body", b"") for message in sent).decode()
    return sent[0]["status"], re.sub(r'"(request_id|incident)":"[^"]*"', "", text)


WHO = ("another agent", "an agent of another tenant", "an admin of another tenant")


@pytest.mark.parametrize("who", WHO)
async def test_what_is_not_yours_is_answered_like_what_does_not_exist(stage: Stage, who: str) -> None:
    """Status and words are the same but for the id itself; no other id is told; nothing of the owner's moves."""
    before = await _entries(stage)
    tried, told = 0, []
    own = who == "another agent"
    hidden = {one for kind, ids in stage.ids.items() if kind in ("action_id", "receipt_id", "run_id") for one in ids}
    hidden |= set() if own else {one for kind, ids in stage.ids.items() if kind not in NAMES for one in ids}
    for call in calls(stage.api):
        if own and call.kind in NAMES:
            continue  # agents of one tenant work under the same pages
        for there in stage.ids[call.kind]:
            nowhere = "nowhere" if call.kind in NAMES else f"{there[:4]}{'0' * 32}"
            if call.kind == "cursor":
                there, nowhere = cursor_of(there) or "", cursor_of(there[:4] + "f" * 32) or ""
            found = await made(stage, who, call, there)
            missing = await made(stage, who, call, nowhere)
            assert found[0] != 500, (call, found)
            tried += 1
            same = found[0] == missing[0] and found[1].replace(there, "ID") == missing[1].replace(nowhere, "ID")
            if not same and call.kind != "cursor":
                told.append((call.method, call.path, call.place, found, missing))
            others = [one for one in hidden if one != there and one in found[1]]
            assert others == [], (call, found)
    assert told == []
    assert tried > 60
    assert await _entries(stage) == before


async def _entries(stage: Stage) -> int:
    return await stage.world.node.storage.view(TENANT, lambda tx: sum(1 for _ in tx.ledger.scan()))


@pytest.mark.parametrize("who", WHO)
async def test_no_list_or_page_shows_what_is_not_yours(stage: Stage, who: str) -> None:
    """Every call without an id, as someone else."""
    kinds = ("action_id", "receipt_id", "run_id", "approval_id", "halt_id")
    hidden = {one for kind in kinds for one in stage.ids[kind]}
    seen = 0
    for path, item in {**stage.api.description["paths"], "/": {"get": {}}}.items():
        if "get" in item and "{" not in path:
            status, text = await made(stage, who, Call("GET", path, "", ""), "")
            seen += status == 200
            assert [one for one in hidden if one in text] == [], path
    assert seen >= 4


async def test_the_calls_are_those_of_the_application(stage: Stage) -> None:
    """No route stands beside the description, so that none is left out here."""
    top: list[Any] = list(stage.api._rooms.router.routes)
    inside = [one for route in top if hasattr(route, "original_router") for one in route.original_router.routes]
    there = {route.path for route in [*top, *inside] if not hasattr(route, "original_router")}
    described = set(stage.api.description["paths"])
    assert len(there) > 40 and there - described <= PAGES | {"/openapi.json"}
    assert {call.path for call in calls(stage.api)} >= {path for path in described if "{" in path}


async def test_the_owner_is_told_something_else(stage: Stage) -> None:
    """The comparison above can fail: whoever owns an action has it undone, cancelled and resolved, or a conflict."""
    token, _ = await people.mint_token(stage.world.node, stage.world.cast.olga, stage.world.cast.agent.id)
    stage.bearers["the owner"] = TENANT, token
    for verb, body in (("cancel", {"reason": "x"}), ("undo", {})):
        for action_id in stage.ids["action_id"][-3:]:
            call = Call("POST", f"/v1/actions/{{action_id}}/{verb}", "action_id", "action_id", body=body)
            status, text = await made(stage, "the owner", call, action_id)
            assert status == 409, text
    await stage.world.check_ledger()
