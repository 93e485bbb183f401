"""Backups from the command line, of a real store to a folder; Debian's age opens them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyrage
import pytest
from psycopg.conninfo import make_conninfo

from agentmem.bootstrap.stores import attach
from agentmem.settings import Settings
from tests.support.command_line import CommandLine, temporary_command_line

OPS = pyrage.x25519.Identity.generate()
CANARY = "qxzvjkwp"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[CommandLine, str]]:
    """A store whose PostgreSQL is up meanwhile, so that no command has to start it; and where that is."""
    with temporary_command_line(
        AGENTMEM_BACKUP_RECIPIENTS=f'["{OPS.to_public()}"]', AGENTMEM_BACKUP_IDENTITY=str(OPS)
    ) as line:
        attached = attach(Settings.load(data_directory=line.directory, linger=0))
        try:
            attached.ensure_running()
            line.run("add", f"Ada keeps {CANARY}", "--user", "ada")
            yield line, attached.conninfo
        finally:
            attached.detach()


@pytest.fixture(scope="module")
def agentmem(server: tuple[CommandLine, str]) -> CommandLine:
    return server[0]


@pytest.fixture(scope="module")
def made(agentmem: CommandLine) -> Any:
    return agentmem.json("backup", "create")


def test_backup_is_listed_verified_and_drilled(agentmem: CommandLine, made: Any) -> None:
    listed: Any = agentmem.json("backup", "list")
    verified: Any = agentmem.json("backup", "verify", made["id"])
    drilled: Any = agentmem.json("backup", "drill")

    assert listed == [made]
    assert verified == made
    assert (drilled["id"], drilled["tables"]) == (made["id"], len(made["tables"]))


def test_backup_is_restored_into_an_empty_database_and_served_from_there(
    server: tuple[CommandLine, str], made: Any
) -> None:
    agentmem, conninfo = server
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    target = make_conninfo(conninfo, dbname="restored")
    restored: Any = CommandLine(
        directory=agentmem.directory, extra={**agentmem.extra, "AGENTMEM_RESTORE_URL": target}
    ).json("backup", "restore", made["id"])
    served = CommandLine(directory=agentmem.directory, extra={**agentmem.extra, "AGENTMEM_DATABASE_URL": target})
    found: Any = served.json("list", "--user", "ada")

    assert restored["rows"] == sum(table["rows"] for table in made["tables"].values())
    assert [item["content"] for item in found["items"]] == [f"Ada keeps {CANARY}"]


@pytest.mark.skipif(shutil.which("age") is None, reason="needs age: make services")
def test_age_opens_what_the_command_wrote(agentmem: CommandLine, made: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(str(OPS))
    dump = agentmem.directory / "backups" / made["id"] / "dump.age"
    opened = subprocess.run(["age", "-d", "-i", tmp_path / "key", dump], capture_output=True, check=True).stdout

    assert opened.startswith(b"PGDMP")
    assert CANARY.encode() not in opened + dump.read_bytes()


def test_changed_backup_ends_the_command_with_an_error(agentmem: CommandLine, made: Any) -> None:
    manifest = agentmem.directory / "backups" / made["id"] / "manifest.json"
    whole = manifest.read_text(encoding="utf-8")
    manifest.write_text(whole.replace('"bytes"', '"bytes" '), encoding="utf-8")
    changed = agentmem.run("backup", "verify", made["id"], status=1)
    manifest.write_text(whole, encoding="utf-8")

    assert "signed by none of the keys" in changed.stderr
    assert str(OPS) not in changed.stderr
