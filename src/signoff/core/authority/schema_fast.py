# SPDX-License-Identifier: Apache-2.0
"""Accept values that plainly fit a plain schema, at a tenth of the full check's price.

Most calls fit schemas made of types, properties, bounds and words. For these, closures answer "fits" or "ask the full
check", never "does not fit": a wrong answer could only be a false "fits", and a property test compares both checks.
"""

from collections.abc import Callable
from typing import Any, Final

from signoff.core.authority.rule import matches

Fits = Callable[[Any], bool]
_IGNORED: Final = frozenset(
    ("$schema", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated",
     "readOnly", "writeOnly", "format")
)  # fmt: skip
_OBJECT: Final = frozenset(("properties", "required", "additionalProperties"))
_KNOWN: Final = _OBJECT | {
    "type", "enum", "const", "anyOf", "items", "minItems", "maxItems", "minLength", "maxLength", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip


def acceptor(schema: Any) -> Fits | None:
    """Return a test that is true only for values that fit `schema`, or None if the schema is not plain."""
    if schema is True:
        return lambda value: True
    if schema is False:
        return lambda value: False
    if not isinstance(schema, dict):
        return None
    tests: list[Fits] = []
    keywords = {key: value for key, value in schema.items() if key not in _IGNORED}
    if not keywords.keys() <= _KNOWN:
        return None
    for test in (
        _type(keywords),
        _words(keywords),
        _object(keywords),
        _list(keywords),
        _text(keywords),
        _number(keywords),
        _any(keywords),
    ):
        if test is _UNKNOWN:
            return None
        if test is not None:
            tests.append(test)
    match tests:
        case []:
            return lambda value: True
        case [only]:
            return only
        case [first, second]:
            return lambda value: first(value) and second(value)
    return lambda value: all(test(value) for test in tests)


def _UNKNOWN(value: Any) -> bool:
    return False


_TYPES: Final[dict[str, Fits]] = {
    "string": lambda value: type(value) is str,
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": lambda value: type(value) is int or type(value) is float,
    "boolean": lambda value: type(value) is bool,
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
    "null": lambda value: value is None,
}


def _type(keywords: dict[str, Any]) -> Fits | None:
    if "type" not in keywords:
        return None
    named = keywords["type"]
    tests = [_TYPES.get(name) for name in ([named] if isinstance(named, str) else named)]
    known = [test for test in tests if test is not None]
    if len(known) != len(tests) or not known:
        return _UNKNOWN
    return known[0] if len(known) == 1 else lambda value: any(test(value) for test in known)


def _words(keywords: dict[str, Any]) -> Fits | None:
    """Texts only: equality of other JSON values is left to the full check."""
    if "enum" in keywords:
        words = frozenset(word for word in keywords["enum"] if isinstance(word, str))
        if "const" in keywords:
            words &= {keywords["const"]} if isinstance(keywords["const"], str) else set()
    elif "const" in keywords:
        words = frozenset([keywords["const"]] if isinstance(keywords["const"], str) else [])
    else:
        return None
    return lambda value: type(value) is str and value in words


def _object(keywords: dict[str, Any]) -> Fits | None:
    if not keywords.keys() & _OBJECT:
        return None
    inner: dict[str, Fits] = {}
    for name, schema in keywords.get("properties", {}).items():
        test = acceptor(schema)
        if test is None:
            return _UNKNOWN
        inner[name] = test
    others = acceptor(keywords.get("additionalProperties", True))
    if others is None:
        return _UNKNOWN
    required = tuple(keywords.get("required", ()))

    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return True
        for name in required:
            if name not in value:
                return False
        for name, item in value.items():  # noqa: SIM110 - a loop is twice as fast as a generator here
            if not inner.get(name, others)(item):
                return False
        return True

    return fits


def _list(keywords: dict[str, Any]) -> Fits | None:
    if not keywords.keys() & {"items", "minItems", "maxItems"}:
        return None
    item = acceptor(keywords.get("items", True))
    if item is None:
        return _UNKNOWN
    low, high = keywords.get("minItems", 0), keywords.get("maxItems", float("inf"))
    return lambda value: type(value) is not list or (low <= len(value) <= high and all(map(item, value)))


def _text(keywords: dict[str, Any]) -> Fits | None:
    if not keywords.keys() & {"minLength", "maxLength", "pattern"}:
        return None
    low, high, pattern = keywords.get("minLength", 0), keywords.get("maxLength", float("inf")), keywords.get("pattern")
    if pattern is None:
        return lambda value: type(value) is not str or low <= len(value) <= high
    return lambda value: type(value) is not str or (low <= len(value) <= high and matches(pattern, value))


def _number(keywords: dict[str, Any]) -> Fits | None:
    if not keywords.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}:
        return None
    infinite = float("inf")
    low, high = keywords.get("minimum", -infinite), keywords.get("maximum", infinite)
    above, below = keywords.get("exclusiveMinimum"), keywords.get("exclusiveMaximum")

    def fits(value: Any) -> bool:
        if type(value) is not int and type(value) is not float:
            return True
        return low <= value <= high and (above is None or value > above) and (below is None or value < below)

    return fits


def _any(keywords: dict[str, Any]) -> Fits | None:
    if "anyOf" not in keywords:
        return None
    tests = [test for schema in keywords["anyOf"] if (test := acceptor(schema)) is not None]
    return lambda value: any(test(value) for test in tests)
