# SPDX-License-Identifier: Apache-2.0
"""Five sample documents in UBL 2.1 and the envelope under which the sample agent works on them."""

from importlib.resources import files
from pathlib import Path

SAMPLES = (
    "01-brisk-paper.xml",
    "02-kestrel-cloud.xml",
    "03-brisk-paper-credit-note.xml",
    "04-lumen-electric.xml",
    "05-orchard-logistics.xml",
)


def sample(name: str) -> bytes:
    """Return the bytes of a packaged file of this folder, by its name."""
    return (files(__name__) / name).read_bytes()


def write_to(folder: Path) -> list[Path]:
    """Write the five documents into `folder`, which is made if absent, and return their paths.

    Raises:
        FileExistsError: a file of that name is there with other content; nothing is overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    targets = [(folder / name, sample(name)) for name in SAMPLES]
    for path, content in targets:
        if path.exists() and path.read_bytes() != content:
            raise FileExistsError(str(path))
    for path, content in targets:
        path.write_bytes(content)
    return [path for path, _ in targets]
