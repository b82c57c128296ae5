# SPDX-License-Identifier: Apache-2.0
"""`signoff login`, `logout`, `whoami`: which server, and in whose name."""

import getpass
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from signoff.core.errors import Malformed
from signoff.surfaces.cli import credentials
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import NO, YES, Shell


def login(
    shell: Shell,
    key_file: Annotated[
        Path | None, typer.Option(help="The file that holds the key, - for standard input; else it is asked for.")
    ] = None,
) -> int:
    """Sign in to a server: its key is tried, then kept in a file that only you can read."""
    from signoff.core.api_key import read_key

    url = credentials.checked_url(shell.url or credentials.find().url)
    if key_file is not None:
        key = credentials.read_secret(key_file)
    elif sys.stdin.isatty():
        key = getpass.getpass(f"API key for {url}: ").strip()
    else:
        raise Malformed(
            what="Nobody was signed in.",
            why="There is no terminal to ask for the key on, and keys are never taken from the command line.",
            fix="Give --key-file FILE, or --key-file - to read standard input.",
            code="cli.no_key",
        )
    read_key(key)
    who = shell.client_of(url, key).get("/v1/me")
    kept = credentials.keep(url, key)
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        shell.say(f"{url} is not encrypted: whoever is on the way can read this key. Use https:// off this machine.")
    shell.answer({"url": url, **who})
    shell.line(f"Signed in to {url} as {visible(str(who['name'] or who['id']))} ({who['kind']} {who['id']}).")
    shell.line(f"The key is kept in {kept}.")
    return YES


def logout(shell: Shell) -> int:
    """Forget the key for the present server; to void it everywhere, revoke it."""
    url = credentials.checked_url(shell.url) if shell.url else credentials.find().url
    was_known = credentials.forget(url)
    shell.answer({"url": url, "forgotten": was_known})
    shell.line(f"The key for {url} is forgotten." if was_known else f"No key for {url} was kept.")
    return YES if was_known else NO


def whoami(shell: Shell) -> int:
    """Say who you are to the server, and what your key may do."""
    found = credentials.find(shell.url)
    who = shell.client_of(found.url, found.key).get("/v1/me")
    shell.answer({"url": found.url, "key_from": found.source, **who})
    rows = [
        ("server", found.url), ("tenant", who["tenant"]), (who["kind"], who["id"]), ("name", who["name"]),
        ("roles", ", ".join(who["roles"]) or "none"), ("key from", found.source),
    ]  # fmt: skip
    shell.table(("who", "value"), rows)
    return YES
