"""The server that the settings name, and its schema."""

from __future__ import annotations

from agentmem.foundation.database.connect import ExternalServer, Server, connect_as_owner
from agentmem.foundation.database.embedded.server import EmbeddedServer
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.migrate import bring_up_to_date
from agentmem.settings import Settings


def attach(settings: Settings) -> Server:
    """Give the server: the one at an address, or the embedded one, which is started if it is down."""
    if settings.database_url is not None:
        return ExternalServer(conninfo=settings.database_url.get_secret_value())
    return EmbeddedServer.attach(settings.data_directory, linger=settings.linger)


def migrate(server: Server, settings: Settings) -> None:
    """Bring its schema up to date, or refuse an old one where the settings want that."""
    with translated(), connect_as_owner(server) as connection:
        bring_up_to_date(connection, migrate=settings.migrate)
