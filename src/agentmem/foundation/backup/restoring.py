"""Restoring a backup into an empty database. Everything here blocks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from agentmem.errors import IntegrityError
from agentmem.foundation.backup.dumping import dumping, prepare, release, restoring, sums
from agentmem.foundation.backup.sealed_file import decrypt
from agentmem.foundation.database.connect import Server, check_conninfo
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.migrate import bring_key_database


@dataclass(frozen=True, slots=True)
class Scratch:
    """A database beside the others of a server, for a rehearsal."""

    server: Server
    name: str = field(default_factory=lambda: f"agentmem_drill_{uuid4().hex}")

    def create(self) -> str:
        """Make it, and give where it is."""
        self._say("CREATE DATABASE {}")
        return make_conninfo(self.server.conninfo, dbname=self.name)

    def drop(self) -> None:
        """Drop it with all that is in it."""
        self._say("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    def _say(self, statement: str) -> None:
        self.server.ensure_running()
        with translated(), psycopg.connect(self.server.conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self.name)))


def restore_into(conninfo: str, dump: BinaryIO, identity: str, *, keys: BinaryIO | None, live_keys: str | None) -> None:
    """Fill an empty database from a backup, and with the keys of subjects from theirs or from where they are.

    It is marked until :func:`serve_again`, so that nothing serves it half done.
    """
    check_conninfo(conninfo, "The database to restore into")
    with translated(), psycopg.connect(conninfo) as connection:
        prepare(connection)
    with restoring(conninfo) as target:
        decrypt(dump, target, identity)
    if keys is not None:
        with restoring(conninfo) as target:
            decrypt(keys, target, identity)
    elif live_keys is not None:
        with dumping(live_keys, keys=True) as source, restoring(conninfo) as target:
            shutil.copyfileobj(source, target)
    with translated(), psycopg.connect(conninfo) as connection:
        bring_key_database(connection, migrate=True)


def compare(conninfo: str, expected: Mapping[str, tuple[int, str]]) -> None:
    """Raise :class:`IntegrityError` unless every table is as it was when the backup was made."""
    with translated(), psycopg.connect(conninfo) as connection:
        there = {name: (one.rows, one.sum) for name, one in sums(connection, keys=False).items()}
    wrong = sorted(name for name in {*expected, *there} if expected.get(name) != there.get(name))
    if wrong:
        raise IntegrityError(f"What was restored is not what was backed up: {', '.join(wrong)}.")


def serve_again(conninfo: str) -> None:
    """Take the mark away that keeps a restored database from being served."""
    with translated(), psycopg.connect(conninfo) as connection:
        release(connection)
