# SPDX-License-Identifier: Apache-2.0
"""Times peers with ten rules each; runs in their environment, not in ours, and prints one JSON object.

Each is asked the same question through its documented call: may this agent write a note of 40.00 to this customer?
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

TIMES = 3000
TOOLS = [f"book.tool_{n}" for n in range(9)]


def main() -> None:
    """Print every figure, or in its place why there is none."""
    found: dict[str, Any] = {}
    for name, measure in (("cedarpy", cedar), ("casbin", casbin), ("agt_strings", agt), ("agt_two_durable", durable)):
        try:
            found |= measure()
        except Exception as error:  # noqa: BLE001  # a peer that cannot be run is told, and the others go on
            found[f"{name}_p50_us"] = found[f"{name}_per_s"] = f"{type(error).__name__}: {error}"[:200]
    print(json.dumps(found))


def cedar() -> dict[str, float]:
    """Return cedarpy's timings, its policies and entities prepared once where it can."""
    import cedarpy  # type: ignore[import-not-found,unused-ignore]

    rules = [
        f'forbid(principal, action == Action::"{tool}", resource) when {{ context.amount > {n} }};'
        for n, tool in enumerate(TOOLS)
    ]
    rules.append('permit(principal, action == Action::"book.note", resource) when { context.amount < 10000 };')
    policies: Any = "\n".join(rules)
    if hasattr(cedarpy, "PolicySet"):
        policies = cedarpy.PolicySet.from_str(policies) if hasattr(cedarpy.PolicySet, "from_str") else policies
    request = {
        "principal": 'Agent::"bench"',
        "action": 'Action::"book.note"',
        "resource": 'Customer::"C-1"',
        "context": {"amount": 4000},
    }
    assert cedarpy.is_authorized(request, policies, []).allowed
    return _quantiles("cedarpy", lambda: cedarpy.is_authorized(request, policies, []))


def casbin() -> dict[str, float]:
    """Return casbin's timings, its model and rules loaded once."""
    import casbin as engine  # type: ignore[import-not-found,unused-ignore]

    model = engine.Model()
    model.load_model_from_text(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n"
        "[policy_effect]\ne = some(where (p.eft == allow))\n"
        "[matchers]\nm = r.sub == p.sub && r.obj == p.obj && r.act == p.act\n"
    )
    enforcer = engine.Enforcer(model)
    for tool in [*TOOLS, "book.note"]:
        enforcer.add_policy("bench", tool, "write")
    assert enforcer.enforce("bench", "book.note", "write")
    return _quantiles("casbin", lambda: enforcer.enforce("bench", "book.note", "write"))


def _agt_evaluator() -> Any:
    from agent_os.policies import PolicyEvaluator  # type: ignore[import-not-found,unused-ignore]
    from agent_os.policies.schema import PolicyDocument  # type: ignore[import-not-found,unused-ignore]

    rules = [
        {
            "name": f"deny-{tool}",
            "condition": {"field": "tool_name", "operator": "matches", "value": f"^{tool}$"},
            "action": "deny",
            "priority": 10 - n,
        }
        for n, tool in enumerate(TOOLS)
    ]
    condition = {"field": "tool_name", "operator": "matches", "value": "^book.note$"}
    rules.append({"name": "allow-note", "condition": condition, "action": "allow", "priority": 0})
    return PolicyEvaluator(policies=[PolicyDocument(name="bench", rules=rules, defaults={"action": "deny"})])


CONTEXT = {"tool_name": "book.note", "agent_id": "bench", "amount": 4000, "customer": "C-1"}


def agt() -> dict[str, float]:
    """Return the timings of AGT's evaluator with ten string conditions."""
    evaluator = _agt_evaluator()
    assert evaluator.evaluate(CONTEXT).allowed
    return _quantiles("agt_strings", lambda: evaluator.evaluate(CONTEXT))


def durable() -> dict[str, float]:
    """Return how many decisions a second AGT makes with two audit records each, synced by us as it does not itself."""
    from agent_os.audit_logger import (  # type: ignore[import-not-found,unused-ignore]
        GovernanceAuditLogger,
        JsonlFileBackend,
    )

    evaluator, log = _agt_evaluator(), GovernanceAuditLogger()
    with tempfile.TemporaryDirectory() as folder:
        backend = JsonlFileBackend(f"{folder}/audit.jsonl")
        log.add_backend(backend)

        def record(decision: str) -> None:
            log.log_decision(agent_id="bench", action="book.note", decision=decision)
            log.flush()
            os.fdatasync(backend._file.fileno())

        def act() -> None:
            assert evaluator.evaluate(CONTEXT).allowed
            record("allow")
            record("succeeded")

        rates = []
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(200):
                act()
            rates.append(200 / (time.perf_counter() - began))
    return {"agt_two_durable_per_s": sorted(rates)[2]}


def _quantiles(name: str, call: Callable[[], object]) -> dict[str, float]:
    for _ in range(200):
        call()
    each = []
    for _ in range(TIMES):
        began = time.perf_counter()
        call()
        each.append(time.perf_counter() - began)
    each.sort()
    return {f"{name}_p50_us": each[TIMES // 2] * 1e6, f"{name}_p99_us": each[TIMES * 99 // 100] * 1e6}


if __name__ == "__main__":
    main()
