# SPDX-License-Identifier: Apache-2.0
"""The files that pages load, named by their content, so that each can be kept for ever."""

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from signoff.core.errors import NotFound

_TYPES: Final = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


def static_file(name: str) -> tuple[bytes, str, str]:
    """Return bytes, content type and strong ETag of a static file by its hashed name, good for ever once fetched.

    Raises:
        NotFound: no such file, or one of another release.
    """
    found = _statics()[1].get(name)
    if found is None:
        raise NotFound(
            what="There is no such static file.",
            why="Static files carry a digest of their content in their name, and this one is of no file here.",
            fix="Load the page again; it names the files of this release.",
        )
    return found


def addresses() -> dict[str, str]:
    """Return the address of each static file by its plain name."""
    return _statics()[0]


@cache
def _statics() -> tuple[dict[str, str], dict[str, tuple[bytes, str, str]]]:
    """Return the address of each static file by plain name, and the files by hashed name."""
    addresses, files = {}, {}
    for entry in (resources.files("signoff.surfaces.web") / "static").iterdir():
        stem, _, suffix = entry.name.rpartition(".")
        if suffix not in _TYPES:
            continue
        content = entry.read_bytes()
        mark = hashlib.sha256(content).hexdigest()[:16]
        hashed = f"{stem}.{mark}.{suffix}"
        addresses[entry.name] = f"/static/{hashed}"
        files[hashed] = (content, _TYPES[suffix], f'"{mark}"')
    return addresses, files
