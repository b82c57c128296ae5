# SPDX-License-Identifier: Apache-2.0
"""Provenance, holds, spend, the ladder and "done" are read whole, or what is wrong is named at its place."""

import pytest

from signoff.core.authority.done import Done
from signoff.core.authority.downgrade import Downgrade, Relief
from signoff.core.authority.envelope import READABLE, Envelope, inert_controls, load_envelope
from signoff.core.authority.hold import Hold
from signoff.core.authority.provenance import Normal, Provenance, Source, Sourcing
from signoff.core.authority.spend import Scope, SpendCap

HEAD = "version: 1\nworkflow: w\npermissions: {allowed_tools: [erp.pay, erp.get], approval_roles: [A]}\n"
HOUR = 3_600_000_000


def loaded(text: str) -> Envelope:
    envelope, findings = load_envelope(HEAD + text, "page.yaml", kept=READABLE)
    assert envelope is not None, [str(one) for one in findings]
    return envelope


def errors(text: str) -> list[tuple[str, int]]:
    envelope, findings = load_envelope(HEAD + text, "page.yaml", kept=READABLE)
    assert envelope is None
    return [(one.code, one.line) for one in findings if one.severity == "error"]


def test_provenance_names_sources_the_way_to_compare_and_what_follows() -> None:
    page = loaded("""\
provenance:
  erp.pay:
    iban: [tool:erp.get.iban]
    amount: {from: [user, tool:erp.get.payable_cents], normal: number}
    intents: [pay, "settle the bill"]
    then: deny
  erp.get: {then: {from: [user]}, intents: {from: [user]}}
""")
    assert page.provenance["erp.pay"] == Provenance(
        "erp.pay",
        {
            "iban": Sourcing("iban", (Source("erp.get", "iban"),)),
            "amount": Sourcing("amount", (Source(), Source("erp.get", "payable_cents")), Normal.NUMBER),
        },
        then_deny=True,
        intents=("pay", "settle the bill"),
    )
    assert set(page.provenance["erp.get"].arguments) == {"then", "intents"}
    assert page.provenance["erp.get"].then_deny is False


@pytest.mark.parametrize(
    "entry",
    [
        "{iban: user}",
        "{iban: []}",
        "{iban: [usr]}",
        "{iban: [tool:erp]}",
        "{iban: [erp.get.iban]}",
        "{iban: [tool:.iban]}",
        "{iban: {normal: text}}",
        "{iban: {from: [user], normal: fuzzy}}",
        "{iban: [user], then: ask}",
        "{iban: [user], intents: []}",
        "{iban: [user], intents: [pay settle]}",
        "{then: deny}",
        "{}",
        "[user]",
    ],
)
def test_a_source_that_is_none_is_refused_on_its_line(entry: str) -> None:
    assert {line for _, line in errors(f"provenance:\n  erp.pay: {entry}\n")} == {5}


def test_holds_spend_the_ladder_and_done_load_into_their_values() -> None:
    page = loaded("""\
holds:
  - {tool: erp.pay, window: 4h}
  - {tool: erp.get, window: 30s, on_timeout: proceed}
spend: [{per: user, window: 1d, usd: 20}, {per: tenant, window: 30d, usd: 0.5}]
downgrade: [{at: 0.7, do: smaller_model}, {at: 1.0, do: stop}]
done: {requires: [erp.pay], not_reopened_within: 24h}
""")
    assert page.holds == {"erp.pay": Hold("erp.pay", 4 * HOUR), "erp.get": Hold("erp.get", 30_000_000, True)}
    assert page.spend == (
        SpendCap(Scope.USER, 24 * HOUR, 20_000_000),
        SpendCap(Scope.TENANT, 720 * HOUR, 500_000),
    )
    assert page.downgrade == (Downgrade(700_000, Relief.SMALLER_MODEL), Downgrade(1_000_000, Relief.STOP))
    assert page.done == Done(("erp.pay",), 24 * HOUR)
    assert [(one.asked_by, one.line) for one in inert_controls(page)] == [
        ("downgrade", 8),
        ("done.not_reopened_within", 9),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("holds: [{tool: erp.pay, window: 4h, on_timeout: send}]\n", "page.type"),
        ("holds: [{tool: erp.pay}]\n", "page.missing_key"),
        ("holds: [{tool: erp.pay, window: 1h}, {tool: erp.pay, window: 2h}]\n", "envelope.twice"),
        ("spend: [{per: task, window: 1d, usd: 1}]\n", "page.type"),
        ("spend: [{per: user, window: 1d, usd: 1}, {per: user, window: 24h, usd: 2}]\n", "envelope.twice"),
        ("spend: [{per: user, window: 5s, usd: 1}]\n", "page.range"),
        ("downgrade: [{at: 0.9, do: stop}, {at: 0.7, do: smaller_model}]\n", "envelope.order"),
        ("downgrade: [{at: 1.5, do: stop}]\n", "page.type"),
        ("done: {requires: []}\n", "page.type"),
        ("done: {}\n", "page.missing_key"),
    ],
)
def test_a_bound_that_is_none_is_refused_on_its_line(text: str, code: str) -> None:
    assert errors(text) == [(code, 4)]
