"""Backups: made under load, restored whole, of no use without their key, and bringing nobody back who was erased."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import boto3
import psycopg
import pyrage
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.errors import (
    ConfigurationError,
    DecryptionFailed,
    IncompatibleStore,
    IntegrityError,
    NotFound,
)
from agentmem.foundation.backup.storage import FolderStorage, open_storage
from agentmem.pipelines.backup.backups import Backups
from agentmem.schemas.backups import BackupContent
from tests.integration.test_erasure import erase
from tests.support.key_services import serving_aws

CANARY = "qxzvjkwp"
OPS, ESCROW, STRANGER = (pyrage.x25519.Identity.generate() for _ in range(3))


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[AsyncMemory]:
    """A store of its own: a backup is of a whole database."""
    async with AsyncMemory(
        data_directory=tmp_path / "store",
        linger=0,
        backup_recipients=(str(OPS.to_public()), str(ESCROW.to_public())),
        backup_identity=SecretStr(str(OPS)),
    ) as memory:
        yield memory


@pytest.fixture
def target(memory: AsyncMemory) -> Iterator[str]:
    """An empty database to restore into."""
    with psycopg.connect(memory.app.server.conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    yield make_conninfo(memory.app.server.conninfo, dbname="restored")
    with psycopg.connect(memory.app.server.conninfo, autocommit=True) as connection:
        connection.execute("DROP DATABASE restored WITH (FORCE)")


def backups_of(memory: AsyncMemory, **changes: object) -> Backups:
    return replace(memory.app.custody.backups, **changes)  # type: ignore[arg-type]


def folder_of(app: App) -> Path:
    storage = app.custody.backups.storage()
    assert isinstance(storage, FolderStorage)
    return storage.folder


async def fill(memory: AsyncMemory) -> None:
    await memory.add([f"Alice's fact {number} of {CANARY}" for number in range(5)], user_id="alice")
    await memory.add([f"Bob's fact {number}" for number in range(5)], user_id="bob")
    await memory.add("the office is closed on Mondays")


async def contents(memory: AsyncMemory, url: str) -> dict[str | None, int]:
    """Open a restored database as a store, and count what can be read of each user."""
    key_file = memory.app.settings.master_key_file
    found: dict[str | None, int] = {}
    async with AsyncMemory(database_url=url, key_file=key_file, data_directory=key_file.parent) as restored:
        assert (await restored.doctor()).findings == []
        for item in (await restored.list(limit=100)).items:
            found[item.user_id] = found.get(item.user_id, 0) + 1
    return found


async def test_a_backup_is_restored_whole(memory: AsyncMemory, target: str) -> None:
    await fill(memory)
    backups, caller = memory.app.custody.backups, memory.app.caller
    made = await backups.create(caller)
    await memory.add("after the backup")

    assert [one.id for one in await backups.every(caller)] == [made.id]
    assert made.tables["agentmem.memories"].rows == 11
    assert not [name for name in made.tables if "agentmem_keys" in name]
    restored = await backups.restore(caller, made.id, target)
    assert restored.rows == sum(table.rows for table in made.tables.values())
    assert await contents(memory, target) == {"alice": 5, "bob": 5, None: 1}


async def test_a_drill_restores_and_leaves_nothing_behind(memory: AsyncMemory) -> None:
    await fill(memory)
    backups, caller = memory.app.custody.backups, memory.app.caller
    with pytest.raises(NotFound, match="no backup"):
        await backups.drill(caller)
    made = await backups.create(caller)
    drilled = await backups.drill(caller)
    assert (drilled.id, drilled.erased_again) == (made.id, 0)
    with psycopg.connect(memory.app.server.conninfo) as connection:
        left = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'agentmem_drill%'").fetchone()
    assert left == (0,)


async def test_who_was_erased_since_a_backup_stays_erased_after_its_restore(memory: AsyncMemory, target: str) -> None:
    await fill(memory)
    backups, caller = memory.app.custody.backups, memory.app.caller
    made = await backups.create(caller)
    await erase(memory, "alice")
    restored = await backups.restore(caller, made.id, target)

    assert restored.erased_again == 1
    assert await contents(memory, target) == {"bob": 5, None: 1}


async def test_keys_of_subjects_have_backups_of_their_own(memory: AsyncMemory, target: str) -> None:
    await fill(memory)
    backups, caller = memory.app.custody.backups, memory.app.caller
    made, keys = await backups.create(caller), await backups.create(caller, BackupContent.KEYS)
    assert keys.tables.keys() == {"agentmem_keys.erasures", "agentmem_keys.subject_keys"}
    with psycopg.connect(memory.app.server.conninfo) as connection:
        connection.execute("DELETE FROM agentmem_keys.subject_keys")
    await backups.restore(caller, made.id, target, keys.id)
    assert await contents(memory, target) == {"alice": 5, "bob": 5, None: 1}
    with pytest.raises(ConfigurationError, match="keys alone"):
        await backups.restore(caller, keys.id, target)


async def test_nobody_opens_a_backup_without_a_key_and_its_recipients_do_with_age(
    memory: AsyncMemory, tmp_path: Path
) -> None:
    await fill(memory)
    made = await memory.app.custody.backups.create(memory.app.caller)
    dump = folder_of(memory.app) / made.id / "dump.age"
    assert CANARY.encode() not in dump.read_bytes()
    assert dump.stat().st_mode & 0o077 == 0
    if shutil.which("age") is None:
        pytest.skip("needs age: make services")
    for identity, opens in ((OPS, True), (ESCROW, True), (STRANGER, False)):
        (tmp_path / "key").write_text(str(identity))
        command: list[str | Path] = ["age", "-d", "-i", tmp_path / "key", dump]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        assert (done.returncode == 0) is opens
        if opens:
            assert done.stdout.startswith(b"PGDMP")
            assert CANARY.encode() not in done.stdout


async def test_a_wrong_key_a_flipped_bit_and_a_changed_manifest_fail_cleanly(memory: AsyncMemory, target: str) -> None:
    await fill(memory)
    backups, caller = memory.app.custody.backups, memory.app.caller
    made = await backups.create(caller)
    dump, manifest = folder_of(memory.app) / made.id / "dump.age", folder_of(memory.app) / made.id / "manifest.json"
    assert (await backups.verify(caller, made.id)).id == made.id
    with pytest.raises(DecryptionFailed):
        await backups_of(memory, identity=str(STRANGER)).verify(caller, made.id)
    with pytest.raises(ConfigurationError, match="BACKUP_IDENTITY"):
        await backups_of(memory, identity=None).restore(caller, made.id, target)

    whole = dump.read_bytes()
    dump.write_bytes(whole[:-100] + bytes((whole[-100] ^ 1,)) + whole[-99:])
    for identity in (str(OPS), None):
        with pytest.raises((DecryptionFailed, IntegrityError)):
            await backups_of(memory, identity=identity).verify(caller, made.id)
    with pytest.raises((DecryptionFailed, IntegrityError)):
        await backups.restore(caller, made.id, target)
    dump.write_bytes(whole)
    text = manifest.read_bytes()
    manifest.write_bytes(text.replace(b'"rows": 11', b'"rows": 10'))
    with pytest.raises(IntegrityError, match="signed by none"):
        await backups.restore(caller, made.id, target)
    manifest.write_bytes(text)
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT to_regnamespace('agentmem') IS NULL").fetchone() == (True,)
    await backups.restore(caller, made.id, target)


async def test_a_database_that_is_half_restored_is_not_served(memory: AsyncMemory, target: str, tmp_path: Path) -> None:
    with psycopg.connect(target) as connection:
        connection.execute("CREATE SCHEMA agentmem_restoring")
    with pytest.raises(IncompatibleStore, match="being restored"):
        await AsyncMemory(database_url=target, data_directory=tmp_path / "other").open()
    made = await memory.app.custody.backups.create(memory.app.caller)
    with pytest.raises(IncompatibleStore, match="holds a store already"):
        await memory.app.custody.backups.restore(memory.app.caller, made.id, memory.app.server.conninfo)


async def test_a_backup_under_load_is_of_one_moment(memory: AsyncMemory) -> None:
    ended = asyncio.Event()

    async def write(number: int) -> None:
        turn = 0
        while not ended.is_set():
            await memory.add(f"fact {turn} of {number}", user_id=f"user {number}")
            turn += 1

    async def back_up() -> None:
        try:
            for _ in range(3):
                await memory.app.custody.backups.create(memory.app.caller)
        finally:
            ended.set()

    await asyncio.gather(back_up(), *map(write, range(8)))
    for made in await memory.app.custody.backups.every(memory.app.caller):
        assert (await memory.app.custody.backups.drill(memory.app.caller, made.id)).id == made.id


async def test_old_backups_are_removed_and_rounds_make_both_kinds(memory: AsyncMemory) -> None:
    backups, caller = memory.app.custody.backups, memory.app.caller
    assert list(backups.schedules()) == []
    (schedule,) = backups_of(memory, interval=timedelta(hours=6)).schedules()
    await schedule.run()
    assert {one.content for one in await backups.every(caller)} == set(BackupContent)
    assert await backups.prune() == 0
    assert await backups_of(memory, kept=timedelta(seconds=-1)).prune() == 2
    assert await backups.every(caller) == []
    assert list(folder_of(memory.app).iterdir()) == []


async def test_a_bucket_keeps_backups_as_a_folder_does(memory: AsyncMemory) -> None:
    await fill(memory)
    with serving_aws() as url:
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        try:
            boto3.client("s3", endpoint_url=url).create_bucket(Bucket="kept")
            backups = backups_of(memory, storage=lambda: open_storage("s3://kept/store", url))
            caller = memory.app.caller
            made = await backups.create(caller)
            assert (await backups.drill(caller)).id == made.id
            with pytest.raises(NotFound):
                await backups.verify(caller, "none")
            await backups_of(memory, storage=backups.storage, kept=timedelta(seconds=-1)).prune()
            assert backups.storage().names() == []
        finally:
            del os.environ["AWS_DEFAULT_REGION"]


async def test_backups_without_a_recipient_are_refused(memory: AsyncMemory) -> None:
    for recipients, what in (((), "no recipient"), (("age1nonsense",), "no public key of age")):
        with pytest.raises(ConfigurationError, match=what):
            await backups_of(memory, recipients=recipients).create(memory.app.caller)
