from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError, DatabaseUnavailable, IncompatibleStore
from agentmem.foundation.database.migrate import bring_up_to_date, newest_revision
from agentmem.foundation.database.tables import SCHEMA, metadata
from tests.support.children import next_line, python_child
from tests.support.embedded_server import is_down, wait_until
from tests.support.operations import service_modules

OPEN = """
import sys
from agentmem import Memory
print("ready", flush=True)
sys.stdin.readline()
with Memory(data_directory=sys.argv[1], linger=0.5) as memory:
    memory.add(sys.argv[2])
print("done", flush=True)
"""

OPEN_ELSEWHERE = """
import sys
from agentmem import Memory
Memory(database_url=sys.argv[1], key_file=sys.argv[2]).open()
"""
pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type 'halfvec'")


def revision(url: str) -> str | None:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT version_num FROM agentmem.alembic_version").fetchone()
    return None if row is None else str(row[0])


def migrate(url: str, *, migrate: bool = True) -> None:
    with psycopg.connect(url) as connection:
        bring_up_to_date(connection, migrate=migrate)


def test_processes_that_open_a_new_store_together_make_it_once(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    with (
        python_child(OPEN, directory, "from the first") as first,
        python_child(OPEN, directory, "from the second") as second,
        python_child(OPEN, directory, "from the third") as third,
    ):
        children = (first, second, third)
        assert [next_line(child) for child in children] == ["ready"] * 3
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            _, error = child.communicate(timeout=120)
            assert (child.returncode, error) == (0, "")

    async def stored() -> set[str]:
        async with AsyncMemory(data_directory=directory, linger=0) as memory:
            return {record.content for record in (await memory.list()).items}

    assert asyncio.run(stored()) == {"from the first", "from the second", "from the third"}
    wait_until(lambda: is_down(directory))


def made_by_hand(_object: object, name: str | None, kind: str, _reflected: bool, described: object) -> bool:
    """Leave out what SQLAlchemy cannot describe: the graphs, which are made for one length of vectors each."""
    return not (kind == "index" and described is None and str(name).startswith("vectors_graph_"))


def differences(database_url: str) -> object:
    """Compare the schema with what the tables describe."""
    # The tables of every feature are known once their modules are.
    assert list(service_modules())
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
        "include_object": made_by_hand,
        "version_table_schema": SCHEMA,
    }
    # The login role's name is the schema's, which would make it the default one.
    connect = partial(psycopg.connect, database_url, options="-c search_path=public")
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def test_migrated_schema_is_the_one_that_the_tables_describe(database_url: str) -> None:
    migrate(database_url)

    assert differences(database_url) == []


def test_migrating_again_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    before = revision(database_url)
    migrate(database_url)
    migrate(database_url, migrate=False)

    assert before is not None
    assert revision(database_url) == before


def age(database_url: str, revision: str, oldest: str) -> None:
    """Let the schema be one of a later revision, which versions as old as ``oldest`` may use."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE agentmem.alembic_version SET version_num = %s", [revision])
        connection.execute("UPDATE agentmem_platform.schema_compatibility SET oldest_revision = %s", [oldest])


def test_schema_of_a_newer_version_that_has_dropped_what_this_one_needs_is_refused(database_url: str) -> None:
    migrate(database_url)
    age(database_url, "9999", "9998")
    with pytest.raises(IncompatibleStore, match=r"9999.*newer"):
        migrate(database_url)

    assert revision(database_url) == "9999"


def test_schema_that_a_newer_version_has_only_extended_is_used_as_it_is(database_url: str) -> None:
    migrate(database_url)
    age(database_url, "9999", newest_revision())
    migrate(database_url)
    migrate(database_url, migrate=False)

    assert revision(database_url) == "9999"


def test_old_schema_is_refused_where_migrations_are_off(database_url: str) -> None:
    with pytest.raises(IncompatibleStore, match=r"none.*AGENTMEM_MIGRATE"):
        migrate(database_url, migrate=False)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [SCHEMA]).fetchone()

    assert row == (0,)


@pytest.mark.parametrize("begun_at", [None, "0001", "0002"])
async def test_process_killed_in_the_middle_of_a_migration_leaves_a_store_that_the_next_start_finishes(
    database_url: str, tmp_path: Path, begun_at: str | None
) -> None:
    if begun_at is not None:
        with psycopg.connect(database_url) as connection:
            bring_up_to_date(connection, migrate=True, to=begun_at)
    key_file = tmp_path / "keys" / "master.json"
    with psycopg.connect(database_url) as blocker:
        # The migrations make tables, and then their policies: the process stops between the two.
        blocker.execute("LOCK TABLE pg_catalog.pg_policy IN SHARE MODE")
        with python_child(OPEN_ELSEWHERE, database_url, key_file) as child:
            await asyncio.to_thread(wait_until, lambda: waits_for_a_lock(database_url))
            child.kill()
            child.wait()
        assert (revision(database_url) if begun_at else None) == begun_at
    async with AsyncMemory(database_url=database_url, key_file=key_file) as memory:
        await memory.add("kept after all")
        assert [hit.memory.content for hit in (await memory.search("kept")).hits] == ["kept after all"]
        assert (await memory.doctor()).healthy
    before = revision(database_url)
    migrate(database_url, migrate=False)

    assert before == newest_revision()
    assert differences(database_url) == []


def waits_for_a_lock(url: str) -> bool:
    """Say whether a process is in the middle of a migration."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE relation = 'pg_catalog.pg_policy'::regclass AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    return row == (1,)


