# SPDX-License-Identifier: Apache-2.0
"""A tool contract loads whole, or says everything that keeps its tools from being governed."""

from pathlib import Path
from typing import Any

import pytest

from signoff.core.authority.contract import (
    Contract,
    DryRun,
    Effect,
    Precondition,
    ReadPreview,
    Risk,
    Server,
    ToolDescription,
    load_contract,
    schema_digest,
)
from signoff.core.authority.page import Finding, Severity, digest
from signoff.core.authority.tool_reading import KEYS as DOCUMENTED
from signoff.core.errors import Malformed

PAGE = (Path(__file__).parent / "pages" / "contract.yaml").read_bytes()
HEAD = """format: 1
server: {python: pkg.erp}
tools:
  erp.get: {effect: read}
  erp.back:
    {effect: write, reversibility: irreversible, reversal_note: none, idempotency: {natural_key: [args.id]},
    look_up: {tool: erp.get, found: 'true', settles_after: 2s}}
"""


def found(text: str | bytes, **more: Any) -> list[Finding]:
    return load_contract(text, "erp.yaml", **more)[1]


def loaded(text: str | bytes, **more: Any) -> Contract:
    contract, findings = load_contract(text, "erp.yaml", **more)
    assert contract is not None, [str(finding) for finding in findings]
    return contract


def errors(text: str | bytes, **more: Any) -> list[str]:
    return [finding.code for finding in found(text, **more) if finding.severity is Severity.ERROR]


def warnings(text: str) -> list[str]:
    return [finding.code for finding in found(text) if finding.severity is Severity.WARNING]


def test_every_key_of_a_contract_is_read() -> None:
    contract = loaded(PAGE)
    assert found(PAGE) == []
    assert contract.digest == digest(PAGE) and contract.text.encode() == PAGE and contract.format == 1
    assert contract.server == Server("mcp_stdio", ("erp-server", "--port", "0"), env=("ERP_TOKEN",))
    tool = contract.tools["erp.create_entry"]
    assert (tool.server_name, tool.effect, tool.risk, tool.reversibility) == (
        "journal.create",
        Effect.WRITE,
        Risk.C,
        "reversible",
    )
    assert tool.schema_digest == "sha256:" + "0123456789abcdef" * 4
    assert tool.resource is not None and tool.resource.text_of({"args": {"vendor_id": "V1"}}) == "vendor/V1"
    assert (tool.key_argument, tool.keeps_us, tool.natural_key) == ("idempotency_key", 30 * 86_400 * 10**6, ())
    assert tool.not_done == {"vendor_unknown", "period_closed"}
    assert isinstance(tool.preview, DryRun) and tool.preview.tool == "erp.preview_entry"
    assert tool.preview.ignore == ("preview_id",) and tool.preview.args["vendor_id"].text == "args.vendor_id"
    assert isinstance(tool.precondition, Precondition)
    argument, expression = tool.precondition
    assert argument == "expected_version" and expression.value({"args": {}, "preview": {"version": "7"}}) == "7"
    assert tool.look_up is not None and tool.look_up.settles_after_us == 60 * 10**6
    assert tool.look_up.found.holds({"args": {}, "key": "k", "result": {"entry_id": ""}}) is False
    assert tool.look_up.args["idempotency_key"].value({"args": {}, "key": "k"}) == "k"
    assert tool.undo is not None and tool.undo.tool == "erp.reverse_entry"
    assert tool.undo.check is not None and tool.undo.check.unchanged == ("status", "amount_cents")
    assert tool.output.is_trusted("anything") and tool.cost_usd_micros == 2_000 and tool.timeout_s == 10.0
    assert tool.subject == tool.resource and tool.has_reversal_story
    reverse = contract.tools["erp.reverse_entry"]
    assert isinstance(reverse.preview, ReadPreview)
    assert reverse.preview.after["status"].value({"args": {}, "result": {}}) == "reversed"
    assert reverse.natural_key[0].value({"args": {"entry_id": 7}}) == 7 and reverse.key_argument is None


