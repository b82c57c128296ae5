# SPDX-License-Identifier: Apache-2.0
"""A page is read in one way only, and what cannot be read is said with its place."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.authority.page import BYTES_MAX, DEPTH_MAX, FINDINGS_MAX, Severity, read_page

BROKEN = {
    "a tab": (b"a:\n\t- 1\n", "page.syntax", 2),
    "an open bracket": (b"a: 1\nb: [1, 2\n", "page.syntax", 3),
    "an open quote": (b'a: "x\n', "page.syntax", 2),
    "a duplicate key": (b"a: 1\nb: 2\na: 3\n", "page.duplicate_key", 3),
    "a duplicate key inside": (b"a:\n  b: 1\n  'b': 2\n", "page.duplicate_key", 3),
    "an anchor": (b"a: &x 1\n", "page.anchor", 1),
    "an alias": (b"a: &x [1]\nb: *x\n", "page.alias", 2),
    "a merge of an alias": (b"a: &x {c: 1}\nb:\n  <<: *x\n", "page.alias", 3),
    "a tag": (b"a: 1\nb: !!python/name:os.system x\n", "page.tag", 2),
    "a tag of YAML's own": (b"a: !!str 1\n", "page.tag", 1),
    "a directive": (b"%YAML 1.1\n---\na: 1\n", "page.directive", 2),
    "a second document": (b"a: 1\n---\nb: 1\n", "page.documents", 2),
    "a key that is a list": (b"a: 1\n[b, c]: 2\n", "page.key", 2),
    "Latin-1": (b"a: 1\nb: caf\xe9\n", "page.encoding", 2),
    "a control character": (b"a: 1\nb: x\x01\n", "page.syntax", 2),
    "an escape that is not shown": (b'a: 1\nb: "x\\0y"\n', "page.control", 2),
    "half of a character": (b'a: 1\nb: "\\ud83e\\udd8a"\n', "page.control", 2),
    "text shown in another order": ("a: 1\n# \u202e\n".encode(), "page.control", 2),
    "nothing": (b"", "page.empty", 1),
    "only a comment": (b"# nothing\n", "page.empty", 1),
    "too many bytes": (b"a: " + b"x" * BYTES_MAX, "page.too_large", 1),
    "too many levels": (b"a: " + b"[" * (DEPTH_MAX + 1), "page.too_deep", 1),
    "a great many levels": (b"[" * 100_000, "page.too_deep", 1),
    "a great many levels of blocks": (b"- " * 100_000, "page.too_deep", 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_be_read_in_two_ways_is_an_error_with_its_line(name: str) -> None:
    source, code, line = BROKEN[name]
    _, findings = read_page(source, "page.yaml")
    assert (code, line) in [(finding.code, finding.line) for finding in findings]
    for finding in findings:
        assert finding.severity is Severity.ERROR
        assert finding.what and finding.why and finding.fix and finding.file == "page.yaml" and finding.column >= 1


def test_a_text_with_a_lone_surrogate_is_refused_with_its_place() -> None:
    _, findings = read_page("a: 1\nb: \ud800\n", "page.yaml")
    assert [(f.code, f.line, f.column) for f in findings] == [("page.encoding", 2, 4)]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    _, findings = read_page("a: 1\na: 2\nb: !x 3\nc: &y 4\nd: *y\n", "page.yaml")
    assert [(f.code, f.line) for f in findings] == [
        ("page.duplicate_key", 2),
        ("page.tag", 3),
        ("page.anchor", 4),
        ("page.alias", 5),
    ]


def test_a_page_of_nothing_but_mistakes_has_a_bounded_list_of_them() -> None:
    _, findings = read_page("a: 1\n" * 5000, "page.yaml")
    assert len(findings) == FINDINGS_MAX


def test_a_bomb_of_aliases_is_refused_without_going_off() -> None:
    rows = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    page, findings = read_page("\n".join(rows), "page.yaml")
    assert findings and all(finding.severity is Severity.ERROR for finding in findings)
    assert page is not None and len(page.root.pairs) == 30


def test_scalars_stay_text_and_know_where_they_stand() -> None:
    page, findings = read_page('version: 2026-03-01\n  \nmoney: 1.10\non: "no"\n', "page.yaml")
    assert page is not None and findings == []
    assert [(key.text, value.text, value.line, value.column, value.style) for key, value in page.root.pairs] == [
        ("version", "2026-03-01", 1, 10, ""),
        ("money", "1.10", 3, 8, ""),
        ("on", "no", 4, 5, '"'),
    ]


@pytest.mark.parametrize("source", ["a: 1\n", "a: 1\r\nb: é😀\r\n", "\ufeffa: 1\n"])
def test_the_digest_is_over_the_exact_bytes_and_the_text_gives_them_back(source: str) -> None:
    raw = source.encode()
    page, findings = read_page(raw, "page.yaml")
    assert page is not None and findings == []
    assert page.digest == "sha256:" + hashlib.sha256(raw).hexdigest()
    assert page.text.encode() == raw
    assert read_page(source, "page.yaml")[0] == page


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("ab:-[]{}&*!|>'\"%@`#?,\n\t \x85\u2028\ufeff\0", max_size=80)))
def test_no_bytes_raise_and_what_does_not_load_says_why(source: bytes | str) -> None:
    page, findings = read_page(source, "page.yaml")
    assert page is not None or findings
    assert all(finding.line >= 1 and finding.column >= 1 for finding in findings)
