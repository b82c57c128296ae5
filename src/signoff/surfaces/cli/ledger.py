# SPDX-License-Identifier: Apache-2.0
"""`signoff verify`, `receipt` and `ledger`: evidence, judged on this machine.

Nothing here believes a server: what it hands out is verified with keys, and keys are best taken from elsewhere. Exit 0
is true, 1 false, 2 cannot tell (contract, section 5).
"""

import base64
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.core.errors import Malformed, SignoffError
from signoff.surfaces.cli import render
from signoff.surfaces.cli.evidence import from_export, from_server, judge, key_text, keys_of, read_file
from signoff.surfaces.cli.shell import MISUSE, NO, YES, Data, Mirror, Shell

if TYPE_CHECKING:
    from signoff.app.audit import AuditReport
    from signoff.ledger.checkpoint import VerifierKey
    from signoff.ledger.fold import Report

Out = Annotated[Path | None, typer.Option("-o", "--output", help="Write here; nothing is overwritten.")]
STATE_WITHIN_S = 3600


def verify(
    shell: Shell,
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="The receipt's file.")],
    key: Annotated[Path, typer.Option(help="Verifier keys: `signoff ledger key`, from a source you trust.")],
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint you kept; the proof must hold in it.")] = None,
) -> int:
    """Judge a receipt offline: 0 included and true, 1 false, 2 cannot tell or not yet due."""
    from signoff.ledger.checkpoint import parse_keys
    from signoff.ledger.verify import verify_receipt

    keys = parse_keys(read_file(key).decode("utf-8", "replace"))
    note = None if checkpoint is None else read_file(checkpoint)
    verdict = verify_receipt(read_file(receipt), keys, note, time.time_ns() // 1000)
    predicate = verdict.statement["predicate"] if verdict.statement else {}
    known = {name: predicate.get(name) for name in _SHOWN if name in predicate}
    shell.answer(
        {
            "outcome": verdict.outcome.value,
            "what": verdict.what,
            "why": verdict.why,
            "fix": verdict.fix,
            "statement": verdict.statement,
            "index": verdict.proof.index if verdict.proof else None,
            "checkpoint": verdict.checkpoint.size if verdict.checkpoint else None,
        }
    )
    shell.line(f"{verdict.outcome.value.upper()}  {render.visible(verdict.what)}")
    shell.line(f"  why  {render.visible(verdict.why)}")
    if verdict.fix:
        shell.line(f"  fix  {render.visible(verdict.fix)}")
    if known:
        shell.table(("statement", "value"), list(known.items()))
        voters = [(one["person"], one["role"], moment(one["at"])) for one in predicate.get("voters", ())]
        if voters:
            shell.table(("approved by", "as", "at"), voters)
    return verdict.exit_code


_SHOWN = ("receipt_id", "action", "run", "workflow", "agent", "principal", "tool", "state", "digest", "envelope",
          "attempts", "cost_usd_micros", "self_approved", "reverses", "log")  # fmt: skip


def receipt(
    shell: Shell,
    receipt_id: Annotated[str, typer.Argument(metavar="ID", help="A receipt, or the action it is about.")],
    output: Out = None,
) -> int:
    """Fetch a receipt, byte for byte as it is verified."""
    from signoff.surfaces.cli.ids import action_id_of

    client = shell.client()
    if not receipt_id.startswith("rcp_"):
        document = client.get(f"/v1/actions/{action_id_of(client, receipt_id)}")
        if not document.get("receipt_id"):
            raise Malformed(
                what=f"Action {document['action_id']} has no receipt.",
                why=f"It is {document['state']}; a receipt comes with the outcome of a write that was sent.",
                fix="Fetch it once the action has succeeded or failed.",
                code="receipt.none",
            )
        receipt_id = document["receipt_id"]
    data = client.raw(f"/v1/receipts/{receipt_id}")
    if output is None:
        sys.stdout.buffer.write(data)  # exact bytes: a newline more would spoil it
        sys.stdout.flush()
        return YES
    _write_new(output, data)
    shell.answer({"receipt_id": receipt_id, "file": str(output), "bytes": len(data)})
    shell.line(f"{output}: verify it with `signoff verify {output} --key KEY`.")
    return YES


def verify_ledger(
    shell: Shell,
    data: Data = None,
    mirror: Mirror = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint or receipt you kept: finds truncation and an old backup.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Verifier keys; without, those of the installation itself.")] = None,
    export: Annotated[Path | None, typer.Option(help="Verify what `signoff ledger export` wrote.")] = None,
) -> int:
    """Verify the whole log again, and every row of state against its entries."""
    if data is not None and export is not None:
        raise Malformed("Two sources were named.", "--data and --export exclude each other.", "Give one.")
    kept = [read_file(path) for path in against or []]
    given = keys_of(read_file(key)) if key else None
    if data is not None:
        return _verify_directory(shell, data, mirror, kept, given)
    evidence = from_export(export, given) if export is not None else from_server(shell, given)
    reports, wrong = judge(evidence, kept)
    report = reports[-1]
    if given is None:
        shell.say("The keys came with the log; give --key from a source you trust to rule out that both were replaced.")
    state = _state_told(shell) if export is None and report.is_sound and not wrong else None
    return _tell(shell, reports, wrong, state)


def export_ledger(
    shell: Shell,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new directory.")],
) -> int:
    """Write the whole log to a directory: entries.jsonl, checkpoint, keys; `ledger verify --export` reads it.

    Epochs before the present one lie in directories of their own, `epoch-1` and so on.
    """
    from signoff.ledger.epochs import number_of

    evidence, count = from_server(shell, None), 0
    output.mkdir(parents=True)
    for part in evidence.parts:
        directory = output if part is evidence.parts[-1] else output / f"epoch-{number_of(part.origin)}"
        directory.mkdir(exist_ok=True)
        with (directory / "entries.jsonl").open("xb") as file:
            for _, entry in render.progress_over(iter(part.entries), part.total, "entries", sys.stderr):
                file.write(entry + b"\n")
                count += 1
        (directory / "checkpoint").write_bytes(part.note.encode())
    (output / "keys").write_text(key_text(shell))
    origin = evidence.parts[-1].origin
    shell.answer({"directory": str(output), "entries": count, "log": origin, "epoch": number_of(origin)})
    shell.line(f"{count} entries in {output}, up to epoch {number_of(origin)} of {origin}.")
    return YES


def key(shell: Shell, output: Out = None) -> int:
    """Write the verifier keys of this installation: the KEY file of `signoff verify`."""
    text = key_text(shell)
    if output is None:
        shell.answer({"keys": text.splitlines()})
        shell.line(text.rstrip("\n"))
        return YES
    _write_new(output, text.encode())
    shell.answer({"file": str(output), "keys": text.splitlines()})
    shell.line(f"{output}: hand it out by a way that a forger of receipts cannot reach.")
    return YES


def moment(at_us: int | None) -> str:
    """Return an instant of a ledger, microseconds since 1970, for people."""
    from signoff.app.action.documents import when

    return when(at_us) or "-"


def _verify_directory(
    shell: Shell, data: Path, mirror: Path | None, kept: Sequence[bytes], given: "tuple[VerifierKey, ...] | None"
) -> int:
    """Verify the log and compare every row of state with the entries that tell of it, without a server between."""
    import asyncio

    from signoff.app.audit import audit
    from signoff.app.world import TENANT
    from signoff.settings import Settings
    from signoff.surfaces.cli.offline import installation_of

    async def run() -> "AuditReport":
        settings = Settings(data=data, mirror=mirror, installation=installation_of(data))
        async with shell.doors.reading(settings) as world:
            with render.progress(sys.stderr) as tell:
                return await audit(world, TENANT, against=kept, keys=given, progress=tell)

    report = asyncio.run(run())
    first = [report.first] if report.first else []
    findings = [asdict(one) for one in (*first, *(one for one in report.findings if one != report.first))]
    shell.answer(
        {
            "sound": report.is_sound,
            "log": report.origin,
            "entries": report.entries,
            "pending": report.pending,
            "root": base64.b64encode(report.root).decode(),
            "checkpoints": report.checkpoints,
            "proved": report.proved,
            "earlier": [_earlier(*one) for one in report.earlier],
            "scope": "log and state",
            "rows": dict(report.rows),
            "receipts": report.receipts,
            "payloads": report.payloads,
            "erased": report.erased,
            "findings": findings,
            "findings_total": report.findings_total,
            "unchecked": list(report.unchecked),
        }
    )
    _show_findings(shell, findings, report.findings_total)
    before = ((origin, size, 0, "-", size) for origin, size, _ in report.earlier)
    now = report.entries - sum(size for _, size, _ in report.earlier)
    _show_log(shell, *before, (report.origin, now, report.pending, report.checkpoints, report.proved))
    shell.table(("rows of", "compared"), sorted(report.rows.items()))
    for said in report.unchecked:
        shell.say(said)
    if report.erased:
        shell.line(f"{report.erased} payloads are erased, as entries of the log tell; {report.payloads} were opened.")
    shell.line(f"{_verdict(report.is_sound)}: the log, and every row of state against its entries.")
    return YES if report.is_sound else NO


def _state_told(shell: Shell) -> dict[str, Any] | None:
    """Return what the server itself finds when it compares its rows with the log; None where it does not tell."""
    try:
        found: dict[str, Any] = shell.client().post("/v1/ledger/verify", timeout_s=STATE_WITHIN_S)
    except SignoffError as error:
        shell.say(f"Rows of state were not compared: {error.what} {error.why}")
        return None
    return found


def _show_findings(shell: Shell, findings: Sequence[Mapping[str, Any]], total: int) -> None:
    """Show findings; the first in the order of the log stands first, since it explains what follows."""
    for one in findings:
        shell.line(render.problem(_placed(one), one["why"], one["fix"]).rstrip())
    if total > len(findings):
        shell.line(f"... and {total - len(findings)} more.")


def _placed(finding: Mapping[str, Any]) -> str:
    """Return what was found, with its place in the log where one entry can be named."""
    at = f"entry {finding['index']}: " if finding["index"] is not None else ""
    return f"{at}{finding['table']}: {finding['what']}"


def _tell(
    shell: Shell, reports: "Sequence[Report]", wrong: Sequence[tuple[str, str]], state: Mapping[str, Any] | None
) -> int:
    """Tell what this machine found in the log and, where it was asked, the server in its own rows."""
    report = reports[-1]
    bad = report.bad
    found = [{"table": "entries", "index": bad.index, "what": bad.what, "why": bad.why, "fix": bad.fix}] if bad else []
    fix = "Show the receipt and this log to the operator, and keep both."
    found += [{"table": "entries", "index": None, "what": what, "why": why, "fix": fix} for what, why in wrong]
    total = len(found) + (state["findings_total"] if state else 0)
    findings = [*found, *(state["findings"] if state else ())]
    shell.answer(
        {
            "sound": not total,
            "log": report.origin,
            "entries": report.size,
            "pending": report.pending,
            "root": base64.b64encode(report.root).decode(),
            "checkpoints": report.checkpoints,
            "proved": report.proved,
            "earlier": [_earlier(one.origin, one.size, one.root) for one in reports[:-1]],
            "scope": "log, and state as the server says" if state else "log",
            "rows": state["rows"] if state else None,
            "findings": findings,
            "findings_total": total,
        }
    )
    _show_findings(shell, findings, total)
    _show_log(
        shell,
        *((one.origin, one.size, one.pending, one.checkpoints, one.proved) for one in reports),
    )
    rows = (
        f"{sum(state['rows'].values())} rows of state were compared by the server itself; --data DIR does it without it"
        if state
        else "rows of state are compared on the server's machine, with --data DIR"
    )
    shell.line(f"{_verdict(not total)}: the log, verified here; {rows}.")
    if not total and not report.checkpoints:
        shell.say("No checkpoint was there to hold the entries against: nobody has signed them.")
        return MISUSE
    return NO if total else YES


def _earlier(origin: str | None, size: int, root: bytes) -> dict[str, Any]:
    return {"log": origin, "entries": size, "root": base64.b64encode(root).decode()}


def _show_log(shell: Shell, *logs: Sequence[Any]) -> None:
    shell.table(("log", "entries", "waiting", "checkpoints", "signed up to"), logs)


def _verdict(is_sound: bool) -> str:
    return "SOUND" if is_sound else "NOT SOUND"


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
