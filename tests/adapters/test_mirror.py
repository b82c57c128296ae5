# SPDX-License-Identifier: Apache-2.0
"""What was kept is found again after any crash, and an old database is contradicted."""

import contextlib
import hashlib
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.adapters.mirror import NOTE_BYTES_MAX, CheckpointMirror
from signoff.core.errors import Conflict, Corrupt, Malformed, Unavailable

ORIGIN = "signoff.acme.test/acme/1"


def note(size: int, *, origin: str = ORIGIN, root: str = "", signature: str = "AAAA") -> str:
    root = root or hashlib.sha256(str(size).encode()).hexdigest()
    return f"{origin}\n{size}\n{root}\n\n— signoff.acme.test/log {signature}\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "mirror"


def filled(directory: Path, *sizes: int, kept: int = 10_000) -> CheckpointMirror:
    mirror = CheckpointMirror(directory, kept=kept)
    for size in sizes:
        mirror.keep(ORIGIN, size, note(size))
    return mirror


def sizes_in(mirror: CheckpointMirror) -> list[int]:
    return [json.loads(line)["size"] for line in mirror.path(ORIGIN).read_text().splitlines()]


def test_the_last_checkpoint_is_found_also_after_a_restart(directory: Path) -> None:
    mirror = CheckpointMirror(directory)
    assert mirror.last(ORIGIN) is None
    assert not directory.exists()  # looking makes nothing
    for size in (0, 1, 5, 5000):
        mirror.keep(ORIGIN, size, note(size))
        assert mirror.last(ORIGIN) == CheckpointMirror(directory).last(ORIGIN) == (size, note(size))
    assert sizes_in(mirror) == [0, 1, 5, 5000]


def test_directory_and_files_are_private(directory: Path) -> None:
    mirror = filled(directory, 1)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(mirror.path(ORIGIN).stat().st_mode) == 0o600


def test_each_log_has_its_own_file(directory: Path) -> None:
    mirror = filled(directory, 1)
    other = ORIGIN.replace("acme/1", "acme/2")
    assert mirror.last(other) is None
    mirror.keep(other, 7, note(7, origin=other))
    assert mirror.last(ORIGIN) == (1, note(1))
    assert mirror.last(other) == (7, note(7, origin=other))


@given(a=st.text(min_size=1, max_size=90), b=st.text(min_size=1, max_size=90))
def test_no_origin_leaves_the_directory_or_shares_a_file(a: str, b: str) -> None:
    mirror = CheckpointMirror(Path("mirror"))
    for origin in (a, a * 9):
        path = mirror.path(origin)
        assert path.parent == Path("mirror")
        assert path.name.isascii()
        assert len(path.name) <= 255
        assert path.name == path.name.lower()
    assert (mirror.path(a) == mirror.path(b)) is (a == b)
    assert (mirror.path(a * 9) == mirror.path(b * 9)) is (a == b)


def test_the_last_one_again_changes_nothing(directory: Path) -> None:
    mirror = filled(directory, 1, 2)
    before = mirror.path(ORIGIN).read_bytes()
    mirror.keep(ORIGIN, 2, note(2))
    CheckpointMirror(directory).keep(ORIGIN, 2, note(2))
    assert mirror.path(ORIGIN).read_bytes() == before


def test_the_same_tree_under_another_signature_is_kept(directory: Path) -> None:
    mirror = filled(directory, 2)
    mirror.keep(ORIGIN, 2, note(2, signature="BBBB"))
    assert mirror.last(ORIGIN) == (2, note(2, signature="BBBB"))


def test_an_old_database_is_contradicted(directory: Path) -> None:
    filled(directory, 10, 20)
    for size, text in ((10, note(10)), (15, note(15)), (20, note(20, root="other")), (0, note(0))):
        with pytest.raises(Conflict, match="contradicts the mirror"):
            CheckpointMirror(directory).keep(ORIGIN, size, text)
    assert CheckpointMirror(directory).last(ORIGIN) == (20, note(20))


