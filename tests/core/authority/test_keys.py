# SPDX-License-Identifier: Apache-2.0
"""Each documented key takes its good example and refuses its bad one, with the line on which it stands."""

import pytest

from docs.keys import KEYS, Key, page_with
from signoff.core.authority import bound_reading, rule_reading, source_reading
from signoff.core.authority.envelope import NAMED, OWNERS, READABLE, load_envelope
from signoff.core.authority.page import Severity

GROUPS = {"owners", "budgets", "permissions", "logging", "safety", "loops"}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_each_key_takes_its_good_value_and_names_what_is_bad(key: Key) -> None:
    envelope, findings = load_envelope(page_with(key, key.good), "page.yaml", kept=READABLE)
    assert envelope is not None, [str(one) for one in findings]
    text = page_with(key, key.bad)
    envelope, findings = load_envelope(text, "page.yaml", kept=READABLE)
    assert envelope is None
    errors = [(one.code, one.line) for one in findings if one.severity is Severity.ERROR]
    assert (key.code, text.count("\n")) in errors, [str(one) for one in findings]


def test_every_key_that_is_read_is_documented_once() -> None:
    """The readers' own lists of keys and the list of the documentation are the same."""
    documented = [key.path for key in KEYS]
    assert len(documented) == len(set(documented))
    known = {name for name in NAMED if name not in GROUPS} | {f"owners.{role}" for role in OWNERS}
    for group, names in {
        "facts.NAME": rule_reading.FACT,
        "permissions.rules[]": rule_reading.RULE,
        "permissions.rules[].approve": rule_reading.APPROVE,
        "limits[]": rule_reading.LIMIT,
        "limits[].approve": rule_reading.APPROVE,
        "provenance.TOOL": ("ARGUMENT", *source_reading.WORDS),
        "provenance.TOOL.ARGUMENT": source_reading.SOURCING,
        "holds[]": bound_reading.HOLD,
        "spend[]": bound_reading.SPEND,
        "downgrade[]": bound_reading.DOWNGRADE,
        "done": bound_reading.DONE,
    }.items():
        known |= {f"{group}.{name}" for name in names}
    plain = {path for path in documented if path.partition(".")[0] in GROUPS and "[]" not in path}
    assert set(documented) - plain == known - plain
    assert known & GROUPS == set()


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_key_that_is_not_documented_is_not_read(group: str) -> None:
    """Of the short page's groups: what is known here is what the refusal of an unknown key lists."""
    text = f"version: 1\nworkflow: w\n{group}: {{zzzzzzzz: 1}}\n"
    _, findings = load_envelope(text, "page.yaml", kept=READABLE)
    [found] = [one for one in findings if one.code == "page.unknown_key"]
    listed = set(found.fix.removeprefix("Known here: ").removesuffix(".").split(", "))
    assert listed == {key.name for key in KEYS if key.group == group}
