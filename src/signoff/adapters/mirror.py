# SPDX-License-Identifier: Apache-2.0
"""Keep checkpoints outside the database, so that an old backup put in its place is noticed.

One file a log, named after its origin, holds one JSON line a checkpoint, oldest first:

    {"note": "<the signed note>", "sha256": "<hex digest of the note>", "size": 42}

Each line is on the disk before `keep` returns. Only the last line can be torn by a crash, as none is written before
the one before it is on the disk; a torn line is not counted, and cut off when the next is written. Two bad lines at
the end are no crash, and refused. Who can write this directory can also cut it: an operator who fears that gives a
path on another machine's disk, or one that only takes additions.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from signoff.core.errors import Conflict, Corrupt, Malformed, Unavailable

NOTE_BYTES_MAX: Final = 16 * 1024
_LINE_BYTES_MAX: Final = 2 * NOTE_BYTES_MAX + 256  # every character of a note may need one escape
_WINDOW: Final = 3 * _LINE_BYTES_MAX  # the last two whole lines and a torn one always fit
_PLAIN = re.compile(r"[a-z0-9._-]")
_NO_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # controls but the line feed; surrogates


class _Kept(NamedTuple):
    size: int
    note: str


class CheckpointMirror:
    """Append-only files of checkpoints. Safe to use from several threads of the one process that owns them.

    Args:
        directory: made with mode 0700 if it is not there; one that is there stays as the operator set it.
        kept: at least so many of the newest checkpoints of a log stay; at twice as many, older ones are dropped.
    """

    def __init__(self, directory: Path, *, kept: int = 10_000) -> None:
        if kept < 2:
            raise ValueError("a mirror keeps two checkpoints or more, for the last may be torn")
        self._directory, self._kept = directory, kept
        self._counts: dict[str, int] = {}  # lines by origin; counted once a process, then carried
        self._writing = threading.Lock()

    def path(self, origin: str) -> Path:
        """Return the file of a log: its origin with all but `a-z 0-9 . _ -` percent-encoded.

        Capitals are encoded too, for some file systems do not tell them apart. No two origins share a file.
        """
        escaped = "".join(c if _PLAIN.fullmatch(c) else _percent_encoded(c) for c in origin)
        if len(escaped) > 200:  # file systems take 255 bytes; `~` stands in no escaped origin
            escaped = f"{escaped[:120]}~{hashlib.sha256(escaped.encode()).hexdigest()}"
        return self._directory / f"{escaped}.checkpoints"

    def keep(self, origin: str, size: int, note_text: str) -> None:
        """Add a checkpoint, on the disk before this returns. Adding the last one again changes nothing.

        Args:
            size: the log's number of entries; never below the last one kept.
            note_text: the signed note (C2SP tlog-checkpoint): origin, size and root hash on its first three lines.

        Raises:
            Malformed: the note is not one of this origin and size, or over 16 KiB.
            Conflict: a larger checkpoint is kept already, or another tree of the same size: the database is an old
                copy, or two of them have signed.
            Corrupt: the file is not what was written.
            Unavailable: the disk is full or failing; the checkpoint is not kept.
        """
        _check_note(origin, size, note_text)
        path = self.path(origin)
        with self._writing, _told(path):
            self._make_directory()
            with _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as handle:
                end = os.fstat(handle).st_size
                good_end, last = _tail(handle, end, origin, path)
                if last is not None and last.size >= size and _tree(last.note) != _tree(note_text):
                    raise _conflict(origin, size, last)
                if last is not None and last.note == note_text:
                    # A crash may have come after the write and before its sync.
                    os.fsync(handle)
                else:
                    if good_end != end:
                        os.ftruncate(handle, good_end)
                    _append(handle, good_end, _line(size, note_text))
                    if origin in self._counts:
                        self._counts[origin] += 1
                if origin not in self._counts:
                    _sync_directory(self._directory)  # once a process: one that crashed may not have come to it
                    self._counts[origin] = _count(handle)
                if self._counts[origin] >= 2 * self._kept:
                    self._compact(handle, path)
                    self._counts[origin] = self._kept

    def last(self, origin: str) -> tuple[int, str] | None:
        """Return size and note of the newest checkpoint that was wholly written, or None if none ever was.

        Raises:
            Corrupt: the file is not what was written.
            Unavailable: it cannot be read.
        """
        path = self.path(origin)
        with _told(path):
            try:
                with _opened(path, os.O_RDONLY) as handle:
                    _, last = _tail(handle, os.fstat(handle).st_size, origin, path)
            except FileNotFoundError:
                return None
        return None if last is None else (last.size, last.note)

    def _make_directory(self) -> None:
        if not self._directory.is_dir():
            self._directory.parent.mkdir(parents=True, exist_ok=True)
            self._directory.mkdir(mode=0o700)
            _sync_directory(self._directory.parent)

    def _compact(self, handle: int, path: Path) -> None:
        """Put a file of the newest lines in the place of this one, as a whole."""
        with os.fdopen(os.dup(handle), "rb") as file:
            file.seek(0)
            lines = file.readlines()[-self._kept :]
        shorter = path.with_name(path.name + ".new")
        shorter.unlink(missing_ok=True)  # of a compaction that crashed
        with _opened(shorter, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as new:
            os.fchmod(new, stat.S_IMODE(os.fstat(handle).st_mode))
            _append(new, 0, b"".join(lines))
        shorter.replace(path)
        _sync_directory(self._directory)


def _percent_encoded(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode(errors="surrogatepass"))


def _check_note(origin: str, size: int, note: str) -> None:
    if not note.startswith(f"{origin}\n{size}\n") or "\n" in origin or not origin:
        why = "Its first two lines are not this log's origin and size (C2SP tlog-checkpoint)."
    elif note.count("\n") < 4 or not note.endswith("\n") or _NO_TEXT.search(note):
        why = "It is no signed note: lines of text, an empty one, then signatures (C2SP signed-note)."
    elif len(note.encode(errors="surrogatepass")) > NOTE_BYTES_MAX:
        why = f"It is longer than {NOTE_BYTES_MAX} bytes."
    else:
        return
    raise Malformed(
        what=f"The checkpoint of {origin[:160]!r} at size {size} cannot be mirrored.",
        why=why,
        fix="Give the note as it was published.",
        path="note_text",
    )


def _tree(note: str) -> list[str]:
    """Return origin, size and root hash: what may not differ between two checkpoints of one size."""
    return note.split("\n", 3)[:3]


def _conflict(origin: str, size: int, last: _Kept) -> Conflict:
    why = (
        f"The mirror holds one of size {last.size}, which this database has forgotten."
        if last.size > size
        else "The mirror holds another tree of the same size."
    )
    return Conflict(
        what=f"The checkpoint of {origin!r} at size {size} contradicts the mirror.",
        why=f"{why} The database is an old copy, or two copies have run side by side.",
        fix="Stop writing, and put the newest database back, or run `signoff ledger recover --accept-loss`.",
        field="size",
        mirrored_size=last.size,
    )


# --- lines ---------------------------------------------------------------------------------------------------------


def _line(size: int, note: str) -> bytes:
    document = {"note": note, "sha256": hashlib.sha256(note.encode()).hexdigest(), "size": size}
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _parsed(line: bytes, origin: str) -> _Kept | None:
    """Return the checkpoint of a line that is wholly and exactly what `_line` wrote for this origin, or None."""
    try:
        document = json.loads(line)
        kept = _Kept(document["size"], document["note"])
        _check_note(origin, kept.size, kept.note)
    except (ValueError, KeyError, TypeError, AttributeError, Malformed, RecursionError):
        return None
    return kept if _line(*kept) == line else None


def _tail(handle: int, end: int, origin: str, path: Path) -> tuple[int, _Kept | None]:
    """Return where the last whole line ends, and its checkpoint; a file with none gives 0 and None."""
    start = max(0, end - _WINDOW)
    lines = re.findall(rb"[^\n]*\n|[^\n]+", _read_at(handle, start, end - start))
    torn = 0
    while lines:
        kept = _parsed(lines[-1], origin)
        if kept is not None:
            return end - torn, kept
        if torn or len(lines[-1]) > _LINE_BYTES_MAX:
            break
        torn = len(lines.pop())
    if start == 0 and not lines:
        return 0, None
    raise Corrupt(
        what=f"The mirror file {path} is not what was written.",
        why="More than its last line is damaged, or it holds checkpoints of another log; a crash leaves neither.",
        fix="Find out who changed it; put it back from a copy, or move it away to begin anew with the next checkpoint.",
    )


def _read_at(handle: int, start: int, count: int) -> bytes:
    parts = []
    while count > 0 and (part := os.pread(handle, count, start)):
        parts.append(part)
        start, count = start + len(part), count - len(part)
    return b"".join(parts)


def _count(handle: int) -> int:
    lines = at = 0
    while part := os.pread(handle, 1 << 20, at):
        lines, at = lines + part.count(b"\n"), at + len(part)
    return lines


def _append(handle: int, end: int, data: bytes) -> None:
    """Write all of `data` at the end and sync it; what fails half-way is cut off again as far as the disk lets us."""
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, end)
        raise


# --- files ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    handle = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            what=f"The checkpoint mirror {path} cannot be used.",
            why=f"The system says: {error.strerror or type(error).__name__}.",
            fix="Check that the disk of `checkpoint_mirror` is mounted, writable by this user and not full.",
        ) from error


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
