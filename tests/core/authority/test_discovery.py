# SPDX-License-Identifier: Apache-2.0
"""A first contract asks for everything, whatever the server says of itself."""

from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from signoff.core.authority.contract import Effect, Risk, ToolDescription, load_contract, schema_digest
from signoff.core.authority.discovery import REVERSAL_NOTE, first_contract
from signoff.core.authority.page import Severity
from signoff.core.errors import Malformed

SERVER = {"mcp": {"command": ["signoff-sample", "erp"]}}


def tool(name: str, description: str = "", **more: Any) -> ToolDescription:
    return ToolDescription(name=name, description=description, input_schema={"type": "object"}, **more)


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(StringIO(text))


def written(*tools: ToolDescription) -> Any:
    return parsed(first_contract("erp", SERVER, {each.name: each for each in tools}))


def test_every_tool_is_a_class_c_write_pinned_to_what_its_server_says() -> None:
    entry = tool("erp.create_entry", "Posts an entry.")
    assert written(entry) == {
        "format": 1,
        "server": SERVER,
        "tools": {
            "erp.create_entry": {
                "effect": "write",
                "risk": "C",
                "reversibility": "manual",
                "reversal_note": REVERSAL_NOTE,
                "schema_digest": schema_digest(entry),
            }
        },
    }


def test_a_hint_that_it_only_reads_stands_in_a_comment_and_changes_nothing() -> None:
    plain, hinted = tool("erp.find"), tool("erp.find", annotations={"readOnlyHint": True})
    assert written(hinted) == written(plain)
    text = first_contract("erp", SERVER, {"erp.find": hinted})
    assert "# The server hints that it only reads (readOnlyHint); hints are never trusted." in text
    assert "readOnlyHint" not in first_contract("erp", SERVER, {"erp.find": plain})


def test_the_servers_own_name_is_kept_where_it_is_another() -> None:
    tools = written(tool("find"), tool("crm.find"), tool("erp.find"), tool("find entry"), tool("find:entry"))["tools"]
    assert {key: entry.get("name") for key, entry in tools.items()} == {
        "erp.crm.find": "crm.find",
        "erp.find": None,
        "erp.find_2": "find",
        "erp.find_entry": "find entry",
        "erp.find:entry": "find:entry",
    }


def test_a_server_without_tools_gives_an_empty_contract() -> None:
    assert written()["tools"] == {}


def test_a_tool_that_cannot_be_pinned_is_left_out_with_the_reason() -> None:
    odd = ToolDescription("erp.odd", "", {"maximum": float("nan")})
    text = first_contract("erp", SERVER, {"erp.odd": odd})
    assert parsed(text)["tools"] == {}
    assert "# Left out, and so denied: erp.odd." in text


def test_it_loads_without_an_error_and_what_loads_asks() -> None:
    tools = [tool("erp.find", "Finds.", annotations={"readOnlyHint": True}), tool("post entry", "Posts\nan entry.")]
    tools.append(ToolDescription("pay", "", {"type": "object", "properties": {"idempotency_key": {"type": "string"}}}))
    described = {each.name: each for each in tools}
    contract, findings = load_contract(first_contract("erp", SERVER, described), "erp.yaml", described)
    assert [finding for finding in findings if finding.severity is Severity.ERROR] == []
    assert contract is not None
    assert {loaded.server_name for loaded in contract.tools.values()} == set(described)
    for loaded in contract.tools.values():
        assert (loaded.effect, loaded.risk, loaded.reversibility) == (Effect.WRITE, Risk.C, "manual")
        assert loaded.schema_digest == schema_digest(described[loaded.server_name])
        assert loaded.has_reversal_story


@pytest.mark.parametrize("system", ["", "erp.sales", "1erp", "erp: {}", "e" * 64])
def test_a_system_needs_a_plain_name(system: str) -> None:
    with pytest.raises(Malformed):
        first_contract(system, SERVER, {})


def test_a_value_that_yaml_cannot_say_is_refused() -> None:
    with pytest.raises(Malformed):
        first_contract("erp", {"mcp": {"command": object()}}, {})


HOSTILE = st.text() | st.sampled_from(
    ["x\n  erp.evil: {effect: read}", "x\u2028y", "x\x85tools: {}", "x\rformat: 2", "#"]
)


@given(st.lists(st.tuples(HOSTILE, HOSTILE), max_size=4, unique_by=lambda pair: pair[0]))
def test_no_name_or_description_of_a_server_adds_a_tool_or_lowers_a_guard(said: list[tuple[str, str]]) -> None:
    tools = {name: tool(name, description) for name, description in said}
    page = parsed(first_contract("erp", SERVER, tools))
    assert set(page) == {"format", "server", "tools"}
    assert len(page["tools"]) <= len(tools)
    for key, entry in page["tools"].items():
        assert (entry["effect"], entry["risk"], entry["reversibility"]) == ("write", "C", "manual")
        assert entry["schema_digest"] == schema_digest(tools[entry.get("name", key)])


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.lists(st.text()), max_size=4))
def test_how_the_server_is_reached_reads_back_as_it_was_given(server: dict[str, Any]) -> None:
    try:
        "".join(map(str, [*server, *server.values()])).encode()
    except UnicodeEncodeError:
        return
    assert parsed(first_contract("erp", {"mcp": server}, {}))["server"] == {"mcp": server}
