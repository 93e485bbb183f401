"""Each person's memories are sealed by a key of their own, kept in a database of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError
from agentmem.foundation.database.connect import connect_as_owner
from agentmem.foundation.database.known_keys import KnownKeys
from tests.support.stores import Owner, Store
from tests.support.walls import app_over


def sealed_by(owner: Owner, memory: AsyncMemory) -> dict[object, set[UUID]]:
    """Tell which keys seal what is stored about each user: contents, speakers and index entries."""
    rows = owner.execute(
        """
        SELECT user_id, content FROM agentmem.memories WHERE organization_id = %(id)s
        UNION ALL SELECT user_id, actor FROM agentmem.memories WHERE organization_id = %(id)s AND actor IS NOT NULL
        UNION ALL SELECT nullif(user_id, ''), entry FROM agentmem.index_entries WHERE organization_id = %(id)s
        """,
        {"id": memory.app.caller.organization_id},
    ).fetchall()
    found: dict[object, set[UUID]] = {}
    for user_id, blob in rows:
        assert isinstance(blob, bytes)
        found.setdefault(user_id, set()).add(UUID(bytes=blob[2:18]))
    return found


def keys_of(owner: Owner, memory: AsyncMemory) -> set[object]:
    rows = owner.execute(
        "SELECT key_id FROM agentmem_keys.subject_keys WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    )
    return {key_id for (key_id,) in rows}


async def test_what_is_stored_about_a_person_is_sealed_by_a_key_of_their_own(memory: AsyncMemory, owner: Owner) -> None:
    turn = {"role": "user", "name": "Alice", "content": "I keep bees"}
    first = (await memory.add([turn], user_id="alice")).memories[0]
    await memory.update(first.id, content="I kept bees")
    await memory.add("keeps goats", user_id="bob")
    await memory.add("the office is closed on Mondays")

    sealed = sealed_by(owner, memory)
    keys = await memory.app.database.keys(memory.app.caller.organization_id)
    assert [len(found) for found in sealed.values()] == [1, 1, 1]
    assert sealed[None] == {keys.keyring.active.key_id}
    assert sealed["alice"] | sealed["bob"] == keys_of(owner, memory)
    contents = [hit.memory.content for hit in (await memory.search("who kept bees?")).hits]
    assert contents[0] == "I kept bees"
    assert {"keeps goats", "the office is closed on Mondays"} <= set(contents)


async def test_another_process_opens_what_this_one_has_sealed(store: Store, memory: AsyncMemory) -> None:
    added = (await memory.add("keeps bees", user_id="alice")).memories[0]
    async with app_over(store.app, replace(store.app.database, _keys=KnownKeys())) as other:
        twin = AsyncMemory(organization=memory._settings.organization)
        twin._opened = replace(other, caller=memory.app.caller, settings=memory._settings)
        assert (await twin.get(added.id)).content == "keeps bees"
        assert [hit.memory.id for hit in (await twin.search("bees", user_id="alice")).hits] == [added.id]


async def test_the_first_writes_about_a_person_at_once_agree_on_one_key(
    store: Store, memory: AsyncMemory, owner: Owner
) -> None:
    async def write(number: int) -> None:
        async with app_over(store.app, replace(store.app.database, _keys=KnownKeys())) as other:
            twin = AsyncMemory(organization=memory._settings.organization)
            twin._opened = replace(other, caller=memory.app.caller, settings=memory._settings)
            await twin.add(f"fact {number}", user_id="alice")

    await asyncio.gather(*map(write, range(6)))
    assert len(keys_of(owner, memory)) == 1
    assert len((await memory.list(user_id="alice")).items) == 6


async def test_keys_are_in_the_key_database_where_one_is_named(store: Store, database_url: str, tmp_path: Path) -> None:
    with store.connect_as_owner() as connection:
        connection.execute("CREATE DATABASE keys_apart")
    keys_url = psycopg.conninfo.make_conninfo(store.app.server.conninfo, dbname="keys_apart")
    settings = {"data_directory": tmp_path, "database_url": database_url, "key_database_url": keys_url}
    try:
        with pytest.raises(ConfigurationError, match="AGENTMEM_KEY_DATABASE_URL"):
            await AsyncMemory(**{**settings, "key_database_url": "nonsense"}).open()
        async with AsyncMemory(**settings) as memory:
            await memory.add("keeps bees", user_id="alice")
        async with AsyncMemory(**settings) as memory:  # the tables are there already
            assert (await memory.list(user_id="alice")).items[0].content == "keeps bees"
            with connect_as_owner(memory.app.server) as connection:
                assert connection.execute("SELECT count(*) FROM agentmem_keys.subject_keys").fetchone() == (0,)
        with psycopg.connect(keys_url) as connection:
            assert connection.execute("SELECT count(*) FROM agentmem_keys.subject_keys").fetchone() == (1,)
    finally:
        with store.connect_as_owner() as connection:
            connection.execute("DROP DATABASE keys_apart WITH (FORCE)")


async def test_the_keys_of_an_organization_are_hidden_from_another(store: Store, memory: AsyncMemory) -> None:
    await memory.add("keeps bees", user_id="alice")
    other = await store.organization()
    subjects, keys = memory.app.database.subjects, await memory.app.database.keys(memory.app.caller.organization_id)
    (key,) = (await subjects.of_subjects(keys, [keys.index.subject("alice")])).values()
    theirs = await other.app.database.keys(other.app.caller.organization_id)
    assert await replace(subjects, known=KnownKeys()).of_headers(theirs, [key.header]) == {}
