# SPDX-License-Identifier: Apache-2.0
"""What a terminal is shown cannot pretend: no control, no reordering, no markup, nothing cut from what is approved."""

import io
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from signoff.surfaces.cli import render


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text(st.characters()))
def test_no_character_of_any_text_controls_reorders_or_hides(text: str) -> None:
    shown = render.visible(text)
    for mark in shown:
        assert unicodedata.category(mark) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        assert mark == " " or unicodedata.category(mark) != "Zs"
    assert render.visible(shown) == shown


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd", "Po", "Sm"])))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert render.visible(text) == text


def test_hostile_marks_are_named() -> None:
    assert render.visible("a\x1b[2J\u202eb\u200b\n\ud800") == "a⟨U+001B⟩[2J⟨U+202E⟩b⟨U+200B⟩⟨U+000A⟩⟨U+D800⟩"


@given(st.text())
def test_two_values_that_differ_are_shown_differently(text: str) -> None:
    assert render.exact(text) != render.exact([text])
    assert render.exact("1") != render.exact(1)
    assert render.exact(None) != render.exact("null")


def test_markup_from_an_agent_is_text_on_a_terminal() -> None:
    out = _Terminal()
    text = "[bold red]paid[/] :smile: [link=http://evil.test]x[/link]"
    render.write_table(out, render.Table(("argument", "value"), [("note", text), ("[/]", "\x1b[31m")], "[red]title"))
    shown = out.getvalue()
    plain = "".join(shown.split())
    assert "[boldred]paid[/]:smile:[link=http://evil.test]x[/link]" in plain
    assert "[red]title" in shown and "⟨U+001B⟩[31m" in plain
    assert "\x1b]8;" not in shown and "\x1b[31m" not in shown


def test_off_a_terminal_a_table_is_aligned_columns_without_escapes() -> None:
    out = io.StringIO()
    render.write_table(out, render.Table(("tool", "state"), [("erp.pay", "denied"), ("x", None)]))
    assert out.getvalue() == "TOOL     STATE\nerp.pay  denied\nx        -\n"


@given(
    st.recursive(
        st.integers() | st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_every_leaf_of_a_value_has_its_line(value: object) -> None:
    lines = list(render.leaves(value))
    assert lines
    scalars = [one for _, one in lines if not isinstance(one, dict | list)]

    def count(one: object) -> int:
        if isinstance(one, dict):
            return sum(count(item) for item in one.values())
        return sum(count(item) for item in one) if isinstance(one, list) else 1

    inside = sum(count(one) for _, one in lines if isinstance(one, dict | list))
    assert len(scalars) + inside == count(value)


@given(st.text(min_size=1), st.integers(1, 300))
def test_a_caret_line_is_short_and_shows_no_control(row: str, column: int) -> None:
    line, caret = render.finding_lines(row, column)
    assert caret.strip() == "^"
    assert line.isprintable()
