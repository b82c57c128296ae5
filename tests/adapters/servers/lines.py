# SPDX-License-Identifier: Apache-2.0
"""A small tool server over stdio, written against the protocol alone, that can be told to misbehave.

Run as a script: `lines.py DIRECTORY`. Each write adds a line to `DIRECTORY/writes`. It handles calls side by side,
and speaks the handshake era only.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
OUT = threading.Lock()
TOOLS: list[dict[str, Any]] = [
    {"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object"}}
    for name in ("write", "slow_write", "odd", "fail", "die", "huge", "deep", "nan", "garbage", "mute", "env", "kinds")
]
TOOLS[0]["outputSchema"] = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
TOOLS[0]["annotations"] = {"readOnlyHint": True}


def answer(number: Any, **body: Any) -> None:
    raw(json.dumps({"jsonrpc": "2.0", "id": number, **body}))


def raw(text: str) -> None:
    with OUT:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def result(number: Any, content: Any = None, **more: Any) -> None:
    answer(number, result={"content": content if content is not None else [], **more})


def text(said: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": said}]


def note(what: str) -> None:
    with (HERE / "writes").open("a") as out:
        out.write(what + "\n")


def call(number: Any, name: str, args: dict[str, Any]) -> None:
    match name:
        case "write":
            note(str(args.get("tag")))
            result(number, structuredContent={"tag": args.get("tag"), "args": args})  # breaks its own output schema
        case "slow_write":
            time.sleep(args.get("seconds", 0.3))
            note(str(args.get("tag")))
            result(number, text("done"))
        case "odd":
            result(number, text("see here"), structuredContent=["not", "an", "object"])
        case "kinds":
            result(number, text('{"from": "text"}'))
        case "fail":
            where = args.get("where")
            error = {"error": {"code": "period_closed", "message": "July is closed."}}
            if where == "structured":
                result(number, structuredContent=error, isError=True)
            elif where == "text":
                result(number, text(json.dumps(error)), isError=True)
            elif where == "plain":
                result(number, text("It did not work."), isError=True)
            else:
                answer(number, error={"code": -32602, "message": "No such argument."})
        case "die":
            note("died")
            os.kill(os.getpid(), 9)
        case "huge":
            result(number, structuredContent={"text": "x" * args["bytes"]})
        case "deep":
            answer(number, result={"content": [], "structuredContent": json.loads('{"a":' * 40 + "1" + "}" * 40)})
        case "nan":
            result(number, structuredContent={"n": float("nan")})
        case "garbage":
            raw(json.dumps({"jsonrpc": "2.0", "id": number, "result": {"content": []}})[:-4])
        case "mute":
            note("mute")
        case "env":
            result(number, structuredContent={"env": dict(os.environ), "cwd": str(Path.cwd()), "pid": os.getpid()})
        case _:
            answer(number, error={"code": -32601, "message": "Unknown tool."})


def main() -> None:
    sys.stderr.write("starting with a secret-looking line\n")
    sys.stderr.flush()
    for line in sys.stdin:
        message = json.loads(line)
        number, params = message.get("id"), message.get("params", {})
        match message.get("method"):
            case "initialize":
                info = {"name": "lines", "version": "1"}
                answer(
                    number,
                    result={"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info},
                )
            case "tools/list":
                first = int(params.get("cursor") or 0)
                page: dict[str, Any] = {"tools": TOOLS[first : first + 5]}
                if first + 5 < len(TOOLS):
                    page["nextCursor"] = str(first + 5)
                answer(number, result=page)
            case "tools/call":
                threading.Thread(target=call, args=(number, params["name"], params["arguments"]), daemon=True).start()
            case "notifications/cancelled":
                note("cancelled")
            case str() if number is not None:
                answer(number, error={"code": -32601, "message": "Method not found."})
    note("input ended")


if __name__ == "__main__":
    main()
