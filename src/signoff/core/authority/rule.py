# SPDX-License-Identifier: Apache-2.0
"""Compile and evaluate CEL expressions: the one file that knows the engine (ADR 0004).

An expression is checked against the names it may use when its page is loaded, so that `args.amuont` fails there, with
its column, and not on the first payment. Names come typed from JSON schemas where these are known: one dotted variable
for each field. A JSON `number` and an optional field stay dynamic; an absent optional is `null`. Evaluation knows no
time, no chance and no functions of ours; an error is never a value, so that nobody takes one for a "yes".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from signoff.core.errors import Misuse
from signoff.core.money import INT_MAX

TEXT_MAX = 4096
PLAIN: Final = ("bool", "int", "double", "string", "list", "map", "null", "dyn")


class CannotEvaluate(Misuse):
    """An expression has no value here; whoever asked denies. The message never holds a value."""

    code = "rule.cannot_evaluate"


class CannotMatch(Exception):
    """A pattern was not compiled, or a text holds what the engine does not see whole: a NUL or a lone surrogate."""


class CannotCompile(Misuse):
    """An expression is no CEL, or uses names it does not have. `line` and `column` (from 1) are within its text."""

    code = "rule.cannot_compile"

    def __init__(self, what: str, why: str, fix: str, line: int = 1, column: int = 1) -> None:
        super().__init__(what, why, fix, line=line, column=column)
        self.line, self.column = line, column


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may speak of.

    `roots` are dynamic: a map, or a text for `key`. `fields` are typed: `args.amount` to a type of `TYPES`.
    A root with typed fields is closed: it has no other fields.
    """

    roots: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled condition or value; equal if text and names are."""

    text: str
    names: Names
    returns: str
    """What it is known to yield: a word of `PLAIN`."""
    _program: Any = field(repr=False, compare=False)
    _fields: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)

    def value(self, names: Mapping[str, Any]) -> Any:
        """Return the JSON value of this expression under `names`, such as `{"args": {...}, "key": "..."}`.

        Raises:
            CannotEvaluate: a field is missing, types do not fit, it divides by zero, it costs too much, a text that it
                could see holds a NUL, or what it yields is no JSON value.
        """
        data = {
            root: value if type(value := names[root]) in _READ_AS_IT_IS else _readable(value)
            for root in self.names.roots
            if root in names
        }
        for dotted, shape in self._fields:
            field_value = _fetched(names, dotted)
            if not _SHAPES[shape](field_value):
                raise self._cannot("a field is missing, or has another type than its schema says")
            data[dotted] = int(field_value) if shape == "int" else field_value
        try:
            # The engine ends a text at its first NUL: "V1\\0x" would pass for "V1", as a value and as a key.
            if _has_nul(data):
                raise self._cannot("a text holds a NUL character, behind which anything could hide")
            found = self._program.eval(data=data)
            is_error = found.type() == cel.Type.ERROR or found.type() == cel.Type.UNKNOWN
            plain = found.plain_value()
        except (RuntimeError, ValueError, TypeError, OverflowError, RecursionError, UnicodeError) as error:
            raise self._cannot(_reason(str(error))) from None
        if is_error:
            raise self._cannot(_reason(str(plain)))
        if not _is_json(plain):
            raise self._cannot("what it yields is no JSON value")
        return plain

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Return the truth of this condition.

        Raises:
            CannotEvaluate: as `value`, and if it yields anything but true or false.
        """
        value = self.value(names)
        if value is True or value is False:
            return bool(value)
        raise self._cannot("it yields something else than true or false")

    def text_of(self, names: Mapping[str, Any]) -> str:
        """Return the text that this expression yields, such as a resource or a subject.

        Raises:
            CannotEvaluate: as `value`, and if it yields anything but text, or no text at all.
        """
        value = self.value(names)
        if type(value) is str and value:
            return value
        raise self._cannot("it yields no text")

    def _cannot(self, why: str) -> CannotEvaluate:
        return CannotEvaluate(
            what=f"`{self.text[:120]}` cannot be evaluated.",
            why=f"Here {why}.",
            fix="Guard it with a condition, or correct the page it stands in; until then it counts as a denial.",
        )


