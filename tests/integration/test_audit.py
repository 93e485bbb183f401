"""The audit trail: searched, exported, sealed, and found out when somebody has touched it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError, InvalidCursor, PermissionDenied
from agentmem.features.audit.repository import LOOK_BACK, SEALED_TOGETHER
from agentmem.features.audit.service import AuditService
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.kit.ids import uuid7
from agentmem.schemas.audit import AuditEntry, AuditQuery
from tests.support.served import api
from tests.support.stores import Owner, Store

LATER = timedelta(minutes=1)
PUT_IN = (
    "INSERT INTO agentmem.audit_entries SELECT organization_id, %s, at - %s::interval, actor, action, outcome, "
    "targets, detail FROM agentmem.audit_entries WHERE organization_id = %s ORDER BY entry_id LIMIT 1"
)


def audit_of(memory: AsyncMemory, database: Database | None = None) -> AuditService:
    return AuditService(database=database or memory.app.database)


async def page_of(memory: AsyncMemory, **query: object) -> list[AuditEntry]:
    return (await audit_of(memory).page(memory.app.caller, AuditQuery.model_validate(query))).items


@pytest.fixture
async def later(store: Store) -> AsyncIterator[Database]:
    """The database a minute later, when entries have settled."""
    app = store.app
    database = replace(Database.open(app.server, app.database.provider, pool_size=2), ahead=LATER)
    yield database
    await database.close()


@pytest.fixture
async def sealed(memory: AsyncMemory, later: Database) -> AsyncMemory:
    """An organization with five entries in two seals."""
    first = (await memory.add("one")).memories[0].id
    await memory.pin(first)
    assert await audit_of(memory, later).seal(memory.app.caller) == 3
    await memory.delete(first)
    await memory.restore(first)
    assert await audit_of(memory, later).seal(memory.app.caller) == 2
    return memory


async def test_search_finds_entries_by_each_condition(memory: AsyncMemory) -> None:
    first, second = (record.id for record in (await memory.add(["one", "two"])).memories)
    await memory.pin(second)
    await memory.delete(first)
    registered, added, pinned, deleted = await page_of(memory)

    assert [entry.action for entry in (registered, added, pinned, deleted)] == [
        "organization.registered",
        "memory.added",
        "memory.updated",
        "memory.deleted",
    ]
    assert await page_of(memory, action="memory.deleted") == [deleted]
    assert await page_of(memory, target=first) == [added, deleted]
    assert await page_of(memory, since=pinned.at) == [pinned, deleted]
    assert await page_of(memory, until=added.at) == [registered]
    assert await page_of(memory, actor="nobody") == []
    assert len(await page_of(memory, actor="local", outcome="done")) == 4


async def test_pages_give_every_entry_once_and_refuse_the_cursor_of_another_search(memory: AsyncMemory) -> None:
    for number in range(4):
        await memory.add(f"text {number}")
    service, caller = audit_of(memory), memory.app.caller
    found, query = [], AuditQuery(limit=2)
    while True:
        page = await service.page(caller, query)
        found += page.items
        if page.next_cursor is None:
            break
        query = AuditQuery(limit=2, cursor=page.next_cursor)

    assert found == await page_of(memory)
    with pytest.raises(InvalidCursor):
        await service.page(caller, AuditQuery(limit=2, cursor=query.cursor, outcome="failed"))


async def test_export_reads_everything_in_steps(memory: AsyncMemory) -> None:
    for number in range(3):
        await memory.add(f"text {number}")
    after: UUID | None = None
    found: list[AuditEntry] = []
    while step := await audit_of(memory).read(memory.app.caller, after, 2):
        found += step
        after = step[-1].id

    assert found == await page_of(memory)


async def test_untouched_trail_is_whole(sealed: AsyncMemory) -> None:
    verified = await audit_of(sealed).verify(sealed.app.caller)

    assert (verified.whole, verified.seals, verified.entries, verified.unsealed) == (True, 2, 5, 0)


async def test_trail_without_seals_is_whole_and_unsealed(memory: AsyncMemory) -> None:
    verified = await audit_of(memory).verify(memory.app.caller)

    assert (verified.whole, verified.seals, verified.entries, verified.unsealed) == (True, 0, 0, 1)


async def test_entries_of_this_moment_wait_for_their_seal(memory: AsyncMemory) -> None:
    assert await audit_of(memory).seal(memory.app.caller) == 0


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'somebody else'",
        "outcome = 'denied'",
        "targets = '{}'",
        'detail = \'{"code": "x"}\'',
        "at = at - interval '1 microsecond'",
    ],
)
async def test_changed_entry_is_found(sealed: AsyncMemory, owner: Owner, change: str) -> None:
    (entry,) = await page_of(sealed, action="memory.deleted")
    owner.execute(f"UPDATE agentmem.audit_entries SET {change} WHERE entry_id = %s", [entry.id])
    verified = await audit_of(sealed).verify(sealed.app.caller)

    assert not verified.whole
    assert [problem.seal for problem in verified.problems] == [2]


async def test_removed_entry_is_found_and_named(sealed: AsyncMemory, owner: Owner) -> None:
    (entry,) = await page_of(sealed, action="memory.added")
    owner.execute("DELETE FROM agentmem.audit_entries WHERE entry_id = %s", [entry.id])
    verified = await audit_of(sealed).verify(sealed.app.caller)

    assert [(problem.seal, problem.entry_id) for problem in verified.problems] == [(1, entry.id)]


async def test_entry_put_in_afterwards_is_found_and_named(sealed: AsyncMemory, later: Database, owner: Owner) -> None:
    forged = uuid7()
    owner.execute(PUT_IN, [forged, LOOK_BACK + LATER, sealed.app.caller.organization_id])
    await audit_of(sealed, later).seal(sealed.app.caller)
    verified = await audit_of(sealed).verify(sealed.app.caller)

    assert [problem.entry_id for problem in verified.problems] == [forged]
    assert verified.unsealed == 1


async def test_removed_seal_is_found(sealed: AsyncMemory, owner: Owner) -> None:
    owner.execute(
        "DELETE FROM agentmem.audit_seals WHERE organization_id = %s AND seal_no = 1",
        [sealed.app.caller.organization_id],
    )
    verified = await audit_of(sealed).verify(sealed.app.caller)

    assert verified.problems[0].seal == 2
    assert "seals are missing" in verified.problems[0].problem


async def test_seal_put_in_without_the_key_is_found(sealed: AsyncMemory, owner: Owner) -> None:
    for seal_no in (0, 3):
        owner.execute(
            "INSERT INTO agentmem.audit_seals SELECT organization_id, %s, sealed_at, entries, digest, digest "
            "FROM agentmem.audit_seals WHERE organization_id = %s AND seal_no = 2",
            [seal_no, sealed.app.caller.organization_id],
        )
    verified = await audit_of(sealed).verify(sealed.app.caller)

    assert {problem.seal for problem in verified.problems} >= {0, 3}


async def test_entries_and_seals_in_another_order_are_found(sealed: AsyncMemory, owner: Owner) -> None:
    organization = [sealed.app.caller.organization_id]
    swapped = "UPDATE agentmem.audit_seals SET entries = entries[2:2] || entries[1:1] || entries[3:] "
    owner.execute(swapped + "WHERE organization_id = %s AND seal_no = 1", organization)
    within = await audit_of(sealed).verify(sealed.app.caller)
    owner.execute(swapped + "WHERE organization_id = %s AND seal_no = 1", organization)
    restored = await audit_of(sealed).verify(sealed.app.caller)
    for old, new in ((1, 9), (2, 1), (9, 2)):
        owner.execute(
            "UPDATE agentmem.audit_seals SET seal_no = %s WHERE organization_id = %s AND seal_no = %s",
            [new, *organization, old],
        )
    between = await audit_of(sealed).verify(sealed.app.caller)

    assert [problem.seal for problem in within.problems] == [1]
    assert restored.whole
    assert {problem.seal for problem in between.problems} == {1, 2}


async def test_trail_that_was_cut_off_is_found_by_whoever_kept_its_head(
    sealed: AsyncMemory, later: Database, owner: Owner
) -> None:
    head = (await audit_of(sealed).verify(sealed.app.caller)).head
    organization = [sealed.app.caller.organization_id]
    cut = "agentmem.audit_seals WHERE organization_id = %s AND seal_no = 2"
    owner.execute(
        f"DELETE FROM agentmem.audit_entries WHERE entry_id IN (SELECT unnest(entries) FROM {cut})", organization
    )
    owner.execute(f"DELETE FROM {cut}", organization)
    unknowing = await audit_of(sealed).verify(sealed.app.caller)
    knowing = await audit_of(sealed).verify(sealed.app.caller, head)
    await sealed.add("something else")
    await audit_of(sealed, later).seal(sealed.app.caller)
    sealed_anew = await audit_of(sealed).verify(sealed.app.caller, head)

    assert head is not None
    assert unknowing.whole
    assert [problem.seal for problem in knowing.problems] == [2]
    assert (sealed_anew.seals, [problem.seal for problem in sealed_anew.problems]) == (2, [2])


async def test_head_of_a_trail_that_went_on_is_still_in_it(sealed: AsyncMemory, later: Database) -> None:
    head = (await audit_of(sealed).verify(sealed.app.caller)).head
    assert head is not None
    await sealed.add("more")
    await audit_of(sealed, later).seal(sealed.app.caller)
    async with api(sealed) as owner:
        kept = await owner.post("/v1/audit/verify", params=head.model_dump())
        wrong = await owner.post("/v1/audit/verify", params={"seal": head.seal, "digest": "0" * 32})
        half = await owner.post("/v1/audit/verify", params={"seal": head.seal})

    assert (kept.json()["whole"], kept.json()["head"]["seal"]) == (True, head.seal + 1)
    assert not wrong.json()["whole"]
    assert half.status_code == 422


async def test_export_has_every_entry_in_each_format(sealed: AsyncMemory) -> None:
    entries = (await audit_of(sealed).page(sealed.app.caller, AuditQuery(limit=1000))).items
    async with api(sealed) as owner:
        answers = {
            form: await owner.get("/v1/audit/export", params={"format": form}) for form in ("jsonl", "cef", "ocsf")
        }
    cef = answers["cef"].text.splitlines()
    ocsf = [json.loads(line) for line in answers["ocsf"].text.splitlines()]

    assert answers["cef"].headers["content-type"].startswith("text/plain")
    assert len(cef) == len(ocsf) == len(answers["jsonl"].text.splitlines()) >= len(entries)
    for entry, line, event in zip(entries, cef, ocsf, strict=False):
        assert line.startswith("CEF:0|AgentMem|AgentMem|")
        assert f"|{entry.action}|{entry.action}|" in line
        assert f"externalId={entry.id} " in line
        assert event["metadata"]["uid"] == str(entry.id)
        assert event["api"]["operation"] == entry.action
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert [resource["uid"] for resource in event["resources"]] == [str(target) for target in entry.targets]


async def test_entry_that_appears_late_is_sealed_all_the_same(
    sealed: AsyncMemory, later: Database, owner: Owner
) -> None:
    owner.execute(PUT_IN, [uuid7(), LOOK_BACK / 2, sealed.app.caller.organization_id])

    assert await audit_of(sealed, later).seal(sealed.app.caller) == 1
    assert (await audit_of(sealed).verify(sealed.app.caller)).whole


async def test_many_entries_are_sealed_in_batches_and_each_once(
    memory: AsyncMemory, later: Database, owner: Owner
) -> None:
    owner.execute(
        "INSERT INTO agentmem.audit_entries SELECT organization_id, gen_random_uuid(), at - n * interval '1 minute', "
        "actor, action, outcome, targets, detail FROM agentmem.audit_entries, generate_series(1, %s) n "
        "WHERE organization_id = %s",
        [2 * SEALED_TOGETHER, memory.app.caller.organization_id],
    )
    service, caller = audit_of(memory, later), memory.app.caller

    assert await service.seal(caller) == 2 * SEALED_TOGETHER + 1
    assert await service.seal(caller) == 0
    verified = await service.verify(caller)
    assert (verified.whole, verified.seals, verified.unsealed) == (True, 3, 0)


async def test_role_of_the_program_can_neither_change_nor_remove_entries_and_seals(sealed: AsyncMemory) -> None:
    database, caller = sealed.app.database, sealed.app.caller
    for statement in (
        "UPDATE agentmem.audit_seals SET digest = ''",
        "DELETE FROM agentmem.audit_seals",
        "UPDATE agentmem.audit_entries SET actor = ''",
        "DELETE FROM agentmem.audit_entries",
    ):
        with pytest.raises(ConfigurationError, match="permission denied"):
            async with database.transaction(caller) as tx:
                await tx.driver.execute(statement.encode())


async def test_trail_needs_permissions_of_its_own(memory: AsyncMemory) -> None:
    reader = replace(memory.app.caller, permissions=frozenset({Permission.MEMORY_READ}))
    with pytest.raises(PermissionDenied, match="audit:read"):
        await audit_of(memory).page(reader, AuditQuery())
    with pytest.raises(PermissionDenied, match="audit:verify"):
        await audit_of(memory).verify(reader)


async def test_moment_of_an_entry_is_in_utc(memory: AsyncMemory) -> None:
    (entry,) = await page_of(memory)

    assert isinstance(entry.at, datetime)
    assert entry.at.utcoffset() == timedelta(0)
