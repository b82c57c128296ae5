# SPDX-License-Identifier: Apache-2.0
"""The world that every playbook begins in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World, new_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as opened:
        yield opened
