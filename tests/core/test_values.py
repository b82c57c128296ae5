# SPDX-License-Identifier: Apache-2.0
"""`changed` is `dataclasses.replace`, only faster."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.values import changed


@dataclass(frozen=True, slots=True)
class Row:
    one: int
    two: str = "x"
    three: int | None = None


@given(st.builds(Row, st.integers(), st.text(), st.none() | st.integers()), st.integers(), st.text())
def test_a_change_is_what_replace_would_make(row: Row, one: int, two: str) -> None:
    assert changed(row, one=one, two=two) == replace(row, one=one, two=two)
    assert changed(row) == row


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError):
        changed(Row(1), four=4)
