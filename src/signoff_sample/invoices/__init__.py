# SPDX-License-Identifier: Apache-2.0
"""Sample documents in UBL 2.1 and the envelopes under which the sample agents work on them."""

from importlib.resources import files
from pathlib import Path

SAMPLES = (
    "01-brisk-paper.xml",
    "02-kestrel-cloud.xml",
    "03-brisk-paper-credit-note.xml",
    "04-lumen-electric.xml",
    "05-orchard-logistics.xml",
)

# What each rule of the long page says, in the words of the people who read the outcome.
RULES_SAID = {
    "routine-invoice": "Posted by itself: known vendor with order history, verified account, covered by its order.",
    "other-account": "It names another account than the verified one, so that two people look.",
    "unknown-vendor": "Nobody has taken this vendor on.",
    "wrong-sums": "The document's own sums do not add up.",
    "not-covered": "No purchase order of this vendor covers it.",
    "sent-before": "The vendor sent this number before, spelt another way; it is posted once.",
    "not-this-document": "The entry is not what the document says, or the document is posted already.",
    "foreign-memo": "The entry's text is not the one we post under.",
    "foreign-note": "The note is not one of those that an agent may write.",
}


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
