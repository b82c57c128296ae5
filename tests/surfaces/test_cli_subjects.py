# SPDX-License-Identifier: Apache-2.0
"""A subject from a terminal: what would go is told before anybody is asked, and what went afterwards."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from signoff.app.authority import subjects as about
from signoff.core.errors import Malformed
from signoff.surfaces.cli import subjects
from signoff.surfaces.cli.shell import Doors, Shell
from tests.target import TOOLS, contract
from tests.world import World, new_world

WHO = "shelf/a"


@dataclass
class Told:
    """Answers as the server does, from documents made beforehand, and remembers what it was asked."""

    before: dict[str, Any]
    after: dict[str, Any]
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def post(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.asked.append((path, body))
        return self.after if path.endswith("/erase") else self.before


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    async with new_world(tmp_path) as world:
        yield await _told(world)


async def _told(world: World) -> Told:
    await world.publish(contract(book_create=[*TOOLS["book.create"], "subject: \"'shelf/' + args.shelf\""]))
    await world.posted()
    before = about.subject_document(await about.show(world.node, world.cast.admin, WHO))
    after = about.subject_document(await about.erase(world.node, world.cast.admin, WHO, "asked for"))
    return Told(before, after)


def shell_of(told: Told, monkeypatch: pytest.MonkeyPatch, **given: Any) -> Shell:
    monkeypatch.setattr(Shell, "client", lambda _: told)
    return Shell(Doors(None, None, None, None), **given)  # type: ignore[arg-type]


def test_what_would_go_and_what_stays_is_told_before_anybody_is_asked(
    told: Told, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = shell_of(told, monkeypatch)
    with pytest.raises(Malformed) as refused:  # there is nobody to ask
        subjects.erase(shell, WHO, "asked for")
    assert refused.value.code == "cli.not_asked"
    assert [path for path, _ in told.asked] == ["/v1/subjects/show"]
    said = capsys.readouterr().out
    assert "book.create" in said and "Goes" in said and "Stays" in said
    assert "1 writes that stand could then be taken back by hand alone" in said
    assert "A backup keeps the destroyed key" in said and "no legal hold yet" in said


def test_an_erasure_says_how_much_went(
    told: Told, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert subjects.erase(shell_of(told, monkeypatch), WHO, "asked for", yes=True) == 0
    assert told.asked == [("/v1/subjects/erase", {"subject": WHO, "reason": "asked for"})]
    said = capsys.readouterr().out
    assert f"{told.after['erased_payloads']} payloads of 1 actions" in said and "Goes" not in said


def test_with_json_the_document_is_the_answer(
    told: Told, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert subjects.show(shell_of(told, monkeypatch, is_json=True), WHO) == 0
    assert json.loads(capsys.readouterr().out) == told.before
