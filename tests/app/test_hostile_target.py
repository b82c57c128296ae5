# SPDX-License-Identifier: Apache-2.0
"""Whatever a target answers, the node stands: what is no usable answer is doubt, and nothing it said is believed."""

import html
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import pytest

from signoff.adapters.connectors.mcp_answer import Unusable, interpret
from signoff.core.action.doubt import Answer, Errored, Lost
from signoff.core.action.lifecycle import State
from signoff.core.principal import Caller
from signoff.ports.connector import Call
from signoff.surfaces.web import pages, render
from tests.world import World

SCRIPT = "<script>alert(1)</script>"
Raw = Mapping[str, Any]


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = {"x": value}
    return value


def result(**members: Any) -> Raw:
    return {"content": [], "structuredContent": {"entry_id": "E-1", **members}}


def text(said: str, **more: Any) -> Raw:
    return {"content": [{"type": "text", "text": said}], **more}


# By name: what the server answers although it wrote, and whether that is a result of the tool's form.
ANSWERS: dict[str, tuple[Raw, bool]] = {
    "a preview that cannot be kept": (result(changes=[{"path": "x", "before": 2**70, "after": 1}]), False),
    "a preview of another shape": (result(changes=[{"path": SCRIPT}, 5, None]), True),
    "a preview with markup": (result(changes=[{"path": SCRIPT, "before": 1, "after": SCRIPT}]), True),
    "huge": (result(more="x" * 300_000), False),
    "many members": (result(**{f"m{n}": n for n in range(40_000)}), False),
    "deep": (result(more=deep(40)), False),
    "far too deep": (result(more=deep(5_000)), False),
    "NaN": (result(more=math.nan), False),
    "infinity": (result(more=[1, {"y": -math.inf}]), False),
    "an integer past 2^53": (result(more=2**70), False),
    "a float past 2^53": (result(more=1e300), False),
    "a lone surrogate": (result(more="\ud800"), False),
    "a lone surrogate as a name": (result(**{"\udfff": 1}), False),
    "NUL": (result(more="a\0b"), True),
    "a duplicate key": (text('{"entry_id": "E-1", "entry_id": "E-2"}'), False),
    "NaN in text": (text('{"entry_id": "E-1", "more": NaN}'), False),
    "an array": (text('["E-1"]'), False),
    "a number for the text": ({"content": [], "structuredContent": {"entry_id": 1}}, False),
    "null for the text": ({"content": [], "structuredContent": {"entry_id": None}}, False),
    "nothing": ({"content": []}, False),
    "no answer of the protocol": ({}, False),
    "content that is none": ({"content": "E-1"}, False),
    "blocks that are none": ({"content": [1, None, {"type": "text"}, {"type": "text", "text": 5}]}, False),
    "markup": (result(note=SCRIPT, more=f"{{{{7*7}}}}{SCRIPT}"), True),
    "escape sequences": (result(note="\x1b[2J\x1b]0;x\x07\u202egnp.exe"), True),
    "members of ours": (result(state="failed", receipt_id="rcp_1", error={"code": "shelf_closed"}, key="k"), True),
    "a result that says it is an error": ({"content": [], "structuredContent": {"error": {"code": "x"}}}, False),
    "an error that holds a result": ({**result(), "isError": True}, False),
    "an error of another type": ({**result(), "isError": "false"}, False),
    "an error with a code of markup": (
        text(json.dumps({"error": {"code": SCRIPT, "message": SCRIPT}}), isError=True), False
    ),
    "an error with a lone surrogate for a code": (
        {"content": [], "structuredContent": {"error": {"code": "\ud800", "message": "\ud800"}}, "isError": True}, False
    ),
    "an error with a code of many lines": (
        text(json.dumps({"error": {"code": "a\nb\0c\x1b[2J", "message": "x\n" * 5_000}}), isError=True), False
    ),
    "an error whose code is almost one that counts": (
        text(json.dumps({"error": {"code": " shelf_closed"}}), isError=True), False
    ),
    "an error whose code stands elsewhere": (text("shelf_closed", isError=True, code="shelf_closed"), False),
    "more to come": ({**result(), "resultType": "input_required"}, False),
}  # fmt: skip
CASES = pytest.mark.parametrize(("raw", "fits"), ANSWERS.values(), ids=ANSWERS)


