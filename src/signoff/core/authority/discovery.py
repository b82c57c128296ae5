# SPDX-License-Identifier: Apache-2.0
"""Write a first tool contract from what a server says of its tools, for a person to edit.

Nothing a server says lowers a guard: each tool is written as a write of class C that a person takes back by hand,
so that each call asks until someone who knows better edits the file (contract, section 2). Hints stand in comments.
Descriptions are the server's text and may be hostile: none can end its comment.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from signoff.core.authority.contract import ToolDescription, schema_digest
from signoff.core.errors import Malformed

REVERSAL_NOTE: Final = "To edit: who takes this back, and how."
COMMENT_MAX: Final = 100  # characters of the server's text in a comment
KEY_MAX: Final = 128

_SYSTEM: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_NOT_IN_KEY: Final = re.compile(r"[^A-Za-z0-9_.:/-]")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_YAML: Final = re.compile(  # what a double-quoted scalar may not hold as it is (YAML 1.2, section 5.1)
    "[^\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)

_HINTS: Final = {
    ("readOnlyHint", True): "it only reads",
    ("destructiveHint", True): "it may destroy what is there",
    ("destructiveHint", False): "it only adds",
    ("idempotentHint", True): "the same call again changes nothing more",
    ("openWorldHint", True): "it reaches beyond its own system",
}


def first_contract(system: str, server_yaml: Mapping[str, Any], tools: Mapping[str, ToolDescription]) -> str:
    """Return the YAML text of a contract under which every tool asks.

    A tool's key is `<system>.<name>`; where the server's own name is another, a `name` line holds it. A tool that
    cannot be pinned is left out, with the reason in a comment: what is not listed is denied.

    Args:
        server_yaml: the value of `server`, such as `{"mcp": {"command": ["erp-server"]}}`.
        tools: by the server's own names.

    Raises:
        Malformed: `system` is no name, or `server_yaml` holds what YAML cannot say.
    """
    if not _SYSTEM.fullmatch(system):
        raise Malformed(
            "Cannot write a contract for this system.",
            "Its name is not of letters, digits, - and _, or does not begin with a letter or _.",
            "Give the system a short name, such as erp.",
        )
    lines = [
        f"# A first contract of {system}, written from what its server says of itself.",
        "# Until a person edits it, every tool here is a class C write: each call asks, whatever the server hints.",
        "# For each tool, say what it does (effect), what it risks, who takes it back (reversal_note) or how (undo),",
        "# and, so that doubt can be settled: idempotency, look_up and not_done.",
        "format: 1",
        f"server: {_flow(server_yaml)}",
    ]
    if not tools:
        return "\n".join((*lines, "tools: {}  # the server lists none", ""))
    lines.append("tools:")
    taken: set[str] = set()
    entries = 0
    for name in sorted(tools):
        try:
            digest = schema_digest(tools[name])
        except Malformed as error:
            lines += ["", f"  # Left out, and so denied: {_comment(name)}. {_comment(error.why)}"]
            continue
        key = _key(system, name, taken)
        lines += ["", *_entry(key, name, digest, tools[name])]
        entries += 1
    if not entries:
        lines[lines.index("tools:")] = "tools: {}"
    return "\n".join((*lines, ""))


def _entry(key: str, name: str, digest: str, described: ToolDescription) -> list[str]:
    lines = []
    if said := _comment(described.description):
        lines.append(f"  # The server says: {said}")
    lines += [
        f"  # The server hints that {meaning} ({hint}); hints are never trusted."
        for (hint, value), meaning in _HINTS.items()
        if described.annotations.get(hint) is value
    ]
    lines.append(f"  {_quoted(key)}:")
    if key != name:
        lines.append(f"    name: {_quoted(name)}  # the server's own")
    lines += [
        "    effect: write  # read | write | egress",
        "    risk: C  # A low | B medium | C high | D restricted",
        "    reversibility: manual  # reversible | manual | irreversible",
        f"    reversal_note: {_quoted(REVERSAL_NOTE)}",
        f"    schema_digest: {digest}",
    ]
    properties = described.input_schema.get("properties")
    if isinstance(properties, Mapping) and "idempotency_key" in properties:
        lines.append("    # idempotency: {argument: idempotency_key, keeps: 30d}  # if it does keep one write per key")
    return lines


def _key(system: str, name: str, taken: set[str]) -> str:
    """Return a free key for a tool; what a key may not hold becomes `_`."""
    own = _NOT_IN_KEY.sub("_", name)
    whole = own if own.startswith(f"{system}.") and own != f"{system}." else f"{system}.{own or '_'}"
    key, number = whole[:KEY_MAX], 1
    while key in taken:
        number += 1
        key = f"{whole[: KEY_MAX - 8]}_{number}"
    taken.add(key)
    return key


def _comment(text: str) -> str:
    """Return `text` as one line that no reader takes for more: white space joined, unprintable marks dropped."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text[: 10 * COMMENT_MAX]).split())
    return line if len(line) <= COMMENT_MAX else f"{line[: COMMENT_MAX - 1]}…"


def _flow(value: Any) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_quoted(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
        case str():
            return _quoted(value, always=True)
        case bool() | int():
            return json.dumps(value)
        case list() | tuple():
            return "[" + ", ".join(_flow(item) for item in value) + "]"
    raise Malformed(
        "Cannot write how the server is reached.",
        f"A value in it is a {type(value).__name__}.",
        "Give text, whole numbers, lists and mappings only.",
    )


def _quoted(text: str, *, always: bool = False) -> str:
    """Return a YAML scalar that reads back as exactly `text`."""
    if not always and all(_PLAIN.fullmatch(part) for part in text.split(".")) and text.lower() not in _WORDS:
        return text
    escaped = json.dumps(text, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped)


_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})  # not text to every reader