def compile_expression(text: str, names: Names) -> Expression:
    """Return `text` compiled against `names`.

    Raises:
        CannotCompile: no CEL, too long, a name that is not there, or types that do not fit.
    """
    if len(text) > TEXT_MAX:
        raise CannotCompile(
            f"An expression has {len(text)} characters.", f"At most {TEXT_MAX} are compiled.", "Say it in fewer."
        )
    if not text.strip():
        raise CannotCompile("An expression is empty.", "It has no value.", "Write CEL, such as `args.vendor_id`.")
    _no_has(text, names)
    try:
        program = _environment(names).compile(text)
        kind = program.return_type().name().lower()
    except (RuntimeError, ValueError, TypeError, UnicodeError, RecursionError) as error:
        raise _refused(text, str(error), names) from None
    kind = re.split(r"[<(]", kind)[0]
    if kind not in PLAIN:
        raise CannotCompile(
            f"`{text[:120]}` yields a CEL {kind}.",
            "Only JSON values leave an expression.",
            "Turn it into text with `string(...)`, or into an integer with `int(...)`.",
        )
    written = re.sub(r"\s*\.\s*", ".", text)  # `args . id` is CEL too; one field too many does no harm
    used = tuple((dotted, shape) for dotted, shape in names.fields if dotted in written)
    return Expression(text, names, kind, program, used)


def compiles(text: str, names: Names) -> bool:
    """Tell whether `text` compiles against `names`."""
    try:
        compile_expression(text, names)
    except CannotCompile:
        return False
    return True


TYPES: Final[Mapping[str, Any]] = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "bool": cel.Type.BOOL,
    "list": cel.Type.LIST,
    "strings": cel.Type.List(cel.Type.STRING),
    "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "dyn": cel.Type.DYN,
}


def typed_fields(root: str, schema: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """Return the typed fields of `root` from its JSON schema.

    None if the schema does not list its properties, or has some that cannot be written after a point: `root` then stays
    a dynamic map.
    """
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or schema.get("additionalProperties") not in (None, False, True):
        return None
    if not all(isinstance(name, str) and is_word(name) for name in properties):
        return None
    required = schema.get("required")
    needed = set(required) if isinstance(required, list) else set()
    return tuple((f"{root}.{name}", _type_of(spec) if name in needed else "dyn") for name, spec in properties.items())


def is_word(name: str) -> bool:
    """Tell whether `name` can be written after a point, as in `facts.vendor`."""
    return _WORD.fullmatch(name) is not None and name not in _RESERVED


def is_pattern(pattern: str) -> bool:
    """Tell whether a regular expression can be matched in time linear in the text (RE2, as CEL's `matches`)."""
    try:
        return bool(_matcher(pattern).eval(data={"text": ""}).type() == cel.Type.BOOL)
    except (RuntimeError, ValueError, TypeError, UnicodeError):
        return False


def matches(pattern: str, text: str) -> bool:
    """Tell whether `pattern` occurs in `text`.

    Raises:
        CannotMatch: nobody can tell; "no" would be as wrong as "yes", as it may stand under a `not`.
    """
    try:
        if "\0" not in text:
            answer = _matcher(pattern).eval(data={"text": text}).plain_value()
            if answer is True or answer is False:
                return bool(answer)
    except (RuntimeError, ValueError, TypeError, UnicodeError):
        pass
    raise CannotMatch


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Any:
    """Return a program for one pattern. ECMA writes `\\u00e9` where RE2 writes `\\x{00e9}`."""
    if len(pattern) > TEXT_MAX:
        raise ValueError
    pattern = re.sub(r"(?<!\\)((?:\\\\)*)\\u([0-9A-Fa-f]{4})", r"\1\\x{\2}", pattern)
    literal = "".join(char if char.isalnum() else f"\\U{ord(char):08x}" for char in pattern)
    return cel.NewEnv(variables={"text": cel.Type.STRING}).compile(f'text.matches("{literal}")')


_RESERVED = frozenset((
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
    "namespace", "null", "package", "return", "true", "var", "void", "while",
))  # fmt: skip
_READ_AS_IT_IS = (dict, str, type(None))
_SHAPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: type(value) is str,
    "int": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "bool": lambda value: type(value) is bool,
    "list": lambda value: type(value) is list,
    "strings": lambda value: type(value) is list and all(type(item) is str for item in value),
    "map": lambda value: type(value) is dict,
    "dyn": lambda value: True,
}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_POSITION = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_HAS = re.compile(r"\bhas\s*\(\s*\.?\s*([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)+)\s*\)")


def _type_of(spec: Any) -> str:
    """Return the CEL type of a required field; whatever is not plainly one type is dynamic."""
    if not isinstance(spec, Mapping):
        return "dyn"
    match spec.get("type"):
        case "string":
            return "string"
        case "integer":
            return "int"
        case "boolean":
            return "bool"
        case "array":
            items = spec.get("items")
            return "strings" if isinstance(items, Mapping) and items.get("type") == "string" else "list"
        case "object":
            return "map"
    return "dyn"


