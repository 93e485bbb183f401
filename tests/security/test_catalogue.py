"""What the database itself enforces, read from its catalogue."""

from __future__ import annotations

import pytest
from psycopg import errors, sql

from agentmem.features.memories.jobs import ALL, EMBED
from agentmem.foundation.database.system import SystemPurpose
from agentmem.foundation.database.tables import PLATFORM_SCHEMA, SCHEMA, metadata
from agentmem.foundation.jobs.queue import enqueue
from tests.support.stores import Owner, Store

# Found by time across organizations when old rows are swept; it holds no id of an organization.
SWEPT = frozenset({"idempotency_keys_by_age", "idempotent_requests_by_age"})
# Registries belong to no organization: ids and times alone, of which a tenant sees its own row.
REGISTRIES = frozenset({"organization_directory", "api_key_directory", "outbox", "account_memberships"})
OF_REGISTRIES = frozenset({"api_key_directory_pkey", "account_memberships_pkey"})
NEVER_CHANGED = frozenset({"memory_parents", "memory_provenance"})
"""Rows of them are added and removed; of one nothing changes but the seal of a source, which a new key renews."""
APPEND_ONLY = frozenset({"audit_entries", "audit_seals", "organizations"})
# A key is wrapped anew, retired and removed; which one it is, and whose, stays.
KEYS = "encryption_keys"
# The graph cannot start with another column: it is scanned for one organization by iterative scan.
GRAPHS = "vectors_graph_"
APPLICATION = "agentmem_app"


def names(owner: Owner, statement: str, *values: object) -> set[str]:
    return {str(row[0]) for row in owner.execute(statement.encode(), [SCHEMA, *values])}


def tables(owner: Owner) -> set[str]:
    statement = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = %s::regnamespace"
    return names(owner, statement) - {"alembic_version"}


def test_every_table_is_known_and_forces_row_security(owner: Owner) -> None:
    forced = names(
        owner,
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relrowsecurity AND relforcerowsecurity",
    )

    assert tables(owner) == {table.name for table in metadata.tables.values()}
    assert forced == tables(owner)


def test_every_table_has_one_policy_for_reading_and_writing(owner: Owner) -> None:
    found = owner.execute(
        "SELECT c.relname, p.polcmd, p.polpermissive, p.polroles = '{0}', "
        "pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid) "
        "FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = %s::regnamespace",
        [SCHEMA],
    ).fetchall()

    assert {row[0] for row in found} == tables(owner)
    assert len(found) == len(tables(owner))
    for _, command, permissive, everybody, seen, written in found:
        assert (command, permissive, everybody) in {("*", True, True), (b"*", True, True)}
        assert seen == written
        assert "organization_id = " in str(seen)
        assert "current_organization()" in str(seen)
    assert {row[0] for row in found if "acts_as_system()" in str(row[4])} == REGISTRIES


def test_registries_hold_ids_and_times_alone(owner: Owner) -> None:
    columns = owner.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = ANY (%s)",
        [SCHEMA, sorted(REGISTRIES)],
    ).fetchall()

    assert set(columns) == {
        ("organization_id", "uuid"),
        ("key_id", "text"),
        ("entry_id", "uuid"),
        ("account_id", "uuid"),
        ("member_id", "uuid"),
        ("created_at", "timestamp with time zone"),
        ("purge_after", "timestamp with time zone"),
        ("erased_at", "timestamp with time zone"),
    }


async def test_tenant_sees_its_own_row_of_a_registry_and_the_system_all(store: Store) -> None:
    await store.organization()
    statement = "SELECT organization_id FROM agentmem.organization_directory"
    async with store.app.database.transaction(store.app.caller) as tx:
        own = [row[0] for row in await tx.connection.exec_driver_sql(statement)]
    async with store.app.database.system(SystemPurpose.SWEEP) as system:
        known = [row[0] for row in await system.connection.exec_driver_sql(statement)]

    assert own == [store.app.caller.organization_id]
    assert len(known) > 1
    assert set(own) < set(known)


async def test_system_transaction_sees_no_row_of_a_tenant_until_it_is_bound(store: Store, owner: Owner) -> None:
    async with store.app.database.system(SystemPurpose.SWEEP) as system:
        for table in sorted(tables(owner) - REGISTRIES):
            count = await system.connection.exec_driver_sql(f"SELECT count(*) FROM agentmem.{table}")
            assert count.scalar_one() == 0
        await system.bind(store.app.caller.organization_id)
        names = await system.connection.exec_driver_sql("SELECT organization_id FROM agentmem.organizations")
        assert [row[0] for row in names] == [store.app.caller.organization_id]


