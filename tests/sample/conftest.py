# SPDX-License-Identifier: Apache-2.0
"""A new ERP for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff_sample.erp.store import Store, open_store


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "erp.db"


@pytest.fixture
def store(db: Path) -> Iterator[Store]:
    opened = open_store(db)
    yield opened
    opened.close()
