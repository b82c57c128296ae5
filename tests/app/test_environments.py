# SPDX-License-Identifier: Apache-2.0
"""Each environment has servers of its own: what a run does in one is never done in another."""

import pytest

from signoff.core.action.lifecycle import State
from signoff.core.authority.contract import Server, load_contract
from signoff.core.authority.tool import BY_ENVIRONMENT
from signoff.core.errors import SignoffError
from signoff.ports.connector import Connector
from tests.target import Target, contract
from tests.world import World, envelope

ONE = 'server: {mcp: {command: ["book"]}}'
EACH = 'server: {environments: {sandbox: {mcp: {command: ["trial"]}}, production: {mcp: {command: ["book"]}}}}'
RULE = "{id: room, tool: book.create, when: facts.shelf.room > args.amount, then: approve}"
ASKS = "{id: any, tool: book.create, when: args.amount > 0, then: approve}"
FACTS = "facts: {shelf: {tool: book.shelf, args: {shelf: args.shelf}, max_age: 5s}}"


def text(server: str = EACH) -> str:
    assert ONE in contract()
    return contract().replace(ONE, server)


async def apart(world: World) -> Target:
    """Give the sandbox a book of its own, and publish a page that names both environments."""
    trial, connect, asked = Target(), world.node.systems._connect, set[Server]()

    def reach(server: Server) -> Connector:
        asked.add(server)
        assert server != BY_ENVIRONMENT
        return trial if server.command == ("trial",) else connect(server)

    world.node.systems._connect = reach
    await world.publish(text())
    page = envelope(
        workflow="both", mode="autonomous", asks=False, more="environments: [sandbox, production]\n" + FACTS
    )
    rules = f"  rules:\n    - {RULE}\n    - {ASKS}\n"
    await world.publish(page.replace("  approval_roles:", f"{rules}  approval_roles:"))
    return trial


async def test_a_sandbox_run_reaches_the_sandbox_alone_with_every_kind_of_call(world: World) -> None:
    trial = await apart(world)
    run = await world.begin("both")
    assert run.environment == "sandbox"
    before = len(world.target.calls)
    assert (await world.propose("book.note", {"text": "a"})).state is State.SUCCEEDED
    waiting = await world.propose()  # with facts and a preview
    done = await world.vote(waiting)
    assert done.state is State.SUCCEEDED
    reversal = await world.vote(await world.undo(done), world.cast.bob)
    assert reversal.state is State.SUCCEEDED
    trial.plan.append("lost_after")
    lost = await world.propose("book.note", {"text": "lost"})
    await world.pass_time(3)
    assert (await world.get(lost)).state is State.SUCCEEDED  # found by its look-up, there
    edited = await world.propose(args={"shelf": "b", "amount": 1})
    await world.edit(edited, {"shelf": "b", "amount": 2})
    assert len(world.target.calls) == before
    assert not world.target.written
    assert len(trial.written) == 4
    world.target.double_writes += trial.double_writes
    world.target.written.update(trial.written)  # so that the world's own check sees them


async def test_a_production_run_reaches_production_alone(world: World) -> None:
    trial = await apart(world)
    await world.begin("both", environment="production")
    assert (await world.propose("book.note", {"text": "a"})).state is State.SUCCEEDED
    assert len(world.target.written) == 1
    assert not trial.calls


async def test_a_system_that_is_not_in_an_environment_is_not_known_there(world: World) -> None:
    await apart(world)
    world.clock.advance(1)
    await world.publish(text('server: {environments: {production: {mcp: {command: ["book"]}}}}'))
    await world.begin("both")
    denied = await world.propose("book.note", {"text": "a"})
    assert (denied.state, denied.reason) == (State.DENIED, "tool_unregistered")
    assert "in sandbox" in await world.detail(denied)


async def test_what_waits_is_void_once_its_server_is_another_and_goes_nowhere(world: World) -> None:
    trial = await apart(world)
    await world.begin("both", environment="production")
    approved = await world.approved()
    world.clock.advance(1)
    swapped = EACH.replace("trial", "x").replace("book", "trial").replace('"x"', '"book"')
    await world.publish(text(swapped))
    await world.tick(1)
    after = await world.get(approved)
    assert (after.state, after.reason) == (State.VOIDED, "contract_changed")
    assert not world.target.written
    assert not trial.written


async def test_without_an_environment_nothing_is_reached(world: World) -> None:
    await apart(world)
    pages = await world.node.storage.view("default", world.node.shelf.pages)
    known = pages.tool("book.note")
    assert known is not None
    assert known[1].server == BY_ENVIRONMENT
    from signoff.wiring import connect

    with pytest.raises(SignoffError):
        connect(BY_ENVIRONMENT)


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (EACH.replace("trial", "book"), "contract.same_server"),
        ("server: {environments: {}}", "page.type"),
        ("server: {environments: [sandbox]}", "page.type"),
        ('server: {environments: {a b: {mcp: {command: ["x"]}}}}', "page.name"),
        ("server: {environments: {sandbox: {mcp: {}}}}", "contract.server"),
        ("server: {environments: {sandbox: {}}}", "contract.server"),
        ('server: {environments: {a: {mcp: {command: ["x"]}}}, mcp: {command: ["y"]}}', "page.unknown_key"),
        ('server: {environments: {a: {environments: {b: {mcp: {command: ["x"]}}}}}}', "page.unknown_key"),
        ('server: {mcp: {command: ["book"], env: {TOKEN: "s3cret value"}}}', "contract.env"),
        ('server: {mcp: {command: ["book"], env: {"TO KEN": TOKEN}}}', "contract.env"),
    ],
)
def test_what_is_wrong_with_a_server_is_found(server: str, code: str) -> None:
    found, findings = load_contract(text(server), "book.yaml")
    assert found is None
    assert code in {finding.code for finding in findings}


def test_credentials_are_named_for_each_environment_and_one_server_may_have_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from signoff import wiring

    both = ", ".join(
        f'{name}: {{mcp: {{command: ["book"], env: {{TOKEN: {name.upper()}_TOKEN}}}}}}'
        for name in ("sandbox", "production")
    )
    found, findings = load_contract(text(f"server: {{environments: {{{both}}}}}"), "book.yaml")
    assert found is not None, findings
    given: dict[str, str] = {}
    monkeypatch.setenv("SANDBOX_TOKEN", "one")
    monkeypatch.setenv("PRODUCTION_TOKEN", "two")
    monkeypatch.setattr(wiring, "stdio", lambda _, env: given.update(env))
    monkeypatch.setattr(wiring, "McpConnector", lambda _: None)
    for name, secret in (("sandbox", "one"), ("production", "two")):
        wiring.connect(found.servers[name])
        assert given == {"TOKEN": secret}
