# SPDX-License-Identifier: Apache-2.0
"""What pages load is named by its content, loads nothing itself, and is legible in every scheme."""

import re
from collections.abc import Mapping, Sequence

import pytest

from signoff.core.errors import NotFound
from signoff.surfaces.web import render, statics
from tests.surfaces.reader import Reader


def test_static_files_are_named_by_their_content_and_nothing_else_is_served() -> None:
    page = Reader(render.sign_in())
    names = [(attrs.get("href") or attrs.get("src") or "") for tag, attrs in page.tags if tag in {"link", "img"}]
    for name in names:
        content, kind, etag = statics.static_file(name.removeprefix("/static/"))
        assert content and etag.strip('"') in name and re.fullmatch(r'"[0-9a-f]{16}"', etag)
        assert kind.startswith(("text/css", "image/svg+xml"))
    for name in ("signoff.css", "../render.py", "", "signoff.0000000000000000.css"):
        with pytest.raises(NotFound):
            statics.static_file(name)


def stylesheet() -> str:
    name = Reader(render.sign_in()).all("link")[0]["href"] or ""
    return statics.static_file(name.removeprefix("/static/"))[0].decode()


def test_the_style_sheet_loads_nothing() -> None:
    assert not re.search(r"url\(|@import|https?:|@font-face", stylesheet())


def schemes() -> Mapping[str, Mapping[str, str]]:
    light, dark, paper = (
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\n\s*\}", stylesheet(), re.DOTALL)
    )
    return {"light": light, "dark": light | dark, "print": light | paper}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


INKS: Sequence[tuple[str, Sequence[str]]] = [
    (ink, ("paper", "sheet", "band"))
    for ink in ("ink", "ink-2", "link", "good", "wait", "bad", "doubt", "move", "quiet")
] + [
    ("bad", ("bad-wash",)), ("wait", ("wait-wash",)), ("doubt", ("wait-wash", "doubt-wash")), ("mark-ink", ("mark",)),
    *((ink, ("bad-wash", "wait-wash", "doubt-wash")) for ink in ("ink", "ink-2", "link")),
    *(("on-tone", (tone,)) for tone in ("good", "wait", "bad", "doubt", "move", "link")),
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_ink_is_legible_on_every_ground_it_stands_on(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text; axe cannot judge text beside drawn marks, so the tokens are computed."""
    tokens = schemes()[scheme]
    for ink, grounds in INKS:
        for ground in grounds:
            one, other = sorted((luminance(tokens[ink]), luminance(tokens[ground])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (scheme, ink, ground)