async def test_transaction_after_a_system_transaction_is_no_system_transaction(store: Store) -> None:
    async with store.app.database.system(SystemPurpose.SWEEP):
        pass
    link, setting = await store.app.database.pool.begin(b"SELECT agentmem.acts_as_system()::text")
    try:
        assert await setting.fetchone() == ("false",)
    finally:
        await store.app.database.pool.give_back(link)


def test_every_key_and_unique_index_starts_with_the_organization(owner: Owner) -> None:
    found = owner.execute(
        "SELECT i.relname, x.indisunique, x.indisprimary, a.attname FROM pg_index x "
        "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid "
        "LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0] "
        "WHERE t.relnamespace = %s::regnamespace AND t.relname <> 'alembic_version'",
        [SCHEMA],
    ).fetchall()
    loose = {str(name) for name, _, _, column in found if column != "organization_id"}

    assert {name for name in loose if not name.startswith(GRAPHS)} == SWEPT | OF_REGISTRIES
    assert {str(name) for name, unique, _, _ in found if unique} & loose == OF_REGISTRIES
    assert sum(bool(primary) for _, _, primary, _ in found) == len(tables(owner))


def test_no_view_function_or_trigger_opens_a_way_around(owner: Owner) -> None:
    others = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind NOT IN ('r', 'i', 'S')"
    functions = owner.execute(
        "SELECT proname, prosecdef FROM pg_proc WHERE pronamespace = %s::regnamespace", [SCHEMA]
    ).fetchall()
    triggers = (
        "SELECT tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid "
        "WHERE c.relnamespace = %s::regnamespace AND NOT tgisinternal"
    )

    assert names(owner, others) == set()
    assert sorted(functions) == [
        *(("acts_as_system", False), ("current_organization", False), ("enter", False)),
        *(("hold_subjects", False), ("sensitive_keys", False), ("subject_lock", False)),
    ]
    assert names(owner, triggers) == set()


def test_application_role_can_neither_log_in_nor_pass_row_security(owner: Owner) -> None:
    role = owner.execute(
        "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication "
        "FROM pg_roles WHERE rolname = %s",
        [APPLICATION],
    ).fetchone()
    member_of = owner.execute(
        "SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole", [APPLICATION]
    ).fetchone()
    owns = owner.execute("SELECT count(*) FROM pg_class WHERE relowner = %s::regrole", [APPLICATION]).fetchone()

    assert role == (False,) * 6
    assert (member_of, owns) == ((0,), (0,))


def test_application_role_may_only_append_to_the_audit_entries_and_keys(owner: Owner) -> None:
    granted: dict[str, set[str]] = {}
    for table, privilege in owner.execute(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants "
        "WHERE table_schema = %s AND grantee = %s",
        [SCHEMA, APPLICATION],
    ):
        granted.setdefault(str(table), set()).add(str(privilege))

    assert granted.pop("alembic_version") == {"SELECT"}
    for table in APPEND_ONLY:
        assert granted.pop(table) == {"SELECT", "INSERT"}
    for table in NEVER_CHANGED:
        assert granted.pop(table) == {"SELECT", "INSERT", "DELETE"}
    assert granted.pop(KEYS) == {"SELECT", "INSERT", "DELETE"}
    assert set(granted) | APPEND_ONLY | NEVER_CHANGED | {KEYS} == tables(owner)
    assert all(privileges == {"SELECT", "INSERT", "UPDATE", "DELETE"} for privileges in granted.values())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE agentmem.mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "ALTER TABLE agentmem.memories DISABLE ROW LEVEL SECURITY",
        "DROP TABLE agentmem.memories",
        "TRUNCATE agentmem.memories",
        "DROP POLICY own_organization ON agentmem.memories",
        "CREATE FUNCTION agentmem.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE agentmem.audit_entries SET actor = 'nobody'",
        "DELETE FROM agentmem.audit_entries",
        "DELETE FROM agentmem.organizations",
        "UPDATE agentmem.encryption_keys SET purpose = 'index'",
        "UPDATE agentmem.encryption_keys SET key_id = organization_id",
        "COPY agentmem.memories TO PROGRAM 'cat'",
    ],
)
def test_application_role_cannot_change_the_walls(owner: Owner, statement: str) -> None:
    owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APPLICATION)))
    with pytest.raises(errors.InsufficientPrivilege):
        owner.execute(statement.encode())


