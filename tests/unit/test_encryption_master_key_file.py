"""The master key file: made once, private, whole, and refused as soon as something is wrong with it."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from agentmem.errors import AgentMemError, DecryptionFailed, KeyUnavailable
from agentmem.foundation.encryption.keyring import create_organization_keys, unwrap_organization_keys
from agentmem.foundation.encryption.providers import masterfile
from agentmem.foundation.encryption.providers.file import FileKeyProvider
from agentmem.foundation.encryption.providers.port import KeyContext, KeyPurpose
from agentmem.kit.ids import KeyId, OrganizationId

ORGANIZATION = OrganizationId(UUID(int=1))
CONTEXT = KeyContext(organization_id=ORGANIZATION, key_id=KeyId(UUID(int=2)), purpose=KeyPurpose.DATA)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STARTERS = 8
STARTER = """
import asyncio, pathlib, sys
from agentmem.foundation.encryption.providers.file import FileKeyProvider

async def main():
    path = pathlib.Path(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    print((await (await FileKeyProvider.open(path)).describe()).active_key_id)

asyncio.run(main())
"""


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "home" / "master.keys"
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(STARTERS)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("\n")
        starter.stdin.flush()
    found = {starter.communicate()[0] for starter in starters}
    assert {starter.returncode for starter in starters} == {0}
    assert found == {f"{masterfile.read(path).active.key_id}\n"}
    assert list(path.parent.iterdir()) == [path]


async def test_the_file_is_private_whatever_the_umask_and_a_second_start_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "master.keys"
    before = os.umask(0)
    try:
        await FileKeyProvider.open(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    content = path.read_bytes()
    await FileKeyProvider.open(path)
    assert path.read_bytes() == content


def run_in_shell(command: str) -> None:
    subprocess.run(["/bin/sh", "-c", command], check=True)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
async def test_a_file_open_to_others_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "with space" / "master.keys"
    provider = await FileKeyProvider.open(path)
    path.chmod(mode)
    with pytest.raises(KeyUnavailable) as refused:
        await FileKeyProvider.open(path)
    assert f"mode {mode:04o}" in str(refused.value)
    command = str(refused.value).rpartition("Run: ")[2]
    run_in_shell(command)
    await provider.describe()


@pytest.mark.parametrize(
    "owner, mode, refused",
    [(0, 0o440, False), (0, 0o640, False), (0, 0o444, True), (0, 0o460, True), (10001, 0o440, True)],
)
async def test_only_a_file_that_root_has_mounted_may_be_read_by_a_group(
    tmp_path: Path, owner: int, mode: int, refused: bool
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, whose file another account reads")
    path = tmp_path / "master.keys"
    await FileKeyProvider.open(path)
    path.chmod(mode)
    os.chown(path, owner, 10001)
    found = path.stat()
    os.seteuid(10001)
    try:
        assert masterfile.is_open_to_others(found) is refused
    finally:
        os.seteuid(0)


async def test_a_file_that_only_its_owner_may_read_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    await FileKeyProvider.open(path)
    path.chmod(0o400)
    await FileKeyProvider.open(path)


async def test_a_missing_file_is_not_made_anew_behind_the_back_of_an_open_provider(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    provider = await FileKeyProvider.open(path)
    path.unlink()
    with pytest.raises(KeyUnavailable, match=r"no master key file at .*Restore it"):
        await provider.describe()
    assert not path.exists()


async def test_what_is_not_a_file_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe, 0o600)
    folder.mkdir(mode=0o700)
    for path in (pipe, folder):
        with pytest.raises(KeyUnavailable, match=r"is not a regular file|Is a directory"):
            await FileKeyProvider.open(path)
    with pytest.raises(KeyUnavailable, match=r"cannot be created: Not a directory|cannot be created: File exists"):
        await FileKeyProvider.open(pipe / "master.keys")


def valid_text(tmp_path: Path) -> str:
    masterfile.create_if_missing(tmp_path / "valid.keys")
    return (tmp_path / "valid.keys").read_text()


def refusal(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(KeyUnavailable) as refused:
        masterfile.read(path)
    return str(refused.value)


def test_a_file_with_any_byte_of_its_key_line_changed_is_refused(tmp_path: Path) -> None:
    text = valid_text(tmp_path)
    start = text.index("active ")
    for position in range(start, len(text) - 1):
        changed = "x" if text[position] != "x" else "y"
        reason = refusal(tmp_path / "master.keys", text[:position] + changed + text[position + 1 :])
        assert "line 4 is damaged" in reason


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    text = valid_text(tmp_path)
    for length in range(len(text) - 1):
        assert "cannot be used" in refusal(tmp_path / "master.keys", text[:length])


def key_line(state: str = "active", number: int = 1, length: int = 32) -> str:
    """Write one line as the reference page says, without our code."""
    encoded = base64.b64encode(bytes(length)).decode()
    line = f"{state} {UUID(int=number)} 2026-01-02T03:04:05Z {encoded}"
    return f"{line} {hashlib.sha256(line.encode()).hexdigest()[:16]}\n"


def test_a_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    first = "agentmem-master-keys 1\n"
    for text, what in (
        ("", "its first line is not 'agentmem-master-keys 1'"),
        ("agentmem-master-keys 2\n" + key_line(), "its first line is not 'agentmem-master-keys 1'"),
        ("\x00\xff" + first, "its first line is not"),
        (first, "exactly one active key"),
        (first + key_line("retired"), "exactly one active key"),
        (first + key_line() + key_line(number=2), "exactly one active key"),
        (first + key_line() + key_line("retired"), "holds a key twice"),
        (first + key_line(length=31), "the key of line 2 has 31 bytes and not 32"),
        (first + "\n# note\n" + key_line(length=16), "the key of line 4 has 16 bytes and not 32"),
        (first + key_line("spare"), "line 2 is damaged"),
    ):
        assert what in refusal(tmp_path / "master.keys", text)


def test_a_file_of_several_keys_is_read(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    path.touch(mode=0o600)
    path.write_text("agentmem-master-keys 1\n" + key_line("retired", 1) + "# note\n\n" + key_line("active", 2))
    keys = masterfile.read(path)
    assert [key.key_id.int for key in keys.keys] == [1, 2]
    assert keys.active.key_id.int == 2
    assert keys.find(UUID(int=3)) is None


async def test_no_repr_shows_a_key(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    provider = await FileKeyProvider.open(path)
    generated = await provider.generate_data_key(CONTEXT)
    masters = masterfile.read(path)
    rows = await create_organization_keys(provider, ORGANIZATION, now=NOW)
    keys = await unwrap_organization_keys(provider, ORGANIZATION, rows)
    assert not shows_none_of(repr(generated.key.reveal()), bytes(generated.key.reveal()))
    shown = repr((provider, masters, generated, rows, keys, keys.keyring, keys.keyring.active, keys.index))
    assert "***" in repr(provider)
    assert shows_none_of(shown, bytes(generated.key.reveal()), bytes(masters.active.key.reveal()))


def shows_none_of(text: str, *secrets: bytes) -> bool:
    """Tell whether none of the usual spellings of the secrets, nor the head of one, is in the text."""
    spellings = [
        spelling
        for secret in secrets
        for spelling in (
            secret.hex()[:16],
            base64.b64encode(secret).decode()[:16],
            repr(secret)[2:20],
            repr(bytearray(secret))[12:30],  # escapes a quote that the one above may not
        )
    ]
    return not any(spelling in text for spelling in spellings)


async def traceback_with_locals(call: Callable[[], Coroutine[None, None, object]]) -> str:
    try:
        await call()
    except AgentMemError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    pytest.fail("nothing was raised")


async def test_no_traceback_shows_a_key_even_with_the_values_of_variables(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    provider = await FileKeyProvider.open(path)
    generated = await provider.generate_data_key(CONTEXT)
    elsewhere = KeyContext(organization_id=ORGANIZATION, key_id=KeyId(UUID(int=3)), purpose=KeyPurpose.DATA)
    secrets = bytes(generated.key.reveal()), bytes(masterfile.read(path).active.key.reveal())
    moved = await traceback_with_locals(lambda: provider.decrypt(generated.wrapped, elsewhere))
    path.write_text(path.read_text().replace("active", "retired"))
    damaged = await traceback_with_locals(provider.describe)
    path.chmod(0o644)
    exposed = await traceback_with_locals(provider.describe)
    for text, error in ((moved, DecryptionFailed), (damaged, KeyUnavailable), (exposed, KeyUnavailable)):
        assert error.__name__ in text
        assert shows_none_of(text, *secrets)
