"""Making one backup: a dump, encrypted as it comes, and sums of the same snapshot. Everything here blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import psycopg

from agentmem.foundation.backup.dumping import TableSum, dumping, sums
from agentmem.foundation.backup.sealed_file import Measured, encrypt
from agentmem.foundation.database.failures import translated


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What was written: length and digest of the encrypted file, and what it holds."""

    sha256: str
    size: int
    revision: str
    postgresql: str
    sums: Mapping[str, TableSum]


def make(conninfo: str, target: BinaryIO, recipients: Sequence[str], *, keys: bool) -> Made:
    """Write a backup to a file."""
    with translated(), psycopg.connect(conninfo, application_name="agentmem backup") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        exported = connection.execute(
            "SELECT pg_export_snapshot(), current_setting('server_version'), "
            "coalesce(to_regclass('agentmem.alembic_version')::text, '')"
        ).fetchone()
        if exported is None:
            raise AssertionError("a SELECT without FROM gives one row")
        snapshot, postgresql, versions = map(str, exported)
        found = connection.execute("SELECT version_num FROM agentmem.alembic_version").fetchone() if versions else None
        written = Measured(target)
        with dumping(conninfo, keys=keys, snapshot=snapshot) as dump:
            encrypt(dump, written, recipients)
        return Made(
            sha256=written.digest,
            size=written.size,
            revision="" if found is None else str(found[0]),
            postgresql=postgresql,
            sums=sums(connection, keys=keys),
        )