def said(raw: Raw, *, is_write: bool) -> Answer:
    """Return what the connector makes of it."""
    try:
        return interpret(raw)
    except Unusable as error:
        return Lost(str(error)) if is_write else Errored(None, str(error))


@CASES
async def test_a_write_is_done_or_in_doubt_and_the_look_up_tells(
    world: World, raw: Raw, fits: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Never failed, for it was written; never a leg that stops on the way; and whoever looks at it is safe."""

    async def written(call: Call, how: str) -> Answer:
        world.target.write(call)
        return said(raw, is_write=True)

    waiting = await world.propose("book.note", {"text": "x"})
    with monkeypatch.context() as patch:
        patch.setattr(world.target, "_written", written)
        done = await world.vote(waiting)
    assert done.state is (State.SUCCEEDED if fits else State.IN_DOUBT)
    await _is_shown(world, done.action_id)
    await world.pass_time(5)
    assert (await world.get(done)).state is State.SUCCEEDED
    assert len(world.target.calls) == 1
    await _is_shown(world, done.action_id)
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
    await world.check_ledger()


@CASES
async def test_a_read_succeeds_or_fails_at_once(
    world: World, raw: Raw, fits: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(call: Call) -> Answer:
        return said(raw, is_write=False)

    monkeypatch.setattr(world.target, "read", read)
    done = await world.propose("book.find", {"key": "x"})
    assert done.state is (State.SUCCEEDED if fits else State.FAILED)
    await _is_shown(world, done.action_id)
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
    monkeypatch.undo()
    await world.check_ledger()


@CASES
async def test_a_preview_that_is_none_denies_the_write(
    world: World, raw: Raw, fits: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing waits for people that nobody can show them."""

    async def read(call: Call) -> Answer:
        return said(raw, is_write=False)

    monkeypatch.setattr(world.target, "read", read)
    denied = await world.propose()
    if raw is ANSWERS["a preview with markup"][0]:  # the one that is a preview
        assert denied.state is State.PENDING_APPROVAL
    else:
        assert (denied.state, denied.reason) == (State.DENIED, "preview_failed")
    await _is_shown(world, denied.action_id)
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
    monkeypatch.undo()
    await world.check_ledger()


@CASES
async def test_a_look_up_that_answers_so_proves_neither(
    world: World, raw: Raw, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A find has to be of the tool's form; all else is asked again, and at last a person is."""

    async def read(call: Call) -> Answer:
        return said(raw, is_write=False)

    world.target.plan.append("lost_after")
    doubtful = await world.vote(await world.propose("book.note", {"text": "x"}))
    assert doubtful.state is State.IN_DOUBT
    with monkeypatch.context() as patch:
        patch.setattr(world.target, "read", read)
        await world.pass_time(120, 10)
        now = await world.get(doubtful)
        assert now.state in ((State.SUCCEEDED, State.IN_DOUBT) if fits else (State.IN_DOUBT,))
    await world.pass_time(600, 50)
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def _is_shown(world: World, action_id: str) -> None:
    """Everyone can read it: as JSON, and as a page in which nothing of the target's is markup."""
    for who in (world.cast.ann, world.cast.agent):
        json.dumps(await world.document(await world.get(action_id), who), allow_nan=False).encode()
    page = await _page(world, world.cast.ann, action_id)
    page.encode()
    assert SCRIPT not in page
    assert "\0" not in page and "\x1b" not in page and "\u202e" not in html.unescape(page)


async def _page(world: World, caller: Caller, action_id: str) -> str:
    return render.action(*await pages.action(world.node, caller, action_id))
