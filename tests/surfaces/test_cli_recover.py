# SPDX-License-Identifier: Apache-2.0
"""`signoff ledger recover`: it says what is lost, does nothing unasked, and then goes on under a new epoch."""

import asyncio
import shutil
from pathlib import Path

import pytest

from signoff.app.authority import people
from signoff.app.integrate import integrate
from signoff.app.world import TENANT
from signoff.settings import Settings
from signoff.wiring import node
from tests.surfaces.terminal import run, serving


def add_people(data: Path, *names: str) -> None:
    """Serve for as long as it takes to add people, each in a checkpoint of its own."""

    async def play() -> None:
        async with node(Settings(data=data)) as world:
            key = (data / "admin.key").read_text().strip()
            admin = await people.authenticate_key(world, TENANT, *people.read_key(key))
            for name in names:
                await people.add_person(world, admin, name, "", ["FinanceAdmin"])
                await integrate(world, TENANT)

    asyncio.run(play())


def newest(data: Path) -> str:
    """Return the newest checkpoint that the mirror keeps."""

    async def play() -> str:
        async with node(Settings(data=data)) as world:
            kept = world.mirror.last(world.origin(TENANT))
            assert kept is not None
            return kept[1]

    return asyncio.run(play())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory into which an old backup was put; the checkpoint it lacks lies beside it."""
    data = tmp_path / "data"
    add_people(data, "Ada")
    (tmp_path / "before.txt").write_text(newest(data))
    shutil.copy(data / "signoff.db", tmp_path / "backup.db")
    add_people(data, "Ben", "Cora")
    (tmp_path / "lost.txt").write_text(newest(data))
    for file in data.glob("signoff.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup.db", data / "signoff.db")
    return data


def test_without_being_asked_to_it_says_what_is_lost_and_changes_nothing(data: Path) -> None:
    before = (data / "signoff.db").read_bytes()
    said = run("ledger", "recover", "--data", data)
    assert said.code == 2
    assert "Lost: the entries from 4 to 7 of signoff.local/default/1, 4 in all," in said.out
    assert "Nothing was changed." in said.out
    told = run("ledger", "recover", "--data", data, "--json")
    assert (told.code, told.json["recovered"], told.json["missing"]["lost"]) == (2, False, 4)
    assert (data / "signoff.db").read_bytes() == before
    assert run("doctor", "--data", data).code == 1


def test_a_recovered_log_is_verified_over_both_epochs_wherever_one_looks(data: Path, tmp_path: Path) -> None:
    said = run("ledger", "recover", "--data", data, "--accept-loss", "--json")
    assert (said.code, said.json["log"]) == (0, "signoff.local/default/2"), said.err
    again = run("ledger", "recover", "--data", data, "--accept-loss", "--json")
    assert (again.code, again.json["error"]["code"]) == (1, "recover.nothing")
    assert run("ledger", "recover", "--data", data).code == 1
    add_people(data, "Dora")
    whole = run("ledger", "verify", "--data", data, "--against", tmp_path / "before.txt", "--json")
    assert whole.code == 0, whole.json["findings"]
    assert (whole.json["log"], [one["entries"] for one in whole.json["earlier"]]) == ("signoff.local/default/2", [4])
    lost = run("ledger", "verify", "--data", data, "--against", tmp_path / "lost.txt")
    assert lost.code == 1
    assert "The entries from 4 to 7 of signoff.local/default/1 are lost." in lost.out
    assert "opened by a recovery; the database also holds 1" in " ".join(run("doctor", "--data", data).out.split())


def test_a_server_and_an_export_hand_out_both_epochs(data: Path, tmp_path: Path) -> None:
    assert run("ledger", "recover", "--data", data, "--accept-loss").code == 0
    with serving(tmp_path) as server:
        assert run("ledger", "recover", "--data", data, "--accept-loss").code == 1  # the server owns it
        assert server.run("login", "--url", server.url, "--key-file", data / "admin.key").code == 0
        said = server.run("ledger", "verify", "--against", tmp_path / "before.txt", "--json")
        assert said.code == 0, (said.out, said.err)
        assert [one["entries"] for one in said.json["earlier"]] == [4]
        lost = server.run("ledger", "verify", "--against", tmp_path / "lost.txt")
        assert lost.code == 1
        assert "The entries from 4 to 7 of signoff.local/default/1 are lost." in lost.out
        export = tmp_path / "export"
        written = server.run("ledger", "export", "-o", export, "--json")
        assert (written.code, written.json["epoch"]) == (0, 2)
    assert run("ledger", "verify", "--export", export).code == 0
    assert run("ledger", "verify", "--export", export, "--against", tmp_path / "before.txt").code == 0
    assert run("ledger", "verify", "--export", export, "--against", tmp_path / "lost.txt").code == 1
    first = export / "entries.jsonl"
    opening, rest = first.read_bytes().split(b"\n", 1)
    first.write_bytes(opening.replace(b'"had_size":4', b'"had_size":3') + b"\n" + rest)
    assert run("ledger", "verify", "--export", export).code == 1
    shutil.rmtree(export / "epoch-1")  # the new epoch alone proves nothing of streams that began before it
    first.write_bytes(opening + b"\n" + rest)
    assert run("ledger", "verify", "--export", export).code == 1
