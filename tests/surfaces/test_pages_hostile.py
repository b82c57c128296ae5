# SPDX-License-Identifier: Apache-2.0
"""The pages fool nobody: hostile text stays text, and what it hides is named."""

import html
import json
import re

import pytest
from hypothesis import given, settings

from signoff.surfaces.web import hostile, render
from tests.surfaces.reader import Reader, shape
from tests.surfaces.sheets import (
    HOSTILE,
    any_text,
    document,
    pages,
)


def test_markup_in_a_document_is_shown_and_never_obeyed() -> None:
    tame = re.sub(r"[^./]", "-", HOSTILE)  # a path may be broken after these
    for (name, page), calm in zip(pages(HOSTILE).items(), pages(tame).values(), strict=True):
        assert shape(page) == shape(calm), name
        assert "<script>alert(1)</script>" in html.unescape(page), name
        assert "{{ 7*7 }}" in html.unescape(page), "a template in a document was run"


@pytest.mark.parametrize(
    "char",
    "\u202e\u202a\u2066\u2069\u200e\u061c\u200b\u200d\u2060\ufeff\u00ad\u00a0\u3164\u2800\ufe0f\x00\x1b\r\ud800\U000e0041",
)
def test_a_character_that_reorders_hides_or_imitates_a_blank_is_named_on_every_page(char: str) -> None:
    for name, page in pages(f"pay{char}able").items():
        page.encode()
        assert char not in page, name
        assert f"pay⟨U+{ord(char):04X}⟩able" in Reader(page).text, name


def test_a_named_character_is_set_apart_from_one_that_was_typed() -> None:
    assert hostile.text("a\u202eb⟨U+202E⟩") == 'a<span class="hidden-char">⟨U+202E⟩</span>b⟨U+202E⟩'


def test_a_pile_of_marks_cannot_paint_over_other_lines() -> None:
    assert hostile.visible("a" + "\u0301" * 5) == "a" + "\u0301" * 3 + "⟨U+0301⟩⟨U+0301⟩"
    assert hostile.visible("Ệ naïve שָׁלוֹם") == "Ệ naïve שָׁלוֹם"


@given(any_text)
@settings(max_examples=25, deadline=None)
def test_no_text_at_all_becomes_markup_or_goes_unseen(text: str) -> None:
    for name, page in pages(text).items():
        read = Reader(page)
        assert read.faults == [], name
        assert not {tag for tag, _ in read.tags} & {"script", "style", "iframe"}
        assert all(char.isprintable() or char in "\n\t" for char in page), name


@given(any_text)
@settings(deadline=None)
def test_a_value_is_there_in_full_however_long_it_is(text: str) -> None:
    value = f"v{text}{'.' * 300}"
    assert "".join(Reader(str(hostile.shown(value))).words).endswith(hostile.visible(value))


def test_a_long_text_is_clipped_in_the_middle_and_whole_on_request() -> None:
    long = "begin " + "x" * 5000 + " end"
    page = str(hostile.shown(long))
    summary, whole = page.split("</summary>")
    assert "begin" in summary and "end" in summary and "characters …" in summary and len(summary) < 500
    assert long in whole
    assert "<details" in str(hostile.shown("line\n" * 20 + "end")), "many short lines push everything else away too"


def test_a_string_that_looks_like_something_else_keeps_its_quotes() -> None:
    for looks in ("1248000", "true", "null", "", " x", "absent", '{"a": 1}'):
        assert Reader(str(hostile.shown(looks))).text == " ".join(json.dumps(looks).split())
    assert Reader(str(hostile.shown("V-20418"))).text == "V-20418"


def test_a_key_of_an_argument_cannot_pose_as_a_path() -> None:
    honest = render.action(document(args={"proposed": {"a": {"b": 1}}}), [], None)
    forged = render.action(document(args={"proposed": {"a.b": 1}}), [], None)
    assert "a.b" in Reader(honest).text and '["a.b"]' in Reader(forged).text
