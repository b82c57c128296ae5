# SPDX-License-Identifier: Apache-2.0
"""The overview, the form at the door and the page of an error say what to do next."""

from tests.surfaces.reader import Reader
from tests.surfaces.sheets import full_home, home

from signoff.surfaces.web import render


def test_inert_controls_are_announced_above_everything_that_works() -> None:
    page = render.home(full_home())
    assert "1 control is asked for and does nothing" in Reader(page).text
    assert page.index('id="inert"') < page.index('id="latest"')
    assert "asked for and do" not in render.home(home())


def test_an_empty_installation_says_what_to_do_next() -> None:
    said = Reader(render.home(home())).text
    for command in ("signoff tools discover", "signoff check FILE", "signoff demo", "signoff approvals"):
        assert command in said


def test_older_actions_are_one_link_away_and_so_are_the_newest() -> None:
    first, later = render.home(home(next_cursor="a+b")), render.home(home(cursor="a+b"))
    assert 'rel="next" href="/?cursor=a%2Bb"' in first and "Newest" not in first
    assert "There are no earlier actions" in later and '<a href="/">Newest</a>' in later


def test_the_key_field_is_hidden_never_filled_in_and_posted() -> None:
    read = Reader(render.sign_in("no such key"))
    assert read.all("form") == [{"method": "post", "action": "/login", "autocomplete": "off"}]
    (field,) = read.all("input")
    assert field["type"] == "password" and field["autocomplete"] == "off" and "value" not in field
    assert "no such key" in read.text and "aria-invalid" in field


def test_an_error_says_what_why_and_how_to_mend_it() -> None:
    said = Reader(render.problem(404, "No such action.", "It is not of this tenant.", "Check the id.")).text
    assert all(part in said for part in ("404", "No such action.", "It is not of this tenant.", "Check the id."))
