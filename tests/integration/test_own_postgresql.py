"""The how-to of a PostgreSQL of one's own, followed word by word: its role is no superuser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError
from agentmem.foundation.database.embedded.server import EmbeddedServer
from scripts.run_document import blocks
from tests.architecture.source_tree import ROOT
from tests.support.embedded_server import is_down, wait_until

PAGE = (ROOT / "docs" / "how-to" / "use-your-own-postgresql.md").read_text(encoding="utf-8")
(PREPARATION,) = (block.text for block in blocks(PAGE) if block.language == "sql")
GRANT = "GRANT agentmem_app TO agentmem_owner WITH ADMIN OPTION"


@pytest.fixture
def administrator(tmp_path: Path) -> Iterator[str]:
    """The connection string of a superuser of a server on which there has never been a store."""
    directory = tmp_path / "server"
    attachment = EmbeddedServer.attach(directory, linger=0)
    yield attachment.conninfo
    attachment.detach()
    wait_until(lambda: is_down(directory))


def follow_the_page(administrator: str) -> str:
    """Run what the page shows, and give the connection string of its role."""
    in_server, in_database = PREPARATION.split("\\c agentmem\n")
    with psycopg.connect(administrator, autocommit=True) as connection:
        for statement in in_server.strip().splitlines():
            connection.execute(statement.encode())
    database = make_conninfo(administrator, dbname="agentmem")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(in_database.encode())
    return make_conninfo(database, user="agentmem_owner", password="choose one", passfile="")


async def use(url: str, key_file: Path) -> None:
    """Do what touches every table and every right: the owner's and the restricted role's."""
    settings: dict[str, object] = {"database_url": url, "key_file": key_file}
    async with AsyncMemory(**settings) as memory:
        first = (await memory.add("the kettle is in the kitchen", user_id="u")).memories[0]
        await memory.add_many((f"cup number {number} is on the shelf" for number in range(300)), user_id="u")
        await memory.update(first.id, content="the kettle is in the cellar")
        gone = (await memory.list(limit=1)).items[0]
        await memory.delete(gone.id)
        await memory.vacuum(purge_after_days=0)
        app = memory.app
        await app.sweeper.sweep()
        assert await app.caretaker.ensure_graph(app.models.current.dimensions)
    async with AsyncMemory(**settings, migrate=False) as memory:
        hits = (await memory.search("where is the kettle?", user_id="u")).hits
        assert hits[0].memory.content == "the kettle is in the cellar"
        assert (await memory.doctor()).findings == []
        assert (await memory.info()).server == "external"


async def test_role_of_the_page_makes_the_schema_and_uses_the_store(administrator: str, tmp_path: Path) -> None:
    url = follow_the_page(administrator)
    with psycopg.connect(url) as connection:
        rights = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert rights == (False, False, True)

    await use(url, tmp_path / "keys" / "master.json")


async def test_second_database_on_the_server_needs_the_grant_that_the_page_names(
    administrator: str, tmp_path: Path
) -> None:
    """The first was made by another role, to which ``agentmem_app`` belongs."""
    assert GRANT in " ".join(PAGE.split())
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute("CREATE ROLE agentmem_app NOLOGIN")
    url = follow_the_page(administrator)
    with pytest.raises(ConfigurationError, match="agentmem_app"):
        await AsyncMemory(database_url=url, key_file=tmp_path / "keys" / "master.json").open()
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(GRANT.encode())

    await use(url, tmp_path / "keys" / "master.json")