async def test_store_can_be_on_a_server_of_somebody_else(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, object] = {"database_url": database_url, "key_file": tmp_path / "keys" / "master.json"}
    async with AsyncMemory(**settings) as memory:
        await memory.add("kept elsewhere", user_id="u")
    async with AsyncMemory(**settings) as memory:
        assert [hit.memory.content for hit in (await memory.search("elsewhere")).hits] == ["kept elsewhere"]

    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT current_setting('is_superuser'), count(*) FROM agentmem.memories").fetchone()
    assert row is not None
    assert row[1] == 1


async def test_malformed_connection_string_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await AsyncMemory(database_url="postgresql://u:hunter2@[::1", key_file=tmp_path / "k.json").open()

    assert "hunter2" not in str(caught.value)


async def test_server_that_does_not_answer_is_reported_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://u:hunter2@/db?host={tmp_path}"
    with pytest.raises(DatabaseUnavailable) as caught:
        await AsyncMemory(database_url=url, key_file=tmp_path / "k.json").open()

    assert "hunter2" not in str(caught.value)
    assert caught.value.retryable


OLD_STORE = """
INSERT INTO agentmem.organizations VALUES (%(organization)s, 'old', '2025-01-02T00:00:00Z');
INSERT INTO agentmem.memories (organization_id, memory_id, version, place, change, changed_by, kind, origin, authority,
    content, content_digest, metadata, importance, pinned, occurred_at, created_at, updated_at, known_until, deleted_at)
SELECT %(organization)s, memory_id, version, 16, 'added', 'local', 'episodic', 'operator', 'operator', content, '',
       '{}', 0.5, false, now(), now(), now(), known_until, deleted_at
FROM (VALUES ('00000000-0000-0000-0000-000000000001'::uuid, 1, '\\x0102'::bytea, now(), NULL::timestamptz),
             ('00000000-0000-0000-0000-000000000001'::uuid, 2, '\\x010203'::bytea, NULL, NULL),
             ('00000000-0000-0000-0000-000000000002'::uuid, 1, '\\x01'::bytea, NULL, now()))
     AS old (memory_id, version, content, known_until, deleted_at)
"""


def test_old_store_of_an_owner_without_privileges_is_counted_when_it_becomes_a_servers(database_url: str) -> None:
    """Forced row security binds such an owner: a migration that forgot it would copy nothing, and say nothing."""
    organization, role = uuid4(), f"plain_{uuid4().hex}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("GRANT agentmem_app TO {}").format(sql.Identifier(role)))
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(role)))
    try:
        with psycopg.connect(database_url, options=f"-c role={role}") as connection:
            bring_up_to_date(connection, migrate=True, to="0002")
        with psycopg.connect(database_url, options=f"-c role={role}") as connection:
            connection.execute("SELECT set_config('agentmem.organization_id', %s, false)", [str(organization)])
            connection.execute(psycopg.ClientCursor(connection).mogrify(OLD_STORE, {"organization": organization}))
            connection.commit()
        with psycopg.connect(database_url, options=f"-c role={role}") as connection:
            bring_up_to_date(connection, migrate=True)
        with psycopg.connect(database_url) as connection:
            usage = connection.execute("SELECT * FROM agentmem.organization_usage").fetchall()
            directory = connection.execute("SELECT * FROM agentmem.organization_directory").fetchall()
            settings = connection.execute(
                "SELECT organization_id, display_name, status FROM agentmem.organization_settings"
            ).fetchall()
            unforced = connection.execute(
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'agentmem'::regnamespace AND relkind = 'r' "
                "AND relname <> 'alembic_version' AND NOT (relrowsecurity AND relforcerowsecurity)"
            ).fetchone()
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    assert usage == [(organization, 0, 1, 3, 6)]
    assert [(row[0], row[2:]) for row in directory] == [(organization, (None, None))]
    assert settings == [(organization, "old", "active")]
    assert unforced == (0,)


OLD_KEYS = """
INSERT INTO agentmem.members VALUES (%(org)s, %(org)s, 'owner', 'owner', 'person', 'local', now(), NULL, 1);
INSERT INTO agentmem.api_keys (organization_id, key_id, member_id, created_by, parent_key_id, name, environment,
    secret_mac, mac_version, last_four, scopes, networks, created_at, expires_at, rotated_from, version)
SELECT %(org)s, key_id, %(org)s, %(org)s, parent, 'a key', 'live', '', 1, 'abcd', scopes, '{}', now(), now(), old, 1
FROM (VALUES ('root', NULL, '{key:write}'::text[], NULL),
             ('child', 'root', '{memory:read}', NULL),
             ('heir', NULL, '{key:write}', 'root'),
             ('heir of child', 'root', '{memory:read}', 'child')) AS old (key_id, parent, scopes, old)
"""


def test_keys_of_an_older_store_were_made_with_whichever_could_have_made_them(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        bring_up_to_date(connection, migrate=True, to="0003")
    with psycopg.connect(database_url) as connection:
        connection.execute(psycopg.ClientCursor(connection).mogrify(OLD_KEYS, {"org": uuid4()}))
        connection.commit()
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        made_with = connection.execute("SELECT key_id, made_with FROM agentmem.api_keys").fetchall()

    assert dict(made_with) == {"root": None, "child": "root", "heir": "root", "heir of child": "root"}
