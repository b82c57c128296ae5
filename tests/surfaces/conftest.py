# SPDX-License-Identifier: Apache-2.0
"""One office for all tests of the HTTP surface: what a test makes there is its own, what it counts it has made."""

from collections.abc import Iterator

import pytest

from tests.surfaces.office import Office, opened


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with opened(tmp_path_factory.mktemp("office")) as found:
        yield found
