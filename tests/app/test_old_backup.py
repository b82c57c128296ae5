# SPDX-License-Identifier: Apache-2.0
"""A database older than the log it published is noticed at start, and nothing it holds is sent again."""

import shutil
from pathlib import Path

import pytest

from signoff.app.authority import people
from signoff.app.integrate import integrate
from signoff.app.world import TENANT, World
from signoff.core.errors import Unavailable
from signoff.core.principal import Caller
from signoff.settings import Settings
from signoff.wiring import node


async def admin(world: World, data: Path) -> Caller:
    key = (data / "admin.key").read_text().strip()
    return await people.authenticate_key(world, TENANT, *people.read_key(key))


async def test_an_old_backup_serves_reading_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with node(Settings(data=data)) as world:
        await integrate(world, TENANT)
    shutil.copy(data / "signoff.db", tmp_path / "backup.db")
    async with node(Settings(data=data)) as world:
        await people.add_person(world, await admin(world, data), "Ada", "", ["FinanceAdmin"])
        await integrate(world, TENANT)
    for file in data.glob("signoff.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup.db", data / "signoff.db")
    async with node(Settings(data=data)) as world:
        assert world.is_read_only
        caller = await admin(world, data)  # reading goes on
        with pytest.raises(Unavailable, match="the mirror keeps a signed checkpoint") as refused:
            await people.add_person(world, caller, "Ben", "", ["FinanceAdmin"])
        assert refused.value.code == "node.old_database"


async def test_a_database_that_was_removed_is_no_new_installation(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with node(Settings(data=data)) as world:
        await integrate(world, TENANT)
    for file in data.glob("signoff.db*"):
        file.unlink()
    async with node(Settings(data=data)) as world:
        assert world.is_read_only
        assert await world.storage.view(TENANT, lambda tx: tx.authority.people("", 1)) == []


async def test_a_restart_after_a_crash_before_the_mirror_was_written_is_no_old_backup(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with node(Settings(data=data)) as world:
        await integrate(world, TENANT)
        await people.add_person(world, await admin(world, data), "Ada", "", ["FinanceAdmin"])
        shutil.copytree(data / "mirror", tmp_path / "mirror")
        await integrate(world, TENANT)
    shutil.rmtree(data / "mirror")
    shutil.copytree(tmp_path / "mirror", data / "mirror")
    async with node(Settings(data=data)) as world:
        assert not world.is_read_only