@pytest.mark.parametrize(
    "text",
    [
        "",
        note(2),
        note(1, origin="signoff.acme.test/other/1"),
        note(1).rstrip("\n"),
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n1\nroot\n",
        note(1, root="ro\0ot"),
        note(1, root="ro\rot"),
        note(1, root="\ud800"),
        note(1, signature="A" * NOTE_BYTES_MAX),
    ],
)
def test_what_is_no_checkpoint_of_this_log_and_size_is_refused(directory: Path, text: str) -> None:
    mirror = CheckpointMirror(directory)
    with pytest.raises(Malformed):
        mirror.keep(ORIGIN, 1, text)
    assert mirror.last(ORIGIN) is None


def test_a_write_torn_anywhere_is_ignored_and_repaired(directory: Path) -> None:
    mirror = filled(directory, 1, 2)
    path = mirror.path(ORIGIN)
    two = path.read_bytes()
    mirror.keep(ORIGIN, 3, note(3))
    three = path.read_bytes()
    for end in range(len(two), len(three), 3):
        path.write_bytes(three[:end])
        again = CheckpointMirror(directory)
        assert again.last(ORIGIN) == (2, note(2))
        again.keep(ORIGIN, 3, note(3))
        assert path.read_bytes() == three
        assert again.last(ORIGIN) == (3, note(3))


def test_a_torn_write_whose_bytes_never_came_is_ignored_too(directory: Path) -> None:
    """Some file systems grow the file first, so that it ends in zeros."""
    mirror = filled(directory, 1)
    path = mirror.path(ORIGIN)
    one = path.read_bytes()
    for torn in (b"\0" * 300, b"\0" * 299 + b"\n", b'{"note": "' + b"\0" * 50 + b"}\n", b"\r\n", b"\n"):
        path.write_bytes(one + torn)
        assert mirror.last(ORIGIN) == (1, note(1))
    mirror.keep(ORIGIN, 2, note(2))
    assert sizes_in(mirror) == [1, 2]