def test_session_without_an_organization_sees_and_writes_no_row(owner: Owner) -> None:
    owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APPLICATION)))

    for table in sorted(tables(owner)):
        count = owner.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, table))).fetchone()
        assert count == (0,)
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        owner.execute("INSERT INTO agentmem.organizations VALUES (gen_random_uuid(), 'mine', now())")


async def test_pooled_connections_act_as_the_application_role(store: Store) -> None:
    async with store.app.database.transaction(store.app.caller) as tx:
        row = (await tx.connection.exec_driver_sql("SELECT current_user, current_setting('role')")).one()

    assert tuple(row) == (APPLICATION, APPLICATION)


async def test_organization_of_a_transaction_does_not_outlive_it(store: Store) -> None:
    async with store.app.database.transaction(store.app.caller):
        pass
    link, setting = await store.app.database.pool.begin(b"SELECT agentmem.current_organization()")
    try:
        assert await setting.fetchone() == (None,)
    finally:
        await store.app.database.pool.give_back(link)


async def test_read_only_operation_cannot_write(store: Store) -> None:
    async with store.app.database.transaction(store.app.caller, read_only=True) as tx:
        row = await tx.connection.exec_driver_sql("SHOW transaction_read_only")
        assert row.scalar_one() == "on"


PLATFORM = frozenset({"procrastinate_jobs", "procrastinate_workers", "schedules", "instances"})
"""Tables of the schema that belongs to no organization, beside the one that every version may read."""
OF_ALL_VERSIONS = "schema_compatibility"


def test_platform_holds_ids_names_times_and_versions_alone(owner: Owner) -> None:
    columns = owner.execute(
        "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = %s "
        "AND table_name = ANY (%s) AND data_type IN ('text', 'character varying', 'jsonb', 'bytea')",
        [PLATFORM_SCHEMA, sorted(PLATFORM)],
    ).fetchall()

    assert {str(name) for (name,) in columns} == {
        # The organization of a queue, and the kind of jobs.
        *("procrastinate_jobs.queue_name", "procrastinate_jobs.task_name", "procrastinate_jobs.args"),
        *("procrastinate_jobs.lock", "procrastinate_jobs.queueing_lock", "schedules.name"),
        *("instances.role", "instances.version", "instances.schema_revision", "instances.host", "instances.address"),
    }


def test_platform_is_seen_by_the_system_alone_but_for_a_tenants_own_queue(owner: Owner) -> None:
    found = owner.execute(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, pg_get_expr(p.polqual, p.polrelid), "
        "pg_get_expr(p.polwithcheck, p.polrelid) FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid "
        "WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r'",
        [PLATFORM_SCHEMA],
    ).fetchall()
    policies = {str(name): str(seen) for name, forced, seen, written in found if forced and seen == written}

    assert set(policies) == PLATFORM
    assert {str(row[0]) for row in found} == PLATFORM | {OF_ALL_VERSIONS}
    assert all("acts_as_system()" in policy for policy in policies.values())
    assert {name for name, policy in policies.items() if " OR " in policy} == {"procrastinate_jobs"}


async def test_tenant_sees_its_own_queue_and_nobody_elses(store: Store) -> None:
    one, other = await store.organization(), await store.organization()
    for memory in (one, other):
        async with memory.app.database.transaction(memory.app.caller) as tx:
            await enqueue(tx, EMBED, once=ALL)
    statement = "SELECT queue_name FROM agentmem_platform.procrastinate_jobs"
    async with one.app.database.transaction(one.app.caller) as tx:
        own = [row[0] for row in await tx.connection.exec_driver_sql(statement)]
        hidden = [
            (await tx.connection.exec_driver_sql(f"SELECT count(*) FROM agentmem_platform.{table}")).scalar_one()
            for table in sorted(PLATFORM - {"procrastinate_jobs"})
        ]

    assert own == [str(one.app.caller.organization_id)]
    assert hidden == [0, 0, 0]


def test_platform_runs_no_code_of_its_own_accord_and_none_with_the_owners_rights(owner: Owner) -> None:
    definers = owner.execute(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = %s::regnamespace AND prosecdef", [PLATFORM_SCHEMA]
    ).fetchone()
    triggers = owner.execute(
        "SELECT count(*) FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid "
        "WHERE c.relnamespace = %s::regnamespace AND NOT tgisinternal",
        [PLATFORM_SCHEMA],
    ).fetchone()

    assert (definers, triggers) == ((0,), (0,))
