"""Where memories are kept: the database of the settings, its schema, and its replica."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.foundation.database.connect import ExternalServer, Server, check_conninfo, connect_as_owner
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.embedded.server import EmbeddedServer
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.migrate import bring_key_database, bring_up_to_date, current_revision
from agentmem.foundation.database.replica import Replica
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaChange:
    """The revisions of a database's schema before a migration (none when it was empty) and after."""

    before: str | None
    after: str | None


def attach(settings: Settings) -> Server:
    """Use the PostgreSQL that the settings name, or start or join the embedded one; blocks."""
    if settings.database_url is not None:
        return ExternalServer(conninfo=settings.database_url.get_secret_value())
    return EmbeddedServer.attach(settings.data_directory, linger=settings.linger)


def open_replica(settings: Settings, primary: Database, guarded: Guarded) -> Replica | None:
    """Open the read replica that the settings name."""
    if settings.database_replica_url is None:
        return None
    url = settings.database_replica_url.get_secret_value()
    return Replica.open(primary, url, pool_size=settings.pool_size, guarded=guarded)


def key_server(settings: Settings, server: Server) -> Server:
    """Give the PostgreSQL of the keys of subjects: that of the memories, if the settings name no other."""
    if settings.key_database_url is None:
        return server
    url = settings.key_database_url.get_secret_value()
    check_conninfo(url, "AGENTMEM_KEY_DATABASE_URL")
    return ExternalServer(conninfo=url)


def bring_schema(server: Server, key_server: Server, *, migrate: bool) -> None:
    """Bring the schema up to date, that of the keys too if they are elsewhere, or refuse an old one; blocks."""
    with translated(), connect_as_owner(server) as connection:
        bring_up_to_date(connection, migrate=migrate)
    if key_server is not server:
        with translated(), connect_as_owner(key_server) as connection:
            bring_key_database(connection, migrate=migrate)


def migrate_schema(settings: Settings, *, check: bool) -> SchemaChange:
    """Bring the schema of the settings' databases up to date and do nothing else; with ``check``, change nothing.

    Blocks. Raises :class:`IncompatibleStore` when a check finds the schema old, or this version may not use it.
    """
    server = attach(settings)
    try:
        with translated(), connect_as_owner(server) as connection:
            before = current_revision(connection)
        bring_schema(server, key_server(settings, server), migrate=not check)
        with translated(), connect_as_owner(server) as connection:
            return SchemaChange(before=before, after=current_revision(connection))
    finally:
        server.detach()
