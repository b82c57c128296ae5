# SPDX-License-Identifier: Apache-2.0
"""The engines that keep the contract of `ports/storage.py`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.engines import ENGINES, Opened


@pytest.fixture(params=sorted(ENGINES))
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    """A database that can be opened more than once, and broken on command."""
    found = ENGINES[request.param](tmp_path)
    yield found
    await found.close()
