# SPDX-License-Identifier: Apache-2.0
"""A data directory read without a server: nothing is written, and whoever can read the directory may look.

While a server owns the directory it can still be read; whatever changes something goes through that server's HTTP.
"""

import fcntl
import json
from pathlib import Path
from typing import Final

from signoff.core.errors import NotFound
from signoff.core.principal import Caller

READER: Final = "prs_offline"  # no person has this id: it reads, and nothing it did could be recorded


def reader(tenant: str) -> Caller:
    """Return in whose name a data directory is read: the owner of its files, who could read them anyway."""
    return Caller(tenant, READER, ("auditor", "admin"))


def checked_data(data: Path) -> Path:
    """Return a directory that holds an installation.

    Raises:
        NotFound: it holds none; nothing is made.
    """
    if (data / "signoff.db").is_file():
        return data
    raise NotFound(
        what=f"There is no installation in {data}.",
        why="It has no file signoff.db.",
        fix="Give the directory that `signoff serve --data` was started with.",
        code="data.none",
    )


def installation_of(data: Path) -> str:
    """Return the name under which a data directory's keys were made; the default where that cannot be read."""
    from signoff.settings import Settings

    checked_data(data)
    settings = Settings(data=data)
    try:
        name = json.loads((settings.keys / "active.json").read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return settings.installation  # opening the keys then says what is wrong with them
    return name if isinstance(name, str) else settings.installation


def is_served(data: Path) -> bool:
    """Tell whether a process owns the data directory now."""
    try:
        with (data / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # goes with the handle
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