def test_what_is_not_said_is_taken_for_the_safer_thing() -> None:
    tools = loaded(PAGE).tools
    assert tools["erp.find_entry"].risk is Risk.A and not tools["erp.find_entry"].output.is_trusted("x")
    assert tools["erp.reverse_entry"].risk is Risk.C and tools["erp.fetch_page"].risk is Risk.C
    assert tools["erp.fetch_page"].reversibility == "irreversible"
    assert tools["erp.get_entry"].output.is_trusted("entry_id")
    assert not tools["erp.get_entry"].output.is_trusted("memo") and not tools["erp.get_entry"].output.is_trusted(
        "other"
    )
    silent = loaded("format: 1\nserver: {python: m}\ntools: {a.b: {effect: write}}\n").tools["a.b"]
    assert silent.reversibility == "irreversible" and not silent.has_reversal_story and silent.cost_usd_micros == 0


WRITE = {
    "reversibility": "reversible",
    "undo": "{tool: erp.back, args: {id: args.id}}",
    "idempotency": "{argument: key, keeps: 30d}",
    "look_up": "{tool: erp.get, args: {k: key}, found: result.ok, settles_after: 2s}",
}
SWEEP = "{tool: erp.get, args: {since: since}, items: result.rows, key: item.k}"
KEYS: dict[str, list[tuple[str, str, str]]] = {  # key of a write: good, bad, what is found
    "name": [("server_own", "[a]", "page.type")],
    "effect": [("write", "wrote", "page.type")],
    "risk": [("B", "E", "page.type"), ("D", "c", "page.type")],
    "reversibility": [
        ("reversible", "maybe", "page.type"),
        ("reversible", "manual", "contract.no_reversal_note"),
        ("reversible", "irreversible", "contract.no_meaning"),
    ],
    "reversal_note": [("who does what", "7", "page.type")],
    "schema_digest": [("sha256:" + "a" * 64, "sha256:abc", "contract.digest")],
    "resource": [
        ("\"'v/' + args.v\"", "v/7/", "page.expression"),
        ("args.v", "key", "page.expression"),
        ("args.v", "size(args.v)", "page.expression"),
        ("args.v", "preview.v", "page.expression"),
    ],
    "idempotency": [
        ("{argument: key, keeps: 30d}", "{argument: key}", "contract.keeps"),
        ("{argument: key, keeps: 30d}", "{argument: key, natural_key: [args.a], keeps: 1d}", "contract.idempotency"),
        ("{argument: key, keeps: 4h}", "{argument: key, keeps: 4 hours}", "page.type"),
        ("{argument: key, keeps: 4h}", "{argument: key, keeps: 1s}", "page.range"),
        ("{argument: key, keeps: 4h}", "{keeps: 4h}", "contract.idempotency"),
        ("{argument: key, keeps: 4h}", "{natural_key: []}", "page.type"),
        ("{argument: key, keeps: 4h}", "{natural_key: [args.a], keeps: 4h}", "contract.no_meaning"),
    ],
    "not_done": [("[vendor_unknown]", "vendor_unknown", "page.type")],
    "preview": [
        ("{tool: erp.get, args: {a: args.a}, ignore: [id]}", "{tool: erp.back}", "contract.effect"),
        ("{tool: erp.get}", "{tool: erp.gett}", "contract.unknown_tool"),
        ("{tool: erp.get}", "{tool: erp.get, read: erp.get}", "contract.preview"),
        ("{tool: erp.get}", "{args: {}}", "contract.preview"),
        ("{read: erp.get, after: {a: args.a}}", "{read: erp.get}", "contract.preview"),
        ("{read: erp.get, after: {a: result.a}}", "{tool: erp.get, after: {a: args.a}}", "contract.no_meaning"),
        ("{tool: erp.get}", "{tool: erp.get, args: {a: key}}", "page.expression"),
        ("{tool: erp.get}", "{tool: erp.get, args: [a]}", "page.type"),
    ],
    "precondition": [
        ("{argument: v, value: args.v}", "{argument: v}", "page.missing_key"),
        ("{argument: v, value: args.v}", "{argument: v, value: preview.v}", "page.expression"),
    ],
    "look_up": [
        (WRITE["look_up"], "{tool: erp.get, found: result.ok}", "page.missing_key"),
        (WRITE["look_up"], "{tool: erp.back, found: result.ok, settles_after: 2s}", "contract.effect"),
        (WRITE["look_up"], "{tool: erp.get, found: \"'yes'\", settles_after: 2s}", "page.expression"),
        (WRITE["look_up"], "{tool: erp.get, found: result.ok, settles_after: 99999d}", "page.range"),
        (WRITE["look_up"], "{tool: erp.get, found: result.ok, settles_after: 2s, fond: 1}", "page.unknown_key"),
        (
            WRITE["look_up"],
            "{tool: erp.get, args: {k: preview.x}, found: result.ok, settles_after: 2s}",
            "page.expression",
        ),
    ],
    "undo": [
        (WRITE["undo"], "{tool: erp.get, args: {}}", "contract.effect"),
        (WRITE["undo"], "{tool: erp.write, args: {}}", "contract.effect"),
        (WRITE["undo"], "{tool: erp.nope, args: {}}", "contract.unknown_tool"),
        (WRITE["undo"], "{tool: erp.back}", "page.missing_key"),
        (
            "{tool: erp.back, args: {id: result.id}, check: {read: erp.get, unchanged: [status]}}",
            "{tool: erp.back, args: {}, check: {read: erp.back, unchanged: [status]}}",
            "contract.effect",
        ),
        (WRITE["undo"], "{tool: erp.back, args: {}, check: {read: erp.get, unchanged: []}}", "page.type"),
        (WRITE["undo"], "{tool: erp.back, args: {}, check: {read: erp.get}}", "page.missing_key"),
    ],
    "sweep": [
        (SWEEP, "{tool: erp.get, items: result.rows}", "page.missing_key"),
        (SWEEP, "{tool: erp.back, items: result.rows, key: item.k}", "contract.effect"),
        (SWEEP, "{tool: erp.nope, items: result.rows, key: item.k}", "contract.unknown_tool"),
        (SWEEP, "{tool: erp.get, items: \"'none'\", key: item.k}", "page.expression"),
        (SWEEP, "{tool: erp.get, items: result.rows, key: args.k}", "page.expression"),
        (SWEEP, "{tool: erp.get, args: {since: key}, items: result.rows, key: item.k}", "page.expression"),
    ],
    "output": [
        ("{trust: trusted}", "{trust: yes}", "page.type"),
        ("{trust: {a: trusted}}", "{trust: {a: maybe}}", "page.type"),
        ("{trust: untrusted}", "trusted", "page.type"),
    ],
    "subject": [("\"'v/' + args.v\"", "result.id", "page.expression")],
    "cost": [
        ("{usd: 0.002}", "{usd: 0.0000001}", "page.money"),
        ("{usd: 0}", "{usd: -1}", "page.money"),
        ("{usd: 0.002}", "0.002", "page.type"),
    ],
    "timeout": [("10s", "10", "page.type"), ("500ms", "2h", "page.range")],
}


