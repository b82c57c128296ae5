# SPDX-License-Identifier: Apache-2.0
"""`signoff demo`: the main job before the user's eyes, or headless for a machine to read.

Invoices come as UBL files; three agents, processes of their own, get their texts as tasks and propose over HTTP. What
the page calls routine goes by itself, the rest waits for people; each write gets a receipt; one is taken back. Then
everything is counted. The walk shows the same with one agent and five invoices, where every write waits.
"""

import tempfile
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from signoff.surfaces.cli.demo import scenes, telling, wide
from signoff.surfaces.cli.demo.counting import Story, count
from signoff.surfaces.cli.demo.stage import LONG_PAGE, OPENER, PEOPLE, SHORT_PAGE, YOU, Stage, open_tiers, stage
from signoff.surfaces.cli.shell import NO, YES, Shell
from signoff_sample.approvers import Approvers
from signoff_sdk import Client


class Scene(StrEnum):
    """What is shown."""

    WIDE = "wide"
    WALK = "walk"


class Approver(StrEnum):
    """Who decides in the demo."""

    SAMPLE = "sample"
    NONE = "none"


def demo(
    shell: Shell,
    headless: Annotated[bool, typer.Option("--headless", help="Never ask, and end by itself.")] = False,
    invoices: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of UBL 2.1 invoices of yours.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to keep everything; else a new folder.")
    ] = None,
    approver: Annotated[Approver, typer.Option(help="Who decides: two sample people, or nobody.")] = Approver.SAMPLE,
    scene: Annotated[
        Scene, typer.Option(help="Three agents under the long page, or five invoices one by one.")
    ] = Scene.WIDE,
    seed: Annotated[int, typer.Option(help="Which sixty invoices the wide scene makes.")] = 0,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where to serve; else a free port.")] = None,
) -> int:
    """Run the main job before your eyes: invoices, three agents, your approval, receipts, an undo."""
    # The status: 0 when everything that must be zero is zero and every proof held, 1 when not.
    is_watched = shell.is_interactive and not headless
    console = Console(stderr=shell.is_json, highlight=False, width=None if is_watched else 120)
    folder = data or Path(tempfile.mkdtemp(prefix="signoff-demo-"))
    is_wide = scene is Scene.WIDE
    documents = scenes.documents(invoices, seed if is_wide else None)
    telling.opening(console, folder, len(documents), is_wide=is_wide)
    with ExitStack() as open_:
        set_ = open_.enter_context(stage(folder, LONG_PAGE if is_wide else SHORT_PAGE, port))
        telling.ready(console, set_.url)
        people = {name: open_.enter_context(Client(set_.url, set_.key(name))) for name in PEOPLE}
        approvers = Approvers(people, say=lambda said: telling.decided(console, said))
        decides = approver is Approver.SAMPLE
        deciding = approvers if decides else None
        if is_wide:
            telling.opened(console, OPENER, open_tiers(set_))
            yours = open_.enter_context(Client(set_.url, set_.key(YOU))) if is_watched and decides else None
            stories = wide.play(console, set_, documents, deciding, yours)
        else:
            stories = _play(console, set_, documents, deciding, is_watched)
        if decides:
            scenes.take_back_one(console, people, stories)
        counts = count(set_, stories)
        telling.table(console, counts)
        shell.answer(counts.as_json())
        if is_watched:
            telling.look_around(console, set_)
            _stay(set_)
    return YES if counts.is_well else NO


def _play(
    console: Console, set_: Stage, documents: list[tuple[str, bytes]], approvers: Approvers | None, is_watched: bool
) -> list[Story]:
    """Take one document after the other through the walk; on a terminal the user decides the first write."""
    by_hand = is_watched and approvers is not None
    stories = []
    for number, (name, raw) in enumerate(documents, start=1):
        telling.document(console, number, len(documents), name)
        yours = Client(set_.url, set_.key(YOU)) if by_hand else None
        story, was_asked = scenes.one_document(console, set_, name, raw, approvers, yours)
        if yours:
            yours.close()
        by_hand = by_hand and not was_asked
        telling.ended(console, story)
        stories.append(story)
    return stories


def _stay(set_: Stage) -> None:
    try:
        set_.server.wait()
    except KeyboardInterrupt:
        return
