"""Everything that is stored about a person is given away line by line, and nothing of anybody else."""

from __future__ import annotations

import json

import httpx
import pytest
from pydantic import TypeAdapter

from agentmem import AsyncClient, AsyncMemory
from agentmem.entrypoints.api.application import create_api
from agentmem.errors import Conflict, PermissionDenied
from agentmem.foundation.authorization.caller import service_caller
from agentmem.schemas.memories import NewMemory, Origin, Source
from agentmem.schemas.privacy import (
    ExportedDerived,
    ExportedEntity,
    ExportedEntry,
    ExportedErasure,
    ExportedOwn,
    ExportedSubject,
    SubjectLine,
    SubjectMarks,
)
from tests.integration.test_erasure import erase
from tests.support.served import BASE_URL, key_of, served_by

READ: TypeAdapter[SubjectLine] = TypeAdapter(SubjectLine)


async def exported(memory: AsyncMemory, user_id: str) -> list[SubjectLine]:
    app, caller = memory.app, memory.app.caller
    lines = app.disclosure.lines(caller, app.custody.exports.lines(caller, user_id))
    return [READ.validate_json(line) async for line in lines]


async def test_an_export_holds_all_about_a_person_and_nothing_about_others(memory: AsyncMemory) -> None:
    await memory.add("was here before", user_id="alice")
    await erase(memory, "alice")
    source = Source(origin=Origin.TOOL, uri="https://alice.example/diary")
    new = NewMemory(content="keeps bees", user_id="alice", agent_id="gardener", run_id="r1", source=source)
    first, gone = (await memory.add([new, NewMemory(content="had a goat", user_id="alice")])).memories
    await memory.update(first.id, content="kept bees")
    await memory.delete(gone.id)
    parents = Source(origin=Origin.AGENT, parents=[first.id])
    shared = (await memory.add(NewMemory(content="honey is sold on Mondays", source=parents))).memories[0]
    other = (await memory.add(NewMemory(content="Bob buys her honey", user_id="bob", source=parents))).memories[0]
    await memory.add("keeps wasps", user_id="bob")
    await memory.app.custody.privacy.mark(memory.app.caller, SubjectMarks(user_id="alice", restricted=True))

    lines = await exported(memory, "alice")
    head, own = lines[0], {line.provenance.memory_id: line for line in lines if isinstance(line, ExportedOwn)}
    derived = {line.memory_id: line.memory for line in lines if isinstance(line, ExportedDerived)}
    entries = [line.entry for line in lines if isinstance(line, ExportedEntry)]

    assert isinstance(head, ExportedSubject)
    assert (head.user_id, head.restricted, head.held) == ("alice", True, False)
    assert own.keys() == {first.id, gone.id}
    assert [version.memory.content for version in own[first.id].memory.versions] == ["keeps bees", "kept bees"]
    assert own[first.id].provenance.uri == "https://alice.example/diary"
    assert own[gone.id].memory.versions[-1].memory.deleted_at is not None
    assert derived.keys() == {shared.id, other.id}
    assert derived[other.id] is None
    assert derived[shared.id] is not None
    assert {(line.kind, line.id) for line in lines if isinstance(line, ExportedEntity)} == {
        ("agents", "gardener"),
        ("runs", "r1"),
    }
    assert len([line for line in lines if isinstance(line, ExportedErasure)]) == 1
    assert {entry.action for entry in entries} == {"memory.added", "memory.updated", "memory.deleted"}
    assert {target for entry in entries for target in entry.targets} == {first.id, gone.id}
    assert "Bob" not in "".join(line.model_dump_json() for line in lines)
    trail = await memory.app.audit.read(memory.app.caller, None, 1000)
    assert trail[-1].action == "privacy.exported"


async def test_who_is_unknown_is_exported_as_nothing_and_who_may_not_read_is_refused(memory: AsyncMemory) -> None:
    assert [line.line for line in await exported(memory, "nobody")] == ["subject"]
    caller = service_caller(memory.app.caller.organization_id)
    with pytest.raises(PermissionDenied):
        await anext(memory.app.custody.exports.lines(caller, "alice"))


async def test_client_exports_holds_restricts_and_erases(memory: AsyncMemory) -> None:
    transport = httpx.ASGITransport(create_api(served_by(memory.app)))
    key = await key_of(memory)
    async with AsyncClient(key, base_url=BASE_URL, insecure=True, transport=transport) as client:
        await client.add("keeps bees", user_id="alice")
        lines = [json.loads(line)["line"] async for line in client.privacy.export("alice")]
        held = await client.privacy.mark("alice", held=True)
        with pytest.raises(Conflict, match="held"):
            await client.privacy.erase("alice")
        read = await client.privacy.subject("alice")
        await client.privacy.mark("alice")
        asked = await client.privacy.erase("alice")
        certificate = await client.privacy.erasure(asked.id)

    assert lines == ["subject", "memory", "audit"]
    assert (held.held, held.restricted, read) == (True, False, held)
    assert (certificate.id, certificate.finished_at) == (asked.id, None)