def page_with(key: str, value: str) -> str:
    keys = {"effect": "write", **WRITE, key: value}
    return (
        HEAD
        + "  erp.write:\n"
        + "".join(f"    {name}: {said}\n" for name, said in keys.items() if name != key)
        + (f"    {key}: {value}\n")
    )


@pytest.mark.parametrize(("key", "case"), [(key, case) for key, cases in KEYS.items() for case in cases])
def test_each_key_takes_its_good_value_and_names_what_is_bad(key: str, case: tuple[str, str, str]) -> None:
    good, bad, code = case
    loaded(page_with(key, good))
    text = page_with(key, bad)
    contract, findings = load_contract(text, "erp.yaml")
    assert contract is None
    wrong = [finding for finding in findings if finding.code == code]
    assert wrong and wrong[0].severity is Severity.ERROR
    if "irreversible" not in bad:  # that one clashes with the `undo` above it
        assert wrong[0].line in (text.count("\n"), text.count("\n", 0, text.index("erp.write:\n")) + 2)
    assert all(finding.what and finding.why and finding.fix for finding in findings)


def test_every_documented_key_has_a_good_and_a_bad_example() -> None:
    assert set(KEYS) == set(DOCUMENTED)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('{mcp: {command: ["erp", "--fast", "--fast"]}}', "{mcp: {command: erp}}"),
        ('{mcp: {command: ["erp"], env: [ERP_TOKEN]}}', '{mcp: {command: ["erp"], env: ["ERP_TOKEN=hunter2"]}}'),
        ("{mcp: {url: https://erp.test/mcp}}", "{mcp: {url: ftp://erp.test}}"),
        ("{mcp: {url: http://localhost:8080/mcp}}", "{mcp: {url: https://me:secret@erp.test}}"),
        ("{http: {base_url: https://erp.test/api}}", "{http: {base_url: https://erp.test/?token=1}}"),
        ("{http: {base_url: https://erp.test}}", "{http: {}}"),
        ("{python: pkg.module}", "{python: pkg/module.py}"),
        ("{python: m}", "{python: m, http: {base_url: https://erp.test}}"),
        ("{python: m}", "{}"),
        ("{python: m}", "{mcp: {}}"),
        ("{python: m}", '{mcp: {url: "https://erp.test", env: [A]}}'),
        ("{python: m}", "{grpc: x}"),
        ("{python: m}", "erp"),
    ],
)
def test_a_server_is_reached_in_one_way_and_no_secret_stands_in_a_file(good: str, bad: str) -> None:
    text = "format: 1\nserver: {}\ntools: {{a.b: {{effect: read}}}}\n"
    loaded(text.format(good))
    findings = found(text.format(bad))
    assert [f.line for f in findings if f.severity is Severity.ERROR][:1] == [2]
    assert not any(secret in str(finding) for finding in findings for secret in ("hunter2", "me:secret"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("server: {python: m}\ntools: {a.b: {effect: read}}\n", "page.missing_key"),
        ("format: 2\nserver: {python: m}\ntools: {a.b: {effect: read}}\n", "page.format"),
        ("format: 1\ntools: {a.b: {effect: read}}\n", "page.missing_key"),
        ("format: 1\nserver: {python: m}\n", "page.missing_key"),
        ("format: 1\nserver: {python: m}\ntools: {}\n", "page.type"),
        ("format: 1\nserver: {python: m}\ntools: [a.b]\n", "page.type"),
        ("format: 1\nserver: {python: m}\ntools: {a.b: {}}\n", "page.missing_key"),
        ("format: 1\nserver: {python: m}\ntools: {a.b: read}\n", "page.type"),
        ("format: 1\nserver: {python: m}\ntools: {a b: {effect: read}}\n", "page.name"),
        ("format: 1\nserver: {python: m}\ntools: {a.b: {effect: read}}\nlimits: {}\n", "page.unknown_key"),
        ("[1]\n", "page.type"),
    ],
)
def test_a_file_that_describes_nothing_does_not_load(text: str, code: str) -> None:
    assert load_contract(text, "erp.yaml")[0] is None and code in errors(text)