def test_a_first_write_torn_at_any_byte_leaves_an_empty_mirror(directory: Path) -> None:
    mirror = filled(directory, 1)
    path = mirror.path(ORIGIN)
    one = path.read_bytes()
    for end in range(len(one)):
        path.write_bytes(one[:end])
        assert CheckpointMirror(directory).last(ORIGIN) is None
    mirror.keep(ORIGIN, 1, note(1))
    assert path.read_bytes() == one


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_altered_line_is_ever_answered(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    mirror = filled(tmp_path_factory.mktemp("m"), 1, 2)
    path = mirror.path(ORIGIN)
    lines = path.read_bytes().splitlines(keepends=True)
    bent = bytearray(lines[1])
    bent[at % len(bent)] ^= 1 << bit
    path.write_bytes(lines[0] + bytes(bent))
    try:
        assert mirror.last(ORIGIN) == (1, note(1))
    except Corrupt:
        assert bent.count(b"\n") != 1  # a line feed bent in or out makes two bad lines, which no crash leaves


def test_more_damage_than_a_crash_leaves_is_refused(directory: Path) -> None:
    mirror = filled(directory, 1, 2)
    path = mirror.path(ORIGIN)
    lines = path.read_bytes().splitlines(keepends=True)
    foreign = filled(directory.with_name("other"), 1, 2).path(ORIGIN).read_bytes().replace(b"acme/1", b"else/1")
    for wrong in (lines[0] + b"x\ny\n", b"x\ny\n", b"\0" * 1_000_000, b"\n" * 1_000_000, foreign):
        path.write_bytes(wrong)
        with pytest.raises(Corrupt):
            mirror.last(ORIGIN)
        with pytest.raises(Corrupt):
            mirror.keep(ORIGIN, 9, note(9))
        assert path.read_bytes() == wrong


def test_old_checkpoints_are_dropped_at_twice_as_many_as_are_kept(directory: Path) -> None:
    mirror = filled(directory, *range(1, 6), kept=3)
    assert sizes_in(mirror) == [1, 2, 3, 4, 5]
    mirror.path(ORIGIN).chmod(0o640)  # as an operator may, for an auditor
    mirror.keep(ORIGIN, 6, note(6))
    assert sizes_in(mirror) == [4, 5, 6]
    assert stat.S_IMODE(mirror.path(ORIGIN).stat().st_mode) == 0o640
    again = CheckpointMirror(directory, kept=3)
    for size in (7, 8, 9, 10):
        again.keep(ORIGIN, size, note(size))
    assert sizes_in(again) == [7, 8, 9, 10]
    assert again.last(ORIGIN) == (10, note(10))
    assert [path.name for path in directory.iterdir()] == [mirror.path(ORIGIN).name]


def test_large_notes_are_found_too(directory: Path) -> None:
    mirror = CheckpointMirror(directory)
    notes = []
    for size in range(1, 8):
        text = note(size, signature='"\\' * 8000)
        mirror.keep(ORIGIN, size, text + "x\n" * ((NOTE_BYTES_MAX - len(text.encode())) // 2))
        notes.append(mirror.last(ORIGIN))
    assert [kept and kept[0] for kept in notes] == list(range(1, 8))
    whole = mirror.path(ORIGIN).read_bytes()
    mirror.path(ORIGIN).write_bytes(whole[:-1])
    assert mirror.last(ORIGIN) == notes[-2]


class FailingDisk:
    """Fails one call of the operating system, the n-th, and writes only a part before it does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, fails_at: int) -> None:
        self.real, self.left, self.failed = getattr(os, call), fails_at, False
        self.is_write = call == "write"
        monkeypatch.setattr(os, call, self)

    def __call__(self, *args: Any, **more: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.failed = True
            if self.is_write:
                self.real(args[0], bytes(args[1])[:40])
            raise OSError(28, "No space left on device")
        return self.real(*args, **more)


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
def test_a_failing_disk_loses_nothing_and_the_next_try_succeeds(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    failures = 0
    for fails_at in range(1, 12):
        here = directory / str(fails_at)
        mirror = filled(here, 1, 2, 3, kept=2)  # the next is the fourth, which compacts
        with monkeypatch.context() as patch:
            disk = FailingDisk(patch, call, fails_at)
            try:
                mirror.keep(ORIGIN, 4, note(4))
            except Unavailable as error:
                assert "No space left" in error.why
        failures += disk.failed
        found = CheckpointMirror(here, kept=2).last(ORIGIN)
        assert found in ((3, note(3)), (4, note(4)))
        mirror.keep(ORIGIN, 4, note(4))
        mirror.keep(ORIGIN, 5, note(5))
        assert mirror.last(ORIGIN) == (5, note(5))
        assert sizes_in(mirror)[-2:] == [4, 5]
    assert failures >= 1


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_checkpoint_that_could_not_be_written_leaves_no_trace(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """After a failed sync the system may forget what it held in memory, so the line is taken back and written anew."""
    mirror = filled(directory, 1)
    before = mirror.path(ORIGIN).read_bytes()
    with monkeypatch.context() as patch:
        FailingDisk(patch, call, 1)
        with pytest.raises(Unavailable):
            mirror.keep(ORIGIN, 2, note(2))
    assert mirror.path(ORIGIN).read_bytes() == before


def test_a_short_write_is_carried_on(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data)[:7]))
    mirror = filled(directory, 1, 2)
    assert sizes_in(mirror) == [1, 2]


def test_a_link_in_the_place_of_the_file_is_not_followed(directory: Path, tmp_path: Path) -> None:
    mirror = CheckpointMirror(directory)
    directory.mkdir(parents=True)
    mirror.path(ORIGIN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        mirror.keep(ORIGIN, 1, note(1))
    assert not (tmp_path / "elsewhere").exists()


def test_threads_that_keep_side_by_side_leave_whole_lines_in_order(directory: Path) -> None:
    mirror = CheckpointMirror(directory)
    turn = iter(range(1, 81))
    taking = threading.Lock()

    def work() -> None:
        for _ in range(20):
            with taking:
                size = next(turn)
            # One that comes late is refused, as it must be; what is written is in order all the same.
            with contextlib.suppress(Conflict):
                mirror.keep(ORIGIN, size, note(size))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = sizes_in(mirror)
    assert kept == sorted(set(kept))
    assert mirror.last(ORIGIN) == (80, note(80))


def test_a_mirror_of_one_is_none(directory: Path) -> None:
    with pytest.raises(ValueError, match="two checkpoints"):
        CheckpointMirror(directory, kept=1)
