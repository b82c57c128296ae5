# SPDX-License-Identifier: Apache-2.0
"""The overview, the form at the door and the page of an error say what to do next."""

from typing import Any, cast

import pytest

from signoff.surfaces.web import render
from signoff.surfaces.web.models import ActionLine
from tests.surfaces.reader import Reader, rows
from tests.surfaces.sheets import full_home, home


def test_inert_controls_are_announced_above_everything_that_works() -> None:
    page = render.home(full_home())
    assert "1 control is asked for and does nothing" in Reader(page).text
    assert page.index('id="inert"') < page.index('id="latest"')
    assert "asked for and do" not in render.home(home())


def test_an_inert_control_says_which_line_of_which_page_asks_for_it() -> None:
    asking = [{"workflow": name, "version": "7", "key": "logging.redact_pii", "line": 21} for name in ("bills", "pay")]
    control = {"name": "redaction", "state": "inert", "note": "Nothing is redacted.", "asked_by": asking}
    said = Reader(render.home(home(controls=[control]))).text
    assert "Nothing is redacted. Asked for by logging.redact_pii, line 21 of bills 7" in said
    assert "line 21 of pay 7" in said and "take the line out of the workflow’s page" in said


@pytest.mark.parametrize(
    ("signers", "said"),
    [
        (None, "none owed"),
        ([], "nobody yet"),
        ([{"person": "Ada", "decision": "approve"}, {"person": "Ben", "decision": "reject"}], "Ada, Ben said no"),
    ],
)
def test_the_list_of_actions_answers_who_approved_each(signers: Any, said: str) -> None:
    line = cast(ActionLine, full_home()["actions"][0] | {"signers": signers, "state": "pending_approval"})
    assert f"plain {said} plain" in rows(render.home(home(actions=[line])), "actions")[1]


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
    assert "<code>signoff runs</code>" in render.problem(404, "No.", "`", "List them with `signoff runs`.")
    said = Reader(render.problem(404, "No such action.", "It is not of this tenant.", "Check the id.")).text
    assert all(part in said for part in ("404", "No such action.", "It is not of this tenant.", "Check the id."))