def test_an_expression_that_does_not_compile_is_found_at_its_very_column() -> None:
    plain = HEAD + "  a.b: {effect: read, resource: args.a + bogus}\n"
    [finding] = [f for f in found(plain) if f.code == "page.expression"]
    assert plain.split("\n")[finding.line - 1][finding.column - 1 :].startswith("bogus}")
    quoted = HEAD + "  a.b: {effect: read, resource: \"'é/' + bogus\"}\n"
    [finding] = [f for f in found(quoted) if f.code == "page.expression"]
    assert quoted.split("\n")[finding.line - 1][finding.column - 1 :].startswith("bogus")
    block = HEAD + "  a.b:\n    effect: read\n    resource: |\n      args.a +\n      args.b + bogus\n"
    [finding] = [f for f in found(block) if f.code == "page.expression"]
    assert block.split("\n")[finding.line - 1][finding.column - 1 :].startswith("bogus")


@pytest.mark.parametrize("effect", ["read", "egress"])
@pytest.mark.parametrize("key", ["idempotency", "not_done", "look_up", "undo", "reversibility", "precondition"])
def test_what_only_a_write_has_is_refused_elsewhere(effect: str, key: str) -> None:
    value = {"not_done": "[x]", "precondition": "{argument: a, value: args.a}"}.get(key) or WRITE[key]
    assert "contract.no_meaning" in errors(HEAD + f"  a.b: {{effect: {effect}, {key}: {value}}}\n")


def test_a_reversible_write_without_undo_is_an_error() -> None:
    assert errors(HEAD + "  a.b: {effect: write, reversibility: reversible}\n") == ["contract.no_undo"]


def test_a_key_may_be_named_only_where_one_is_put_in() -> None:
    text = page_with("idempotency", "{natural_key: [args.a]}")
    assert errors(text) == ["page.expression"]
    assert errors(text.replace("args: {k: key}", "args: {k: args.k}")) == []


