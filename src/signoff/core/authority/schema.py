# SPDX-License-Identifier: Apache-2.0
"""Check arguments and results against the JSON schemas of a tool's description (JSON Schema 2020-12 and older).

A schema comes from a server, and a value from an agent: neither may cost more than it should. References to elsewhere
are refused, patterns run in linear time, recursion is counted, comparisons are hashed. What cannot be checked within
these bounds is a problem of the schema, and a tool with such a schema takes no call. Messages name places and rules,
never values.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from jsonschema import FormatChecker, exceptions, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from signoff.core.authority.description import ToolDescription
from signoff.core.authority.rule import CannotMatch, is_pattern, matches
from signoff.core.authority.schema_fast import acceptor

SCHEMA_BYTES_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 64
REFS_MAX: Final = 10_000
PROBLEMS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class CheckedSchema:
    """A compiled schema; `problems_of` may be called from any thread."""

    validator: Any
    fits: Callable[[Any], bool] | None
    refusal: str | None = None

    def problems_of(self, value: Any) -> list[str]:
        """Return what is wrong with `value`, at most 20 things in the order of their places; nothing if it fits."""
        if self.refusal is not None:
            return [self.refusal]
        spent = _SPENT.set([0])
        found: list[str] = []
        try:
            if self.fits is not None and self.fits(value):
                return []
            for error in self.validator.iter_errors(value):
                found.append(_told(error))
                if len(found) == PROBLEMS_MAX:
                    break
        except (_TooMuch, RecursionError):
            found.append("$: the schema asks for more steps than a check may take")
        except CannotMatch:
            found.append("$: a text holds a NUL or a lone surrogate, which no pattern can see")
        except Unresolvable:
            found.append("$: the schema refers to something that is not in it")
        finally:
            _SPENT.reset(spent)
        return sorted(found)


def argument_problems(described: ToolDescription, args: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with `args` by the tool's input schema; an empty list if they fit."""
    return checked_schema(described.input_schema).problems_of(args if type(args) is dict else dict(args))


def result_problems(described: ToolDescription, result: Any) -> list[str]:
    """Return what is wrong with `result` by the tool's output schema; nothing if it has none."""
    if described.output_schema is None:
        return []
    return checked_schema(described.output_schema).problems_of(result)


def schema_problems(described: ToolDescription) -> list[str]:
    """Return why a tool cannot be governed by its schemas, so that it is seen when it is pinned; nothing if it can."""
    found = []
    for name, schema in (("input_schema", described.input_schema), ("output_schema", described.output_schema)):
        if schema is not None and (refusal := checked_schema(schema).refusal) is not None:
            found.append(f"{name}: {refusal}")
    return found


_BY_IDENTITY: dict[int, tuple[Any, CheckedSchema]] = {}
_SPENT: ContextVar[list[int]] = ContextVar("references_followed")


class _TooMuch(Exception):
    """A check followed more references than it may."""


