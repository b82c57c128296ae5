# SPDX-License-Identifier: Apache-2.0
"""Every page is well formed, can be walked by ear and by keyboard, and works without script or style."""

import re

import pytest

from signoff.surfaces.web import render
from tests.surfaces.reader import Reader
from tests.surfaces.sheets import (
    PAGES,
    full_home,
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_under_the_strict_policy_and_asks_nothing_of_anybody_else(name: str) -> None:
    for tag, attrs in Reader(PAGES[name]).tags:
        assert tag not in {"script", "style", "iframe", "object", "embed", "base"}
        for attribute, value in attrs.items():
            assert attribute != "style" and not attribute.startswith("on")
            if attribute in {"href", "src", "action"}:
                assert value is not None and re.match(r"/(?!/)|#", value), value


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_can_be_walked_by_its_landmarks_and_headings(name: str) -> None:
    read = Reader(PAGES[name])
    assert read.faults == []
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in read.tags:
        for attribute in ("aria-labelledby", "aria-describedby", "for"):
            assert attrs.get(attribute) in {None, *ids}, (tag, attrs)
    assert [len(read.all(tag)) for tag in ("h1", "main", "header", "footer")][:2] == [1, 1]
    assert all(later - earlier <= 1 for earlier, later in zip([0, *read.headings], read.headings, strict=False))
    assert read.all("a")[0] == {"class": "skip", "href": "#main"}
    assert read.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize("name", PAGES)
def test_a_table_has_a_caption_and_every_header_a_scope(name: str) -> None:
    read = Reader(PAGES[name])
    assert len(read.all("caption")) == len(read.all("table"))
    assert all(attrs.get("scope") in {"col", "row"} for attrs in read.all("th"))


def test_what_a_link_names_cannot_leave_its_place_in_the_address() -> None:
    page = render.home(full_home("../x?y=1&z=#'\""))
    hrefs = [attrs["href"] or "" for attrs in Reader(page).all("a")]
    assert "/actions/..%2Fx%3Fy%3D1%26z%3D%23%27%22" in hrefs
    assert "/?cursor=..%2Fx%3Fy%3D1%26z%3D%23%27%22" in hrefs
