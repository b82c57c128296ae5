# SPDX-License-Identifier: Apache-2.0
"""Collect every code that a user may meet from the source: of errors, of findings on a page, of reasons.

The syntax tree is read, not the running program: a code that no test reaches is a code all the same. A code that is
put together at run time has to be spelled out in `PUT_TOGETHER`, or the collection fails.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parents[1] / "src" / "signoff"
CODE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
REASON: Final = re.compile(r"[a-z][a-z0-9_]*")
# Said only within the house: an outage is told as a reason, and the base classes by their finer codes.
INTERNAL: Final = frozenset({"error", "gather.outage", "gather.unanswered"})
PUT_TOGETHER: Final = {
    "f'{what.split()[-1]}.unknown'": ("person.unknown", "agent.unknown", "key.unknown"),
}
PASSED_ON: Final = frozenset({"code", "error.code"})  # somebody else's code, which is collected where it is made
# Which argument of a call is a reason: by the name of what is called.
REASON_AT: Final = {
    "Check": (2,), "deny": (1,), "ask": (1,), "ask_by_default": (1,), "inert": (1,), "Judgement": (1,),
    "end_unsent": (3,), "end_sent": (3,), "Duty": (4,),
}  # fmt: skip


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module of the control plane with its syntax tree."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def error_codes() -> tuple[set[str], set[str]]:
    """Return the codes of errors, and those of findings on a page.

    Raises:
        ValueError: a code is put together in a way that nobody spelled out.
    """
    errors: set[str] = set()
    findings: set[str] = set()
    for path, tree in trees():
        constants = _constants(tree)
        is_reader = path.parent.name == "authority" and path.parents[1].name == "core"
        places = _code_places(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                errors.update(_class_codes(node))
            elif isinstance(node, ast.Assign) and _targets(node) == ["code"]:
                errors.update(_values(node.value, constants))
            elif isinstance(node, ast.Dict) and path.name == "problems.py":
                pairs = zip(node.keys, node.values, strict=True)
                errors.update(v for key, value in pairs if "code" in _of(key) for v in _values(value, {}))
            elif isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "code" and not ast.unparse(node.func).startswith("mcp_types."):
                        errors.update(_spelled(keyword.value, constants, path))
                called = _name(node)
                if called in places and len(node.args) > places[called]:
                    found = _values(node.args[places[called]], constants)
                    (findings if is_reader else errors).update(found)
                if is_reader and called in ("error", "warn", "find", "_error", "Finding"):
                    findings.update(value for arg in node.args for value in _values(arg, {}) if "." in value)
    findings = {code for code in findings if CODE.fullmatch(code) and "." in code}
    return {code for code in errors if CODE.fullmatch(code)} - INTERNAL - findings, findings


def reasons() -> set[str]:
    """Return the reason codes of decisions and of endings, as far as Signoff itself gives them."""
    from signoff.app.action.explain import REASONS

    found: set[str] = set(REASONS)
    for path, tree in trees():
        if path.parent.name not in ("action", "authority", "check", "app") or "surfaces" in path.parts:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = _name(node)
                for place in REASON_AT.get(called, ()):
                    if len(node.args) > place:
                        found.update(_values(node.args[place], {}))
                if called in ("move", "ended"):
                    found.update(v for k in node.keywords if k.arg == "reason" for v in _values(k.value, {}))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in ("_refusal", "conflict_of"):
                found.update(_returned(node))
    return {reason for reason in found if REASON.fullmatch(reason)}


def _returned(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the reasons among the pairs that a function returns."""
    for node in ast.walk(function):
        if isinstance(node, ast.Tuple):
            for part in node.elts:
                yield from (value for value in _values(part, {}) if REASON.fullmatch(value))


def _code_places(tree: ast.Module) -> dict[str, int]:
    """Return where each helper of a module takes a code, without `self`."""
    places: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [arg.arg for arg in node.args.args if arg.arg != "self"]
            if "code" in names and len(names) > 1 and node.name != "__init__":
                places[node.name] = names.index("code")
        if isinstance(node, ast.ClassDef):  # an error that takes its code by position is called by its class
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                    names = [arg.arg for arg in inner.args.args if arg.arg != "self"]
                    if "code" in names:
                        places[node.name] = names.index("code")
    return places


def _class_codes(node: ast.ClassDef) -> Iterator[str]:
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id == "code":
            yield from _values(line.value, {}) if line.value else ()
        elif isinstance(line, ast.Assign) and "code" in (names := _targets(line)):
            value = line.value
            part = value.elts[names.index("code")] if isinstance(value, ast.Tuple) else value
            yield from _values(part, {})


def _targets(node: ast.Assign) -> list[str]:
    target = node.targets[0]
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return [part.id for part in parts if isinstance(part, ast.Name)]


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the module's own names for texts."""
    found = {}
    for line in tree.body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str):
            found.update(dict.fromkeys(_targets(line), line.value.value))
    return found


def _spelled(value: ast.expr, constants: dict[str, str], path: Path) -> set[str]:
    found = set(_values(value, constants))
    text = ast.unparse(value)
    if found or text in PASSED_ON:
        return found
    if text in PUT_TOGETHER:
        return set(PUT_TOGETHER[text])
    raise ValueError(f"{path.relative_to(SOURCE)}:{value.lineno}: spell out in PUT_TOGETHER what {text} may be")


def _values(value: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    """Yield the texts that an expression may be, as far as it says."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from _values(value.body, constants)
        yield from _values(value.orelse, constants)
    elif isinstance(value, ast.BoolOp):
        for part in value.values:
            yield from _values(part, constants)
    elif isinstance(value, ast.Name) and value.id in constants:
        yield constants[value.id]


def _of(key: ast.expr | None) -> list[str]:
    return list(_values(key, {})) if key is not None else []


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
