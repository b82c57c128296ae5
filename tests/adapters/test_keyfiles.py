# SPDX-License-Identifier: Apache-2.0
"""Keys lie in files that only their owner can read, and nothing bent, lost or exposed is used."""

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signoff.adapters.keyfiles import PURPOSES, KeyFiles, KeyPurpose, StoredKey
from signoff.core.errors import Conflict, Corrupt, Misuse, NotFound, SignoffError, Unavailable
from signoff.ledger.checkpoint import log_key_name, parse_keys, receipt_key_name

NAME = "signoff.acme.test"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def everything(keys: KeyFiles) -> dict[KeyPurpose, tuple[StoredKey, tuple[StoredKey, ...]]]:
    return {purpose: (keys.active(purpose), keys.keys(purpose)) for purpose in PURPOSES}


def bend(path: Path, **members: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **members}))


@pytest.fixture(params=[0o000, 0o022, 0o377])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_directory_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    keys = KeyFiles.create_or_open(tmp_path / "keys", NAME)
    keys.rotate("log")
    assert mode(keys.directory) == 0o700
    files = sorted(path.name for path in keys.directory.iterdir())
    assert files == [
        "active.json",
        "log-0001.json",
        "log-0002.json",
        "payload-0001.json",
        "receipt-0001.json",
        "token-0001.json",
    ]
    assert {mode(keys.directory / file) for file in files} == {0o600}


def test_what_was_created_is_what_is_opened(directory: Path) -> None:
    created = KeyFiles.create_or_open(directory, NAME)
    assert everything(KeyFiles.create_or_open(directory, NAME)) == everything(created)
    assert everything(KeyFiles.open(directory, NAME)) == everything(created)
    assert len({created.active(purpose).secret for purpose in PURPOSES}) == len(PURPOSES)


def test_opening_what_was_never_made_makes_nothing(directory: Path) -> None:
    with pytest.raises(NotFound):
        KeyFiles.open(directory, NAME)
    assert not directory.exists()


def test_the_exported_verifier_keys_are_all_log_and_receipt_keys_and_no_secret(directory: Path) -> None:
    keys = KeyFiles.create_or_open(directory, NAME)
    keys.rotate("log")
    lines = keys.verifier_keys().splitlines(keepends=True)
    assert all(line.endswith("\n") for line in lines)
    seen = []
    for line in lines:
        name, digest, key = line.rstrip("\n").split("+", 2)
        raw = base64.b64decode(key, validate=True)
        assert raw[:1] == b"\x01"
        assert hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8] == digest
        seen.append((f"{name}+{digest}", raw[1:]))
    assert seen == [(key.key_id, key.public) for key in (*keys.keys("log"), *keys.keys("receipt"))]
    assert [name.partition("+")[0] for name, _ in seen] == [f"{NAME}/log", f"{NAME}/log", f"{NAME}/receipt"]
    for purpose in PURPOSES:
        for stored in keys.keys(purpose):
            assert base64.b64encode(stored.secret).decode() not in keys.verifier_keys()


def test_the_exported_file_is_one_that_verification_reads(directory: Path) -> None:
    keys = KeyFiles.create_or_open(directory, NAME)
    old, new = keys.active("log"), keys.rotate("log")
    read = parse_keys(keys.verifier_keys({old.key_id: (0, 40), new.key_id: (41, None)}))
    assert [(key.id, key.public, key.first_size, key.last_size) for key in read] == [
        (old.key_id, old.public, 0, 40),
        (new.key_id, new.public, 41, None),
        (keys.active("receipt").key_id, keys.active("receipt").public, 0, None),
    ]
    origin = f"{NAME}/tenant/1"
    assert {key.name for key in read} == {log_key_name(origin), receipt_key_name(origin)}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_rotation_uses_the_new_key_and_keeps_the_old_one(directory: Path, purpose: KeyPurpose) -> None:
    keys = KeyFiles.create_or_open(directory, NAME)
    old = keys.active(purpose)
    new = keys.rotate(purpose)
    assert new.secret != old.secret
    for seen in (keys, KeyFiles.open(directory, NAME)):
        assert seen.active(purpose) == new
        assert seen.keys(purpose) == (old, new)
        assert [len(seen.keys(other)) for other in PURPOSES if other != purpose] == [1, 1, 1]


