# SPDX-License-Identifier: Apache-2.0
"""Which tools a word of a role or a delegation means: one by its name, all of a system, or every one.

    erp.create_journal_entry     this tool
    erp.*                        every tool whose name begins with `erp.`
    *                            every tool

What is meant is decided by text alone, so that it can be told whether one word means no more than another.
"""

import re
from collections.abc import Iterable

_WORD = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_.:/-]{0,125}(\.\*)?")


def is_tools_word(text: str) -> bool:
    """Tell whether `text` is such a word."""
    return _WORD.fullmatch(text) is not None


def means(word: str, tool: str) -> bool:
    """Tell whether a word means a tool."""
    return word in ("*", tool) or (word.endswith(".*") and tool.startswith(word[:-1]))


def is_within(word: str, others: Iterable[str]) -> bool:
    """Tell whether every tool that `word` means is meant by one of the others alone."""
    return any(means(other, word) for other in others)