def test_two_contracts_for_one_tool_of_the_server_are_an_error() -> None:
    assert errors(HEAD + "  a.mild: {name: erp.back, effect: read}\n") == ["contract.same_tool"]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("", "contract.no_way_back"),
        ("reversibility: irreversible, reversal_note: x", "contract.no_look_up"),
        ("look_up: {tool: erp.get, found: 'true', settles_after: 2s}", "contract.no_key"),
        (
            "idempotency: {argument: k, keeps: 1m}, look_up: {tool: erp.get, found: 'true', settles_after: 2m}",
            "contract.keeps",
        ),
    ],
)
def test_a_write_whose_doubt_no_machine_can_settle_is_a_warning(keys: str, code: str) -> None:
    text = HEAD + f"  a.b: {{effect: write{', ' if keys else ''}{keys}}}\n"
    assert errors(text) == [] and code in warnings(text)


DESCRIBED = {
    "erp.get": ToolDescription(
        "erp.get",
        "",
        {"type": "object", "properties": {"id": {"type": "string"}}, "additionalProperties": False},
        {"type": "object", "properties": {"ok": {"type": "boolean"}, "id": {"type": "string"}}, "required": ["ok"]},
    ),
    "erp.write": ToolDescription(
        "erp.write",
        "",
        {
            "type": "object",
            "properties": {"v": {"type": "string"}, "n": {"type": "integer"}, "key": {"type": "string"}},
            "required": ["v", "n", "key"],
        },
        {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    ),
}


@pytest.mark.parametrize(
    ("key", "value", "column"),
    [
        ("resource", "args.w", 15),
        ("resource", "args.v + args.n", 22),
        ("resource", "args.key", 15),
        ("look_up", "{tool: erp.get, args: {idd: key}, found: result.ok, settles_after: 2s}", 37),
        ("look_up", "{tool: erp.get, args: {id: key}, found: result.id2 != '', settles_after: 2s}", 54),
        ("idempotency", "{argument: ky, keeps: 1d}", 29),
    ],
)
def test_with_the_schemas_a_misspelt_field_is_found_when_loading(key: str, value: str, column: int) -> None:
    good = page_with("resource", "args.v").replace("{k: key}", "{id: key}").replace("{id: args.id}", "{id: args.v}")
    loaded(good, descriptions=DESCRIBED)
    bad = page_with(key, value).replace("{k: key}", "{id: key}").replace("{id: args.id}", "{id: args.v}")
    wrong = [f for f in found(bad, descriptions=DESCRIBED) if f.severity is Severity.ERROR]
    assert [(f.line, f.column) for f in wrong] == [(bad.count("\n"), column)]


def test_the_digest_of_a_tool_covers_what_it_says_and_not_its_hints() -> None:
    base = ToolDescription("a", "says", {"type": "object", "maximum": 2**63 - 1}, {"type": "object"})
    assert schema_digest(base).startswith("sha256:") and len(schema_digest(base)) == 71
    hinted = ToolDescription("a", "says", {"maximum": 2**63 - 1, "type": "object"}, {"type": "object"}, "T", {"x": 1})
    assert schema_digest(hinted) == schema_digest(base)
    others = [
        ToolDescription("b", "says", base.input_schema, base.output_schema),
        ToolDescription("a", "said", base.input_schema, base.output_schema),
        ToolDescription("a", "says", {"type": "object", "maximum": 2**63 - 2}, base.output_schema),
        ToolDescription("a", "says", {"type": "object", "maximum": str(2**63 - 1)}, base.output_schema),
        ToolDescription("a", "says", base.input_schema, None),
    ]
    assert len({schema_digest(other) for other in [base, *others]}) == 6


def test_the_digest_is_over_canonical_json() -> None:
    described = ToolDescription("é", "x", {"b": 1.0, "a": [True, None]}, None)
    body = '{"description":"x","input_schema":{"a":[true,null],"b":1},"name":"é","output_schema":null}'
    assert schema_digest(described) == digest(body.encode())


@pytest.mark.parametrize("schema", [{"x": float("nan")}, {"x": {1}}, {1: "x"}, {"x": "\ud800"}])
def test_a_description_that_is_no_json_has_no_digest(schema: dict[Any, Any]) -> None:
    with pytest.raises(Malformed):
        schema_digest(ToolDescription("a", "x", schema, None))
