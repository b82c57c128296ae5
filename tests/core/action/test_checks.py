# SPDX-License-Identifier: Apache-2.0
"""The checks of a decision fit on a line, and are read from it as they were."""

import re

from hypothesis import given
from hypothesis import strategies as st

from signoff.core.action.checks import line, read
from signoff.core.authority.decision import Check, Outcome

WORD = st.from_regex(re.compile(r"[a-z][a-z0-9_]{0,20}", re.ASCII), fullmatch=True)


def test_a_check_that_passed_is_its_name_alone() -> None:
    checks = (Check("agent"), Check("writes", Outcome.ASK, "write_asks", "told to people only"))
    assert line(checks) == "agent writes:ask:write_asks"


def test_where_nothing_was_checked_nothing_is_read() -> None:
    assert read(line(())) == read(None) == []


@given(st.lists(st.builds(Check, WORD, st.sampled_from(Outcome), st.one_of(st.just(""), WORD)), max_size=30))
def test_a_line_reads_as_what_was_written(checks: list[Check]) -> None:
    assert read(line(checks)) == [(check.check, str(check.outcome), check.reason) for check in checks]