def test_a_prepared_key_waits_until_it_is_activated(directory: Path) -> None:
    """So that its adding is recorded under the key before."""
    keys = KeyFiles.create_or_open(directory, NAME)
    old = keys.active("log")
    new = keys.prepare("log")
    assert keys.active("log") == old
    assert KeyFiles.open(directory, NAME).active("log") == old
    assert new.key_id in keys.verifier_keys()
    keys.activate(new.key_id)
    assert KeyFiles.open(directory, NAME).active("log") == new
    with pytest.raises(NotFound):
        keys.activate(f"{NAME}/log+00000000")


def test_a_key_file_is_never_written_over(directory: Path) -> None:
    """Two processes that both think they own the directory cannot take each other's key away."""
    first, second = KeyFiles.create_or_open(directory, NAME), KeyFiles.create_or_open(directory, NAME)
    made = first.rotate("payload")
    with pytest.raises(Unavailable):
        second.rotate("payload")
    assert KeyFiles.open(directory, NAME).active("payload") == made
    assert not list(directory.glob(".*"))


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o701, 0o710])
def test_a_directory_open_to_others_is_refused(directory: Path, bits: int) -> None:
    KeyFiles.create_or_open(directory, NAME)
    directory.chmod(bits)
    for way in (KeyFiles.open, KeyFiles.create_or_open):
        with pytest.raises(Misuse, match="chmod 700") as caught:
            way(directory, NAME)
        assert caught.value.code == "keys.exposed"


def test_an_empty_directory_open_to_others_gets_no_keys(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    with pytest.raises(Misuse, match="chmod 700"):
        KeyFiles.create_or_open(directory, NAME)
    assert not list(directory.iterdir())


@pytest.mark.parametrize("file", ["active.json", "log-0001.json", "payload-0001.json", "token-0001.json"])
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620])
def test_a_file_open_to_others_is_refused(directory: Path, file: str, bits: int) -> None:
    KeyFiles.create_or_open(directory, NAME)
    (directory / file).chmod(bits)
    with pytest.raises(Misuse, match="chmod 600"):
        KeyFiles.create_or_open(directory, NAME)


def test_what_another_user_owns_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeyFiles.create_or_open(directory, NAME)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(Misuse, match=f"owned by user {me}"):
        KeyFiles.open(directory, NAME)


@pytest.mark.parametrize("file", ["active.json", "token-0001.json"])
def test_links_are_not_followed(directory: Path, tmp_path: Path, file: str) -> None:
    KeyFiles.create_or_open(directory, NAME)
    (directory / file).rename(tmp_path / "elsewhere")
    (directory / file).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misuse, match="links are not followed"):
        KeyFiles.open(directory, NAME)


def test_a_linked_directory_is_not_used(directory: Path, tmp_path: Path) -> None:
    KeyFiles.create_or_open(directory, NAME)
    (tmp_path / "link").symlink_to(directory)
    with pytest.raises(Misuse, match="links are not followed"):
        KeyFiles.create_or_open(tmp_path / "link", NAME)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_an_altered_key_is_noticed(directory: Path, purpose: KeyPurpose) -> None:
    keys = KeyFiles.create_or_open(directory, NAME)
    path = directory / f"{purpose}-0001.json"
    whole = path.read_text()
    secret = keys.active(purpose).secret
    others = ("log", "token", "payload", "receipt")
    for members in (
        {"secret": base64.b64encode(bytes([secret[0] ^ 1]) + secret[1:]).decode()},
        {"secret": base64.b64encode(secret[:31]).decode()},
        {"secret": base64.b64encode(secret).decode() + "\n"},
        {"secret": None},
        {"id": f"{NAME}/{purpose}+00000000"},
        {"purpose": next(other for other in others if other != purpose)},
        {"algorithm": "RSA"},
        {"more": 1},
        {"format": 2},
    ):
        bend(path, **members)
        with pytest.raises(Corrupt) as caught:
            KeyFiles.create_or_open(directory, NAME)
        assert base64.b64encode(secret).decode()[:12] not in str(caught.value)
        path.write_text(whole)
    for text in ("", "{", "[]", whole[:-10]):
        path.write_text(text)
        with pytest.raises(Corrupt) as caught:
            KeyFiles.open(directory, NAME)
        assert caught.value.__cause__ is None
        path.write_text(whole)
    assert everything(KeyFiles.open(directory, NAME)) == everything(keys)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_lost_key_is_never_made_anew(directory: Path, purpose: KeyPurpose) -> None:
    KeyFiles.create_or_open(directory, NAME)
    (directory / f"{purpose}-0001.json").unlink()
    with pytest.raises(Corrupt, match="never made anew"):
        KeyFiles.create_or_open(directory, NAME)
    assert not (directory / f"{purpose}-0001.json").exists()


