# SPDX-License-Identifier: Apache-2.0
"""The checks of a decision as a table: what each reads, what it can do, and an example of it firing.

What a check reads and can do is taken from its source. Each example is tried by `tests/docs/test_checks.py`.
"""

import ast
import inspect
from collections.abc import Callable
from typing import Any, Final

EXAMPLES: Final[dict[str, tuple[str, str]]] = {
    "agent": ("the agent's owner has switched it off", "agent_inactive"),
    "halt": ("an operator has halted the tool", "halted"),
    "run": ("the agent has completed the task, and calls on", "run_closed"),
    "version": ("the author has withdrawn the version of the page", "version_withdrawn"),
    "tool": ("the page does not list the tool", "tool_not_allowed"),
    "registered": ("nobody has published a contract of the tool", "tool_unregistered"),
    "contract": ("its contract says something else since it was approved", "contract_changed"),
    "pin": ("the server describes the tool in other words than were pinned", "tool_changed"),
    "key": ("the agent sends an idempotency key of its own", "argument_reserved"),
    "args": ("an argument is missing", "args_invalid"),
    "resource": ("the resource cannot be told from the arguments", "resource_unknown"),
    "circuit": ("the last five sends of the tool all failed", "circuit_open"),
    "delegation": ("the installation asks for delegations, and the run has none", "delegation_required"),
    "permission": ("no role of the principal permits the tool", "not_permitted"),
    "calls": ("the page allows eight calls, and eight were sent", "calls_exhausted"),
    "steps": ("the agent has proposed forty times", "steps_exhausted"),
    "denials": ("three proposals of the run were denied, and it wants to write", "denials_exhausted"),
    "identical": ("the same call for the fourth time", "identical_calls"),
    "time": ("the run has taken its quarter of an hour", "time_exhausted"),
    "spend": ("the task has spent its cap", "spend_exhausted"),
    "spend_caps": ("the agent has spent the day's cap", "spend_cap_exhausted"),
    "tokens": ("the page caps model tokens, which nothing counts yet", "tokens_uncounted"),
    "limits": ("the third invoice of the day passes what a vendor may get", "limit_exceeded"),
    "class": ("the tool moves money", "class_c"),
    "writes": ("the page lets every write ask", "write_asks"),
    "mode": ("a person looks on at every call", "mode_watch"),
    "rules": ("a rule denies what is above the amount", "rule_denied"),
    "provenance": ("an account number that no trusted result shows", "provenance_unproved"),
    "citations": ("the rationale speaks of policy and quotes none", "citation_missing"),
    "injection": ("the page asks for a score, and there is no scorer", "no_injection_scorer"),
}
DOES: Final = {"deny": "deny", "ask": "ask", "ask_by_default": "ask, until a tier lifts it", "inert": "ask, as inert"}
OUTCOMES: Final = {"DENY": "deny", "ASK": "ask"}


def name_of(check: Callable[..., Any]) -> str:
    """Return the name under which a check is recorded."""
    return "class" if check.__name__ == "risk_class" else str(check.__name__)


def reads(check: Callable[..., Any]) -> list[str]:
    """Return what of the bearing a check looks at, in the order of its source."""
    tree = ast.parse(inspect.getsource(check))
    found = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "b"
    ]
    return list(dict.fromkeys(found))


def does(check: Callable[..., Any]) -> list[str]:
    """Return what a check can do besides passing: itself, or the helpers of its own module that it calls."""
    module = inspect.getmodule(check)
    assert module is not None
    functions = {
        node.name: node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.FunctionDef)
    }
    found: list[str] = []
    waiting, seen = [check.__name__], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found += [DOES[node.func.id]] if node.func.id in DOES else []
                waiting.append(node.func.id)
                found += ["lift"] if any(one.arg == "lifts" for one in node.keywords) else []
            elif isinstance(node, ast.Attribute) and node.attr in OUTCOMES:
                found.append(OUTCOMES[node.attr])
    return sorted(set(found))
