# SPDX-License-Identifier: Apache-2.0
"""The sample company's command line: its ERP, the ERP's faults and audit, and its documents.

Imports lie in the commands, so that each starts as fast as what it needs.
"""

import argparse
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

DB_VARIABLE = "SIGNOFF_SAMPLE_ERP_DB"
YES, NO, MISUSE = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run one command; exit 0 yes, 1 no, 2 misuse. No traceback reaches the user."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return NO
    except (OSError, ValueError) as error:
        return _say(str(error))
    except Exception as error:
        import sqlite3

        from signoff_sample.erp.store import NotAnErp

        if isinstance(error, (NotAnErp, sqlite3.Error)):
            return _say(f"The database cannot be used: {error}")
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="signoff-sample", description="The sample company around Signoff.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    erp = _command(commands, "erp", _erp, "serve the ERP over MCP: stdio, or HTTP with --http")
    erp.add_argument("--http", type=int, metavar="PORT", help="serve streamable HTTP on 127.0.0.1; 0 for a free port")

    fault = _command(commands, "erp-fault", None, "set, list or clear the ERP's faults")
    fault_commands = fault.add_subparsers(required=True, metavar="set|list|clear")
    one = fault_commands.add_parser("set", help="set a fault on a tool")
    one.add_argument("tool", metavar="TOOL")
    one.add_argument("kind", metavar="KIND")
    one.add_argument("--times", type=int, metavar="N", help="how often it fires; 0 until it is cleared")
    one.add_argument("--delay", type=float, metavar="S", help="seconds")
    one.set_defaults(run=_fault_set)
    fault_commands.add_parser("list", help="what is set, and how often it fired").set_defaults(run=_fault_list)
    fault_commands.add_parser("clear", help="take every fault away").set_defaults(run=_fault_clear)

    audit = _command(commands, "erp-audit", _audit, "count what was written, in the ERP's own database")
    audit.add_argument("--json", action="store_true", help="print one JSON object")

    invoices = commands.add_parser("invoices", help="write sample documents (UBL 2.1): five, or a varied set")
    invoices.add_argument("--to", type=Path, required=True, metavar="DIR")
    invoices.add_argument("--count", type=int, metavar="N", help="so many of the varied set, which has 60; up to 200")
    invoices.add_argument("--seed", type=int, metavar="N", help="the same documents for the same seed; 0 when silent")
    invoices.set_defaults(run=_invoices)

    commands.add_parser("erp-late").set_defaults(run=_late)  # the server's own: see its fault write_after_timeout
    return parser


def _command(commands: Any, name: str, run: Any, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about)
    parser.add_argument("--db", type=Path, metavar="FILE", help=f"the ERP's database; else ${DB_VARIABLE}")
    if run:
        parser.set_defaults(run=run)
    return parser


def _db(options: argparse.Namespace) -> Path:
    path: Path | str | None = options.db or os.environ.get(DB_VARIABLE)
    if not path:
        raise ValueError(f"No database was named. Every command of the ERP needs one. Use --db FILE or {DB_VARIABLE}.")
    return Path(path)


def _say(message: str) -> int:
    print(f"signoff-sample: {message}", file=sys.stderr)
    return MISUSE


def _erp(options: argparse.Namespace) -> int:
    gc.disable()  # the imports make many objects that all stay: a sixth of the start
    import anyio

    from signoff_sample.erp.server import serve_http, serve_stdio
    from signoff_sample.erp.store import open_store

    gc.freeze()
    gc.enable()
    store = open_store(_db(options))
    try:
        if options.http is None:
            anyio.run(serve_stdio, store)
        else:
            anyio.run(serve_http, store, options.http, lambda url: print(f"ERP at {url}", flush=True))
    finally:
        store.close()
    return YES


def _fault_set(options: argparse.Namespace) -> int:
    from signoff_sample.erp import faults
    from signoff_sample.erp.store import open_store

    store = open_store(_db(options))
    fault = faults.set_fault(store, options.tool, options.kind, times=options.times, delay_s=options.delay)
    store.close()
    if fault is None:
        print(f"{options.tool}: no look-up faults")
    else:
        times = "until cleared" if fault.times_left is None else f"{fault.times_left} times"
        print(f"{fault.tool}: {fault.kind}, {times}, delay {fault.delay_s:g} s")
    return YES


def _fault_list(options: argparse.Namespace) -> int:
    from signoff_sample.erp import faults
    from signoff_sample.erp.store import open_store

    store = open_store(_db(options), create=False)
    for row in faults.listed(store):
        print(json.dumps(row))
    store.close()
    return YES


def _fault_clear(options: argparse.Namespace) -> int:
    from signoff_sample.erp import faults
    from signoff_sample.erp.store import open_store

    store = open_store(_db(options), create=False)
    print(f"{faults.clear(store)} cleared")
    store.close()
    return YES


def _audit(options: argparse.Namespace) -> int:
    from signoff_sample.erp.audit import audit

    found = audit(_db(options))
    if options.json:
        print(json.dumps(found))
    else:
        for name in ("posted", "double_writes", "attacker_effects"):
            print(f"{name:18}{found[name]}")
        print(f"{'writes':18}{len(found['writes'])}")
    return NO if found["double_writes"] or found["attacker_effects"] else YES


def _invoices(options: argparse.Namespace) -> int:
    from signoff_sample import invoices
    from signoff_sample.invoices import generate

    try:
        if options.count is None and options.seed is None:
            paths = invoices.write_to(options.to)
        else:
            paths = generate.write_to(
                options.to, generate.FULL if options.count is None else options.count, options.seed or 0
            )
    except FileExistsError as error:
        return _say(f"{error} is there with other content, and nothing is overwritten. Name another folder.")
    for path in paths:
        print(path)
    return YES


def _late(_: argparse.Namespace) -> int:
    from signoff_sample.erp.refusal import Refusal
    from signoff_sample.erp.store import MICROS, now_us, open_store
    from signoff_sample.erp.tools import TOOLS, write

    order = json.load(sys.stdin)
    time.sleep(max(0, order["not_before_us"] - now_us()) / MICROS)
    store = open_store(Path(order["db"]), create=False)
    try:
        body = write(store, TOOLS[order["tool"]], order["args"])
    except Refusal as no:
        body = no.body()
    store.close()
    print(json.dumps(body))
    return YES


if __name__ == "__main__":
    sys.exit(main())
