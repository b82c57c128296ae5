# SPDX-License-Identifier: Apache-2.0
"""The command line: every command by its name; whatever a command needs is imported when it runs."""

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from signoff.surfaces.cli import (
    action,
    authority,
    check,
    clearances,
    delegations,
    doctor,
    ledger,
    operations,
    oversight,
    plan,
    recover,
    sign_in,
    subjects,
)
from signoff.surfaces.cli.shell import MISUSE, Doors, Shell, command, default_command, guarded

__all__ = ["Doors", "Shell", "run"]

BEGIN, DECIDE, OPERATE, ADMINISTER, PROVE = "Begin", "Look and decide", "Operate", "Administer", "Prove"


def run(arguments: Sequence[str], doors: Doors) -> int:
    """Run one command line and return its exit code: 0 yes, 1 no, 2 misuse or cannot tell."""
    app = _app(is_demo=next((one for one in arguments if not one.startswith("-")), "") == "demo")

    def body() -> int:
        try:
            app(args=list(arguments), prog_name="signoff", obj=doors)
        except SystemExit as done:
            return done.code if isinstance(done.code, int) else MISUSE
        return MISUSE

    return guarded(Shell(doors, is_debug="--debug" in arguments), body)


def _app(*, is_demo: bool) -> typer.Typer:
    app = typer.Typer(
        cls=_Sections,
        rich_markup_mode=None,  # rich help would cost more than everything else in it
        help="Who approved this write? Signoff stands between AI agents and the systems they change.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def group(name: str, about: str, panel: str) -> typer.Typer:
        made = typer.Typer(cls=_Sections, help=about, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.add_typer(made, name=name, rich_help_panel=panel)
        return made

    if is_demo:
        from signoff.surfaces.cli.demo import demo  # its own options, read only when it is called

        command(app, "demo", panel=BEGIN)(demo)
    else:
        command(app, "demo", panel=BEGIN)(_demo)
    for panel, name, function in (
        (BEGIN, "init", check.init),
        (BEGIN, "check", check.check),
        (BEGIN, "serve", operations.serve),
        (BEGIN, "doctor", doctor.doctor),
        (BEGIN, "login", sign_in.login),
        (BEGIN, "logout", sign_in.logout),
        (BEGIN, "whoami", sign_in.whoami),
        (DECIDE, "inbox", action.inbox),
        (DECIDE, "show", action.show),
        (DECIDE, "explain", oversight.explain),
        (DECIDE, "approve", action.approve),
        (DECIDE, "reject", action.reject),
        (DECIDE, "defer", action.defer),
        (DECIDE, "edit", action.edit),
        (DECIDE, "plan", plan.plan),
        (DECIDE, "corrections", action.corrections),
        (DECIDE, "cancel", action.cancel),
        (DECIDE, "undo", action.undo),
        (DECIDE, "resolve", action.resolve),
        (OPERATE, "halt", operations.halt),
        (OPERATE, "halts", operations.halts),
        (OPERATE, "lift", operations.lift),
        (OPERATE, "budgets", operations.budgets),
        (OPERATE, "pause", operations.pause),
        (OPERATE, "resume", operations.resume),
        (OPERATE, "sweep", oversight.sweep),
        (PROVE, "verify", ledger.verify),
        (PROVE, "receipt", ledger.receipt),
        (ADMINISTER, "token", authority.token),
    ):
        command(app, name, panel=panel)(function)
    command(app, "approvals", is_hidden=True)(action.inbox)

    runs = group("runs", "What agents are doing, and did.", DECIDE)
    default_command(runs, "list", action.runs)
    command(runs, "show")(action.show_run)
    command(runs, "timeline")(action.timeline)
    command(runs, "complete")(action.complete)

    people = group("people", "People and their roles.", ADMINISTER)
    default_command(people, "list", authority.people)
    command(people, "add")(authority.add_person)
    command(people, "roles")(authority.set_roles)
    command(people, "disable")(authority.disable_person)
    command(people, "enable")(authority.enable_person)

    agents = group("agents", "Agents and their owners.", ADMINISTER)
    default_command(agents, "list", authority.agents)
    command(agents, "add")(authority.add_agent)
    command(agents, "disable")(authority.disable_agent)
    command(agents, "enable")(authority.enable_agent)
    command(agents, "revoke-tokens")(authority.revoke_tokens)

    keys = group("keys", "API keys.", ADMINISTER)
    default_command(keys, "list", authority.keys)
    command(keys, "issue")(authority.issue_key)
    command(keys, "revoke")(authority.revoke_key)

    envelopes = group("envelopes", "What each workflow's agents may do.", ADMINISTER)
    default_command(envelopes, "list", authority.envelopes)
    command(envelopes, "publish")(authority.publish_envelopes)
    command(envelopes, "versions")(authority.versions)
    command(envelopes, "withdraw")(authority.withdraw)

    tiers = group("tiers", "What may go unattended, and who opened it.", ADMINISTER)
    command(tiers, "list")(clearances.list_tiers)
    command(tiers, "open")(clearances.open_tier)
    command(tiers, "close")(clearances.close_tier)

    reviews = group("reviews", "Class D tools, and who reviewed them.", ADMINISTER)
    command(reviews, "list")(clearances.list_reviews)
    command(reviews, "add")(clearances.add_review)
    command(reviews, "withdraw")(clearances.withdraw_review)

    tools = group("tools", "The systems' tools, and what is known of them.", ADMINISTER)
    default_command(tools, "list", authority.tools)
    command(tools, "discover")(authority.discover)
    command(tools, "publish")(authority.publish_tools)
    command(tools, "runbook")(oversight.runbook)

    given = group("delegations", "Whom people let act in their name.", ADMINISTER)
    default_command(given, "list", delegations.delegations)
    command(given, "show")(delegations.show)
    command(given, "grant")(delegations.grant)
    command(given, "revoke")(delegations.revoke)

    roles = group("roles", "What people's roles permit.", ADMINISTER)
    default_command(roles, "show", delegations.show_roles)
    command(roles, "publish")(delegations.publish_roles)

    about = group("subjects", "Whom payloads are about, and their erasure.", ADMINISTER)
    command(about, "show")(subjects.show)
    command(about, "erase")(subjects.erase)

    log = group("ledger", "The log of everything that was decided and done.", PROVE)
    command(log, "verify")(ledger.verify_ledger)
    command(log, "export")(ledger.export_ledger)
    command(log, "key")(ledger.key)
    command(log, "recover")(recover.recover)
    return app


class _Sections(TyperGroup):
    """Lists commands under the heading of what one is about to do."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each heading; lines are wrapped, never cut."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [(name, one) for name, one in found if one is not None and not one.hidden]
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, one in shown:
            panel = getattr(one, "rich_help_panel", None)
            heading = panel if isinstance(panel, str) else "Commands"
            sections.setdefault(heading, []).append((name, one.get_short_help_str(200)))
        for heading in sorted(sections, key=[BEGIN, DECIDE, OPERATE, ADMINISTER, PROVE, "Commands"].index):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


def _demo(shell: Shell) -> int:
    """Run the main job before your eyes: invoices, one agent, your approval, receipts, an undo."""
    raise AssertionError("`run` puts the demo itself in this place when it is called")
