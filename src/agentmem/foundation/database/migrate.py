"""Bringing a database to the schema of this version, once, however many processes ask at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import Connection, errors
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from agentmem.errors import IncompatibleStore
from agentmem.foundation.database.migrations.versions.m0020_subjects import KEYS, WALLS
from agentmem.foundation.database.tables import SCHEMA

_LOCK = 0x6167656E746D656D  # "agentmem" in ASCII
OLDEST_POSTGRESQL = 160000
OLDEST_PGVECTOR = (0, 8, 0)
OLDEST_REVISION: Final = b"SELECT oldest_revision FROM agentmem_platform.schema_compatibility"
"""Asks for the oldest revision that a version may have as its newest and still use the schema as it is.

Revisions are numbered by four digits, so that they compare as text.
"""


def bring_up_to_date(connection: Connection[tuple[object, ...]], *, migrate: bool, to: str = "head") -> None:
    """Check the server's versions and apply missing migrations, up to the newest or the one that ``to`` names.

    A newer schema is used as it is, as long as it says that versions as old as this one may.
    Raises :class:`IncompatibleStore` for an old server, a missing pgvector, a newer schema that has dropped what this
    version needs, or an older one while ``migrate`` is off.
    """
    if connection.info.server_version < OLDEST_POSTGRESQL:
        raise IncompatibleStore(
            f"PostgreSQL {connection.info.server_version // 10000} is too old.", hint="Use version 16 or newer."
        )
    restoring = connection.execute("SELECT to_regnamespace('agentmem_restoring') IS NOT NULL").fetchone()
    if restoring is not None and restoring[0]:
        raise IncompatibleStore(
            "The database is being restored, and what was erased since its backup is not erased again yet.",
            hint="Let `agentmem backup restore` end, or restore into another empty database.",
        )
    script = ScriptDirectory.from_config(_config())
    head, current = script.get_current_head(), current_revision(connection)
    if current == head:
        return
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        oldest = _oldest_revision(connection)
        if oldest is not None and head is not None and oldest <= head:
            return
        raise IncompatibleStore(
            f"The database has schema revision {current}, which this version does not know and may not use.",
            hint="It was written by a newer AgentMem: upgrade this one.",
        )
    if not migrate:
        raise IncompatibleStore(
            f"The database has schema revision {current or 'none'}, this version needs {head}.",
            hint="Run `agentmem migrate`, or set AGENTMEM_MIGRATE=true.",
        )
    _upgrade(connection, to)


def bring_key_database(connection: Connection[tuple[object, ...]], *, migrate: bool) -> None:
    """Make the tables of a key database that is apart from the store, unless they are there.

    Raises :class:`IncompatibleStore` if they are not and ``migrate`` is off.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    found = connection.execute("SELECT to_regclass('agentmem_keys.subject_keys')").fetchone()
    if found is None or found[0] is None:
        if not migrate:
            raise IncompatibleStore(
                "The key database has no tables.",
                hint="Run `agentmem migrate`, or set AGENTMEM_MIGRATE=true.",
            )
        connection.execute(KEYS.encode())
        connection.execute(WALLS.encode())
    connection.commit()


def newest_revision() -> str:
    """Give the schema's revision that this version needs."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def current_revision(connection: Connection[tuple[object, ...]]) -> str | None:
    """Read the schema's revision; an empty database has none."""
    try:
        row = connection.execute(f"SELECT version_num FROM {SCHEMA}.alembic_version").fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        row = None
    finally:
        connection.rollback()
    return None if row is None else str(row[0])


def _oldest_revision(connection: Connection[tuple[object, ...]]) -> str | None:
    """Read up to which revision a version must know the schema to use it; a schema of another kind says nothing."""
    try:
        row = connection.execute(OLDEST_REVISION).fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        row = None
    finally:
        connection.rollback()
    return None if row is None else str(row[0])


def _upgrade(connection: Connection[tuple[object, ...]], revision: str) -> None:
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        _install_pgvector(connection)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        connection.commit()
        engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
        with engine.connect() as migrating:
            config = _config()
            config.attributes["connection"] = migrating
            migrating.execute(text("SELECT 1"))
            command.upgrade(config, revision)
            migrating.commit()
            migrating.detach()
    finally:
        if not connection.closed:
            connection.rollback()
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
            connection.commit()


def _install_pgvector(connection: Connection[tuple[object, ...]]) -> None:
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    if row is None:
        try:
            connection.execute("CREATE EXTENSION vector")
        except (errors.FeatureNotSupported, errors.UndefinedFile, errors.InsufficientPrivilege) as error:
            raise IncompatibleStore(
                f"The extension pgvector cannot be installed: {error.diag.message_primary}.",
                hint="Install pgvector >= 0.8 on the server and let an administrator run CREATE EXTENSION vector.",
            ) from None
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    version = str(row[0]) if row else "0"
    if tuple(int(part) for part in version.split(".")) < OLDEST_PGVECTOR:
        raise IncompatibleStore(
            f"pgvector {version} is too old.", hint="Use 0.8 or newer and run ALTER EXTENSION vector UPDATE."
        )