def checked_schema(schema: Mapping[str, Any]) -> CheckedSchema:
    """Return the compiled form of `schema`; it is remembered by identity, so a schema is never changed in place."""
    known = _BY_IDENTITY.get(id(schema))
    if known is not None and known[0] is schema:
        return known[1]
    try:
        compiled = _compiled(json.dumps(schema, default=_as_dict, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        compiled = CheckedSchema(None, None, "$: the schema is no JSON")
    if len(_BY_IDENTITY) >= 1024:
        _BY_IDENTITY.clear()
    _BY_IDENTITY[id(schema)] = (schema, compiled)  # it keeps the schema alive, so that its identity is not reused
    return compiled


@lru_cache(maxsize=512)
def _compiled(text: str) -> CheckedSchema:
    schema = json.loads(text)
    refusal = "is larger than 256 KiB" if len(text) > SCHEMA_BYTES_MAX else _refusal(schema, 0)
    dialect = _dialect(schema)
    if refusal is None and dialect is None:
        refusal = "is written in a dialect of JSON Schema that is not known here"
    if refusal is None and dialect is not None:
        try:
            dialect.check_schema(schema, format_checker=FormatChecker(()))
        except exceptions.SchemaError as error:
            refusal = f"is not valid at {error.json_path[:120]}"
        except RecursionError:
            refusal = "is nested too deeply"
    if refusal is not None or dialect is None:
        return CheckedSchema(None, None, f"$: the tool's schema cannot be used: it {refusal}")
    fits = acceptor(schema) if dialect in _FAST else None
    return CheckedSchema(dialect(schema, registry=Registry()), fits)


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _refusal(schema: Any, depth: int) -> str | None:
    """Return why a schema cannot be checked within bounds, or None."""
    if depth > DEPTH_MAX:
        return f"is nested deeper than {DEPTH_MAX} levels"
    if isinstance(schema, list):
        return next((why for item in schema if (why := _refusal(item, depth + 1))), None)
    if not isinstance(schema, dict):
        return None
    for key, value in schema.items():
        if key in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(value, str):
            if key != "$ref":
                return f"uses {key}"
            if not value.startswith("#"):
                return "refers to a schema elsewhere, and nothing is fetched"
        if key in ("unevaluatedProperties", "unevaluatedItems") and value is not True:
            return f"uses {key}, which has no bound"
        patterns = [value] if key == "pattern" else list(value) if key == "patternProperties" else []
        for text in patterns if isinstance(value, str | dict) else ():
            if isinstance(text, str) and not is_pattern(text):
                return "has a pattern that cannot be matched in linear time (look-around, back-reference or too large)"
        if why := _refusal(value, depth + 1):
            return why
    return None


def _dialect(schema: Any) -> Any:
    """Return the checker for the dialect that `$schema` names, 2020-12 when silent, or None."""
    named = schema.get("$schema") if isinstance(schema, dict) else None
    if named is None:
        return _DIALECTS["https://json-schema.org/draft/2020-12/schema"]
    return _DIALECTS.get(named.rstrip("#")) if isinstance(named, str) else None


def _told(error: exceptions.ValidationError) -> str:
    """Return place and rule of an error. The rule is the schema's; the value may be a payload and stays out."""
    rule: Any = error.validator
    wanted: Any = error.validator_value
    match rule:
        case "type":
            text = f"takes {wanted if isinstance(wanted, str) else ' or '.join(map(str, wanted))}"
        case "required" | "additionalProperties":
            text = error.message
        case "enum":
            text = f"takes one of {json.dumps(wanted, ensure_ascii=False)[:160]}"
        case (
            "pattern"
            | "const"
            | "minimum"
            | "maximum"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "minLength"
            | ("maxLength")
            | "minItems"
            | "maxItems"
            | "multipleOf"
            | "format"
        ):
            text = f"breaks `{rule}: {json.dumps(wanted, ensure_ascii=False)[:120]}`"
        case None:
            text = "is not allowed here"
        case _:
            text = f"breaks `{rule}`"
    return f"{error.json_path[:120]}: {text}"


def _counted_ref(follow: Any) -> Callable[..., Iterator[exceptions.ValidationError]]:
    def ref(validator: Any, target: Any, instance: Any, schema: Any) -> Iterator[exceptions.ValidationError]:
        spent = _SPENT.get()
        spent[0] += 1
        if spent[0] > REFS_MAX:
            raise _TooMuch
        yield from follow(validator, target, instance, schema) or ()

    return ref


def _pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[exceptions.ValidationError]:
    if isinstance(instance, str) and not matches(wanted, instance):
        yield exceptions.ValidationError("does not match")


def _pattern_properties(
    validator: Any, wanted: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[exceptions.ValidationError]:
    if isinstance(instance, dict):
        for pattern, inner in wanted.items():
            for key, value in instance.items():
                if matches(pattern, key):
                    yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, wanted: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[exceptions.ValidationError]:
    if not isinstance(instance, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extras = [key for key in instance if key not in named and not any(matches(pattern, key) for pattern in patterns)]
    if isinstance(wanted, dict):
        for key in extras:
            yield from validator.descend(instance[key], wanted, path=key)
    elif wanted is False:
        for key in sorted(extras)[:PROBLEMS_MAX]:
            near = get_close_matches(key[:80], named, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield exceptions.ValidationError(f"has no field {key[:40]!r}{hint}")


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[exceptions.ValidationError]:
    if wanted and isinstance(instance, list) and len({_hashable(item) for item in instance}) != len(instance):
        yield exceptions.ValidationError("has an item twice")


def _hashable(value: Any) -> Any:
    """Return a key that is equal for JSON values that are equal: 1 is 1.0 and is not true."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return ("map", frozenset((key, _hashable(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(_hashable(item) for item in value))
    return value


def _bounded(dialect: Any) -> Any:
    return validators.extend(  # type: ignore[no-untyped-call]  # its stub has no types
        dialect,
        {
            "$ref": _counted_ref(dialect.VALIDATORS["$ref"]),
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
            "uniqueItems": _unique_items,
        },
    )


_DIALECTS: Final[Mapping[str, Any]] = {
    str(dialect.META_SCHEMA["$schema"]).rstrip("#"): _bounded(dialect)
    for dialect in (
        validators.Draft4Validator,
        validators.Draft6Validator,
        validators.Draft7Validator,
        validators.Draft201909Validator,
        validators.Draft202012Validator,
    )
}
# Draft 4 is checked in full: there, 1.0 is no integer.
_FAST: Final = tuple(dialect for name, dialect in _DIALECTS.items() if "draft-04" not in name)
