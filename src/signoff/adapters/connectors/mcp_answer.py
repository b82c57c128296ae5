# SPDX-License-Identifier: Apache-2.0
"""Read what a tool server answered, without hoping: a result, the tool's own error, or nothing of use.

Pure: the raw `result` member of a `tools/call` answer in, a value out. Nothing is checked against the tool's
output schema here; that belongs to who knows the contract.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from signoff.core.action.doubt import Answered, Errored
from signoff.ledger.canonical import canonical
from signoff.ledger.errors import Refused

BYTES_MAX: Final = 256 * 1024  # of a result, or of arguments, as canonical JSON
DEPTH_MAX: Final = 32  # levels of objects and arrays
MESSAGE_MAX: Final = 2_000  # characters of an error's message that are kept
CODE_MAX: Final = 128  # characters; a longer code is no code, so it can never match one in `not_done`
TOO_LARGE: Final = "answer too large"


class Unusable(Exception):
    """There is an answer and nothing can be built on it; the text says why and holds no payload."""


def interpret(raw: Mapping[str, Any]) -> Answered | Errored:
    """Return what the `result` member of a `tools/call` answer says.

    A result is the structured content if that is an object, else the one text block if it is a JSON object, else
    the texts under `text`. With `isError` the code is taken from `{"error": {"code", "message"}}` in the structured
    content or in the first text block (Model Context Protocol, Tools, Error Handling: such errors are results).

    Raises:
        Unusable: it is no final result, or breaks the bounds of size, depth or JSON.
    """
    kind = raw.get("resultType", "complete")
    if kind != "complete":
        # `input_required` and `task` end nothing: the tool may have written, or may yet.
        raise Unusable("the server did not finish: it asks for more input or went on by itself")
    texts = _texts(raw)
    structured = raw.get("structuredContent")
    if raw.get("isError") is True:
        return _error(structured, texts)
    if raw.get("isError", False) is not False:
        raise Unusable("the answer does not say whether it is an error")
    if isinstance(structured, Mapping):
        result: Mapping[str, Any] = structured
    elif len(texts) == 1 and (parsed := _object(texts[0])) is not None:
        result = parsed
    else:
        result = {"text": "\n".join(texts)}
    require_bounded(result)
    return Answered(result)


def require_bounded(value: Mapping[str, Any]) -> None:
    """Refuse what is too large, too deep, or has no canonical form: NaN, lone surrogates, numbers past 2^53.

    Whatever passes can be kept and committed to; a result that could not would have no outcome at all.

    Raises:
        Unusable: it breaks a bound.
    """
    if not _is_shallow(value):
        raise Unusable(TOO_LARGE)
    try:
        size = len(canonical(value))
    except Refused as error:
        raise Unusable("not every value in it is JSON") from error
    if size > BYTES_MAX:
        raise Unusable(TOO_LARGE)


def shorten(text: str, most: int = MESSAGE_MAX) -> str:
    """Return `text` cut to `most` characters, with the cut shown, and without what UTF-8 cannot hold."""
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


def _texts(raw: Mapping[str, Any]) -> list[str]:
    content = raw.get("content")
    if not isinstance(content, list):
        if isinstance(raw.get("structuredContent"), Mapping):
            return []
        raise Unusable("the answer is no tool result")
    return [
        block["text"]
        for block in content
        if isinstance(block, Mapping) and block.get("type") == "text" and isinstance(block.get("text"), str)
    ]


def _error(structured: Any, texts: list[str]) -> Errored:
    for candidate in (structured, _object(texts[0]) if texts else None):
        inner = candidate.get("error") if isinstance(candidate, Mapping) else None
        if isinstance(inner, Mapping):
            code, message = inner.get("code"), inner.get("message")
            return Errored(_code(code), shorten(message) if isinstance(message, str) else _said(texts))
    return Errored(None, _said(texts))


def _code(code: Any) -> str | None:
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    # It is shown, and kept in the clear as the reason: what controls a terminal or is half a letter is no code.
    return code if isinstance(code, str) and 0 < len(code) <= CODE_MAX and code.isprintable() else None


def _said(texts: list[str]) -> str:
    return shorten("\n".join(texts)) or "The tool reported an error and said no more."


def _object(text: str) -> Mapping[str, Any] | None:
    """Return the JSON object that `text` is, or None; a doubled key or NaN makes it plain text."""
    if len(text) > BYTES_MAX or not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is given twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _is_shallow(value: Any) -> bool:
    """Whether `value` has at most DEPTH_MAX levels; walks level by level, so depth costs no stack."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for item in level
            if isinstance(item, Mapping | list)
            for child in (item.values() if isinstance(item, Mapping) else item)
            if isinstance(child, Mapping | list)
        ]
        if not level:
            return True
    return False
