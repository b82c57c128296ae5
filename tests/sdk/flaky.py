# SPDX-License-Identifier: Apache-2.0
"""A small real HTTP server that answers by a script, and drops connections when told; it governs nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DROP = "drop"  # take the request, and hang up instead of answering
Answer = tuple[int, Any]


@dataclass
class Seen:
    method: str
    path: str
    bearer: str
    key: str | None
    body: Any


@dataclass
class Flaky:
    """`script` says what to answer, in order; its last line stays. Tokens are issued beside it, numbered from 1."""

    script: list[Answer | str]
    life_s: int = 300
    seen: list[Seen] = field(default_factory=list)
    tokens: int = 0
    url: str = ""

    def answer(self, seen: Seen) -> Answer | str:
        if seen.path == "/v1/tokens":
            self.tokens += 1
            return 200, {"token": f"token-{self.tokens}", "expires_in_s": self.life_s}
        self.seen.append(seen)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@contextmanager
def serving(flaky: Flaky, port: int = 0) -> Iterator[Flaky]:
    """Serve on the loopback interface until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            answer = flaky.answer(Seen(self.command, self.path, bearer, self.headers.get("Idempotency-Key"), body))
            if isinstance(answer, str):
                self.close_connection = True
                return
            status, value = answer
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status in (429, 503):
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any  # the library's names

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    flaky.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield flaky
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