@lru_cache(maxsize=1024)
def _environment(names: Names) -> Any:
    variables = {root: cel.Type.STRING if root == "key" else TYPES["map"] for root in names.roots}
    variables.update({dotted: TYPES[kind] for dotted, kind in names.fields})
    return cel.NewEnv(variables=variables)


def _no_has(text: str, names: Names) -> None:
    """Refuse `has()` on a typed field: it would yield the field itself, not whether it is there."""
    typed = {dotted for dotted, _ in names.fields}
    for match in _HAS.finditer(text):
        dotted = re.sub(r"\s", "", match[1])
        if dotted in typed:
            before = text[: match.start()]
            raise CannotCompile(
                f"`has({dotted})` asks what is known already.",
                "Its fields come from a schema, and an absent optional field is `null`.",
                f"Write `{dotted} != null`.",
                before.count("\n") + 1,
                match.start() - (before.rfind("\n") + 1) + 1,
            )


def _has_nul(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return "\0" in value
    if kind is dict:
        for key, item in value.items():  # noqa: SIM110 - a loop is faster than a generator here
            if (type(key) is str and "\0" in key) or _has_nul(item):
                return True
        return False
    if kind is list or kind is tuple:
        return any(map(_has_nul, value))
    return isinstance(value, Mapping) and _has_nul(dict(value))


def _readable(value: Any) -> Any:
    """Return a read-only map as the plain one that the engine reads."""
    return dict(value) if isinstance(value, Mapping) else value


def _fetched(names: Mapping[str, Any], dotted: str) -> Any:
    """Return the field at a dotted path; an absent one is `null`."""
    found: Any = names
    for step in dotted.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _reason(error: str) -> str:
    """Return in plain words why an evaluation failed; the engine's own text may repeat values, so it stays inside."""
    if "Key not found" in error or "No value with name" in error or error.startswith("NOT_FOUND"):
        return "a field that it names is missing"
    if "divide by zero" in error or "modulus by zero" in error:
        return "it divides by zero"
    if "No matching overloads" in error or "Unexpected value type" in error:
        return "types do not fit each other"
    if "out of range" in error or "overflow" in error:
        return "a number is out of range"
    if "budget" in error.lower() or "iteration" in error.lower():
        return "it takes too many steps"
    if "index" in error.lower():
        return "an index is outside its list"
    return "an operation in it failed"


def _is_json(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-INT_MAX <= value <= INT_MAX)
    if kind is float:
        return bool(value - value == 0)
    if depth > 32:
        return False
    if kind is list:
        return all(_is_json(item, depth + 1) for item in value)
    if kind is dict:
        return all(type(key) is str and _is_json(item, depth + 1) for key, item in value.items())
    return False


def _refused(text: str, error: str, names: Names) -> CannotCompile:
    """Return the engine's first complaint as ours, with the place inside the text."""
    match = _POSITION.search(error)
    line, column, problem = (int(match[1]), int(match[2]), match[3]) if match else (1, 1, "It cannot be parsed")
    if "recursion" in error:
        return CannotCompile(
            f"`{text[:120]}` does not compile.",
            "It is nested deeper than 32 levels; each `+`, `&&`, `? :` and point counts as one.",
            "Say it in fewer steps.",
        )
    problem = problem.replace(" (in container '')", "").removesuffix(" [INVALID_ARGUMENT]").split(" expecting {")[0]
    fix = "Correct the expression."
    if unknown := _UNDECLARED.search(problem):
        name = unknown[1]
        row = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
        at = re.search(rf"(?<![\w.]){re.escape(name)}(?!\s*[\w.])", row)
        at = at or re.search(rf"(?<![\w.]){re.escape(name)}", row)
        column = at.start() + 1 if at else column
        known = [dotted for dotted, _ in names.fields] + list(names.roots)
        near = get_close_matches(name, known, 1)
        fields = [dotted for dotted, _ in names.fields if dotted.startswith(name + ".")]
        if fields:
            fix = f"Name one of its fields: {', '.join(fields[:12])}."
        elif near:
            fix = f"Did you mean `{near[0]}`?"
        else:
            fix = f"Known here: {', '.join(sorted(known)[:12]) or 'no names'}."
            if _WORD.fullmatch(name):
                fix += f" A text stands in quotes of its own: \"'{name[:40]}'\"."
    return CannotCompile(f"`{text[:120]}` does not compile.", f"{problem[:200]}.", fix, line, column)
