# SPDX-License-Identifier: Apache-2.0
"""What the demo says while it runs: progress, each decision and why, and a table at the end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from signoff.core.money import dollars
from signoff.surfaces.cli.demo.counting import Counts, Story
from signoff.surfaces.cli.demo.stage import Stage

COLOURS = {"succeeded": "green", "reversed": "cyan", "rejected": "yellow", "skipped": "dim"}


def opening(console: Console, folder: Path, count: int, *, is_wide: bool) -> None:
    what = (
        f"{count} documents, three agents at once (honest, clumsy, compromised); routine goes, the rest asks"
        if is_wide
        else f"{count} documents, one agent, and a person's word before every write"
    )
    console.print(f"[bold]Signoff demo[/]: {what}.")
    console.print(f"[dim]Everything is kept in {escape(str(folder))}. Starting a server ...[/]")


def ready(console: Console, url: str) -> None:
    console.print(f"[dim]Signoff serves {url}; behind it the sample ERP, a real MCP server with its own books.[/]\n")


def document(console: Console, number: int, count: int, name: str) -> None:
    console.print(f"[bold]{number}/{count}[/] {escape(name)}")


def opened(console: Console, who: str, tiers: Sequence[Mapping[str, Any]]) -> None:
    for tier in tiers:
        rules = ", ".join(str(rule["id"]) for rule in tier["rules"])
        console.print(
            f"{escape(who)} opens the tier [bold]{escape(tier['name'])}[/]: what {escape(rules)} allows goes."
        )


def intake(console: Console, count: int, tasks: Mapping[str, int]) -> None:
    shared = ", ".join(f"{number} for the {agent} agent" for agent, number in tasks.items())
    console.print(f"{count} documents came in; {sum(tasks.values())} are tasks: {shared}.\n")


def progress(console: Console, done: int, count: int, story: Story) -> None:
    console.print(
        f"[dim]{done:3}/{count}[/] [{_colour(story.state)}]{story.state:10}[/] {escape(story.file)} "
        f"[dim]({story.agent})[/]: {escape(story.reason)}"
    )


def decided(console: Console, said: Mapping[str, Any]) -> None:
    who, decision = escape(str(said.get("person", ""))), said.get("decision")
    if decision is None:
        return
    mark = "[green]approved[/]" if decision == "approve" else "[yellow]rejected[/]"
    console.print(f"    {who} {mark}: {escape(str(said.get('reason', '')))}")


def ended(console: Console, story: Story) -> None:
    console.print(f"    [{_colour(story.state)}]{story.state}[/]: {escape(story.reason)}\n")


def taking_back(console: Console, name: str, file: str) -> None:
    console.print(f"{escape(name)} takes back {escape(file)}: an undo is a governed write of its own.\n")


def refused(console: Console, why: str) -> None:
    console.print(f"    [red]{escape(why)}[/]")


def artifact(console: Console, action: Mapping[str, Any]) -> None:
    """Show what would change, as an approver sees it."""
    preview = action.get("preview") or {}
    table = Table(title=f"{action['tool']} would change", title_justify="left", show_edge=False, pad_edge=False)
    for heading in ("what", "before", "after"):
        table.add_column(heading, overflow="fold")
    for change in preview.get("changes", ()):
        table.add_row(escape(change["path"]), escape(_shown(change["before"])), escape(_shown(change["after"])))
    console.print(table)
    asked = [check for check in action["decision"]["checks"] if check["outcome"] != "pass"]
    for check in asked:
        console.print(f"    [dim]{check['outcome']}: {escape(check['detail'] or check['reason'])}[/]")
    console.print("    [dim]It can be undone afterwards, as long as the entry has not changed.[/]")


def table(console: Console, counts: Counts) -> None:
    """Tell what became of each document and what was counted."""
    found = Table(title="What happened, and why", title_justify="left", show_lines=False)
    for heading in ("document", "state", "why"):
        found.add_column(heading, overflow="fold")
    for story in counts.documents:
        found.add_row(escape(story.file), f"[{_colour(story.state)}]{story.state}[/]", escape(story.reason))
    console.print(found)
    if sum(story.attempts for story in counts.documents):
        _cost(console, counts)
    approvals, zero = counts.approvals, "[green]0[/]"
    console.print(
        f"approvals: {approvals['asked']} asked, {approvals['approved']} approved, {approvals['rejected']} rejected, "
        f"{approvals['pending']} waiting; {counts.posted} posted, {counts.undone} taken back"
    )
    harm = {
        "double writes": counts.books["double_writes"],
        "writes without a receipt": counts.unrecorded,
        "effects an attacker asked for": counts.books["attacker_effects"],
    }
    told = ", ".join(f"{zero if not number else f'[red]{number}[/]'} {name}" for name, number in harm.items())
    console.print(f"counted in the ERP's own database: {told}")
    console.print(
        f"receipts: {counts.issued} issued, {counts.verified} verified offline; ledger: {counts.entries} entries, "
        f"{'verified' if counts.is_ledger_verified else '[red]not verified[/]'}; "
        f"spent USD {dollars(counts.settled)} of tool costs, at most {dollars(counts.cap)} a task"
    )
    _wrong(console, counts)


def _wrong(console: Console, counts: Counts) -> None:
    """Tell what should not be, where anything is."""
    for finding in counts.ledger_findings[:5]:
        console.print(f"[red]ledger:[/] {escape(str(dict(finding)))}")
    for effect in (counts.books["details"]["attacker_effects"] + counts.books["details"]["double_writes"])[:5]:
        console.print(f"[red]books:[/] {escape(str(dict(effect)))}")


def _cost(console: Console, counts: Counts) -> None:
    """Tell what went by itself, and how many approvals the rest cost."""
    tasks = [story for story in counts.documents if story.state != "skipped"]
    alone = sum(
        story.action_id != "" and story.state in ("succeeded", "reversed") and not story.votes for story in tasks
    )
    asked = counts.approvals["asked"]
    console.print(
        f"[bold]{alone} of {len(tasks)} tasks went by themselves[/]; people were asked {asked} times, "
        f"{asked / len(tasks):.2f} a task, and two of them had to agree on {sum(story.votes > 1 for story in tasks)}"
    )
    attempts = sum(story.attempts for story in tasks)
    console.print(f"the compromised agent made {attempts} calls because a text told it to, or worse")


def look_around(console: Console, set_: Stage) -> None:
    """Tell where to look, and how to end."""
    console.print(
        f"\n[bold]Look around:[/] {set_.url}/   sign in with the key in {escape(str(set_.data / 'admin.key'))}"
    )
    key, receipts = set_.data / "demo" / "signoff.keys", set_.data / "demo" / "receipts"
    console.print(
        f"[dim]Verify a receipt offline:[/] signoff verify {escape(str(receipts))}/ID.json --key {escape(str(key))}"
    )
    console.print("[dim]The server stays up until you press Ctrl-C.[/]")


def _colour(state: str) -> str:
    return COLOURS.get(state, "red" if state in ("denied", "failed", "needs_person") else "blue")


def _shown(value: object) -> str:
    return "" if value is None else str(value)