def test_which_key_is_active_is_never_guessed(directory: Path) -> None:
    keys = KeyFiles.create_or_open(directory, NAME)
    keys.rotate("receipt")
    (directory / "active.json").unlink()
    with pytest.raises(Corrupt, match="which receipt key is active"):
        KeyFiles.create_or_open(directory, NAME)


def test_the_directory_of_another_installation_is_refused(directory: Path) -> None:
    KeyFiles.create_or_open(directory, NAME)
    with pytest.raises(Conflict, match="belongs to"):
        KeyFiles.create_or_open(directory, "other.test")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "ä", "/log", "x" * 97])
def test_a_name_that_no_signed_note_could_carry_is_refused(directory: Path, name: str) -> None:
    with pytest.raises(Misuse) as caught:
        KeyFiles.create_or_open(directory, name)
    assert caught.value.code == "keys.name"
    assert not directory.exists()


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_failed_first_creation_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The disk fails at each step in turn; whatever is left, the next start ends with four keys and no litter."""
    whole = getattr(os, call)
    for fails_at in range(20):
        directory = tmp_path / str(fails_at)
        seen = 0

        def failing(*args: Any, fails_at: int = fails_at, **more: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == fails_at + 1:
                raise OSError(28, "No space left on device")
            return whole(*args, **more)

        monkeypatch.setattr(os, call, failing)
        try:
            KeyFiles.create_or_open(directory, NAME)
        except Unavailable as error:
            assert "No space left" in error.why
        else:
            assert fails_at > 3
            break
        finally:
            monkeypatch.setattr(os, call, whole)
        keys = KeyFiles.create_or_open(directory, NAME)
        assert everything(KeyFiles.open(directory, NAME)) == everything(keys)
        assert len(list(directory.iterdir())) == 5
    else:
        pytest.fail("creation never came to its end")


KILLED = """
import os, sys
from pathlib import Path
from signoff.adapters.keyfiles import KeyFiles
calls, real = 0, {name: getattr(os, name) for name in ("fsync", "link", "replace", "unlink", "mkdir")}
def dying(name):
    def call(*args, **more):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os._exit(9)
        return real[name](*args, **more)
    return call
for name in real:
    setattr(os, name, dying(name))
KeyFiles.create_or_open(Path(sys.argv[1]), "signoff.acme.test").rotate("log")
"""


def test_a_process_killed_at_any_step_leaves_a_directory_that_opens(tmp_path: Path) -> None:
    for step in (1, 2, 4, 7, 13, 21, 22, 23, 24, 26, 27):
        directory = tmp_path / str(step)
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(directory), str(step)], check=False, env=environment()
        )
        assert ended.returncode == 9
        keys = KeyFiles.create_or_open(directory, NAME)
        assert not list(directory.glob(".*"))
        keys.rotate("log")
        assert KeyFiles.open(directory, NAME).active("log") == keys.keys("log")[-1]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_no_secret_shows_in_a_representation_or_an_error(directory: Path) -> None:
    keys = KeyFiles.create_or_open(directory, NAME)
    for purpose in PURPOSES:
        shown = repr(keys.active(purpose))
        assert keys.active(purpose).key_id in shown
        assert repr(keys.active(purpose).secret) not in shown
    bend(directory / "log-0001.json", id="x")
    with pytest.raises(SignoffError) as caught:
        KeyFiles.open(directory, NAME)
    assert json.loads((directory / "log-0001.json").read_text())["secret"] not in str(caught.value)
