# SPDX-License-Identifier: Apache-2.0
"""Where to call and with which key: from the environment, else from a file that only its owner can read.

A key belongs to the server it was given for: one signed in with `--url A` is never sent to B. Keys are taken from a
file, a prompt or the environment, never from the command line, which other users can see.
"""

import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from signoff.core.errors import Malformed, Unauthenticated

URL_VARIABLE: Final = "SIGNOFF_URL"
KEY_VARIABLE: Final = "SIGNOFF_KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8470"
_FILE_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server and the key for it; None where none is known. `source` says where the key came from."""

    url: str
    key: str | None = field(repr=False)
    source: str


def path() -> Path:
    """Return the file in which keys are kept (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification has relative paths ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".config"
    return root / "signoff" / "credentials.json"


def find(url: str | None = None) -> Credentials:
    """Return where to call: `url`, else SIGNOFF_URL, else where one signed in last, else this machine.

    Raises:
        Unauthenticated: the file can be read by others.
    """
    kept = _read()
    at = checked_url(url or os.environ.get(URL_VARIABLE) or kept.current or DEFAULT_URL)
    if key := os.environ.get(KEY_VARIABLE):
        return Credentials(at, key.strip(), KEY_VARIABLE)
    return Credentials(at, kept.keys.get(at), str(path()))


def keep(url: str, key: str) -> Path:
    """Keep a key for a server, and make that server the one that is called."""
    kept = _read()
    at = checked_url(url)
    return _write(_Kept(at, kept.keys | {at: key}))


def forget(url: str) -> bool:
    """Remove the key for a server; tells whether there was one."""
    kept = _read()
    if url not in kept.keys:
        return False
    rest = {at: key for at, key in kept.keys.items() if at != url}
    _write(_Kept(None if kept.current == url else kept.current, rest))
    return True


def checked_url(url: str) -> str:
    """Return an address in one spelling.

    Raises:
        Malformed: it is none of http or https, or holds a user or password.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Malformed(
            what="This is no address of a Signoff server.",
            why="It begins with http:// or https://, and holds no user, password, query or fragment.",
            fix=f"Give it like {DEFAULT_URL}.",
            code="cli.url",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def read_secret(source: Path) -> str:
    """Return the key that a file holds; `-` reads standard input.

    Raises:
        Malformed: it cannot be read, or holds no key.
    """
    import sys

    try:
        text = sys.stdin.read(4096) if str(source) == "-" else source.read_text("ascii")[:4096]
    except (OSError, ValueError) as error:
        raise Malformed(
            what=f"The key file {source} cannot be read.",
            why=getattr(error, "strerror", None) or "It is not plain text.",
            fix="Give the file that holds the key alone, such as DATA/admin.key.",
            code="cli.key_file",
        ) from None
    if not text.strip():
        raise Malformed(
            what=f"The key file {source} is empty.",
            why="No key stands in it.",
            fix="Give another.",
            code="cli.key_file",
        )
    return text.strip()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the file holds: the server one signed in to last, and a key by server."""

    current: str | None = None
    keys: dict[str, str] = field(default_factory=dict, repr=False)


def _read() -> _Kept:
    """Return what is kept; nothing where there is no file.

    Raises:
        Unauthenticated: others can read it, or it is not what was written.
    """
    try:
        handle = os.open(path(), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _Kept()
    except OSError as error:
        raise _unusable(f"The system says: {error.strerror}.") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise _unusable(f"Its mode is {stat.S_IMODE(found.st_mode):04o}; it must be yours alone, 0600.")
        text = os.read(handle, _FILE_BYTES_MAX)
    finally:
        os.close(handle)
    try:
        kept = json.loads(text)
        keys = {str(url): str(key) for url, key in kept["keys"].items()}
        return _Kept(str(kept["current"]) if kept.get("current") else None, keys)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Without its cause, which would carry the text and with it the keys.
        raise _unusable("It is not what `signoff login` wrote.") from None


def _write(kept: _Kept) -> Path:
    """Write the file whole or not at all, readable by its owner only from its first byte."""
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({"current": kept.current, "keys": kept.keys}, file)
        file.flush()
        os.fsync(handle)
    unfinished.replace(target)
    return target


def _unusable(why: str) -> Unauthenticated:
    return Unauthenticated(
        what=f"The key file {path()} is not used.",
        why=why,
        fix=f"`chmod 600` it, or remove it and run `signoff login` again; {KEY_VARIABLE} works without it.",
        code="cli.credentials",
    )
