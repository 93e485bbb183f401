"""The client against a real server: what the embedded library does, in both faces, and what only a server has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from agentmem import AsyncClient, AsyncMemory
from agentmem.errors import (
    AgentMemError,
    Closed,
    EmptyScope,
    IdempotencyConflict,
    ImportFailed,
    InvalidCursor,
    InvalidFilter,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionRequired,
    Unauthenticated,
    VersionConflict,
)
from scripts.run_document import blocks
from tests.architecture.source_tree import ROOT
from tests.support.client_faces import FACES, Face
from tests.support.embedded_server import store_folder
from tests.support.patience import eventually
from tests.support.servers import ServerProcess, servers

TALK = [
    {"role": "user", "name": "Ana", "content": "We moved to Lisbon last week!", "occurred_at": "2025-03-10T09:00Z"},
    {"role": "assistant", "content": "How do you like it?", "occurred_at": "2025-03-10T09:01Z"},
    {"role": "user", "name": "Ana", "content": "I love the bakery downstairs.", "occurred_at": "2025-03-10T09:02Z"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with store_folder() as folder, servers(folder, 1) as (running,):
        yield running


@pytest.fixture(params=sorted(FACES))
async def client(request: pytest.FixtureRequest, server: ServerProcess) -> AsyncIterator[AsyncClient]:
    face: Face = FACES[request.param]
    async with face(server.key, server.url) as opened:
        yield opened


async def raised(work: object) -> str:
    """Give the name of the error that a call raises."""
    with pytest.raises(AgentMemError) as caught:
        await work  # type: ignore[misc]
    return type(caught.value).__name__


async def story(memory: AsyncMemory | AsyncClient, user: str) -> list[object]:
    """Use every method once, and note what comes back, without ids, times and scores."""
    one = (await memory.add("Ana is allergic to peanuts.", user_id=user, metadata={"topic": "food"})).memories[0]
    again = await memory.add("Ana is allergic to peanuts.", user_id=user)
    talk = await memory.add([*TALK, "A text beside them."], user_id=user, run_id="moving")
    many = await memory.add_many(({"content": f"Note {n}", "importance": 0.1} for n in range(300)), user_id=user)
    found = await memory.search("Which food must she avoid?", user_id=user, limit=3, explain=True)
    packed = await memory.context("Where does Ana live?", user_id=user, budget=200)
    page = await memory.list(user_id=user, order="oldest", limit=2, filters={"importance": {"gte": 0.5}})
    rest = await memory.list(
        user_id=user, order="oldest", limit=9, filters={"importance": {"gte": 0.5}}, cursor=page.next_cursor
    )
    changed = await memory.update(one.id, if_version=1, content="Ana avoids peanuts.", expires_at="2999-01-01")
    pinned = await memory.pin(one.id)
    await memory.delete(one.id)
    gone = await raised(memory.get(one.id))
    restored = await memory.restore(one.id)
    before = await memory.get(one.id, known_at=one.created_at)
    history = await memory.history(one.id)
    lines = [line async for line in memory.export(user_id=user, run_id="moving")]
    skipped = await memory.import_(lines)
    imported = await memory.import_(['{"content": "from \u2028 a line"}', ""], user_id=user, pinned=True)
    pairs = await memory.duplicates(user_id=user, threshold=0.9)
    counts = await memory.stats(user_id=user)
    deleted = await memory.delete_all(user_id=user, run_id="moving")
    report = await memory.doctor()
    tidied = await memory.vacuum(purge_after_days=3650)
    return [
        again.duplicates == [one.id],
        [(record.content, record.role, record.actor, record.occurred_at) for record in talk.memories[:3]],
        (many.added, many.duplicates),
        (found.hits[0].memory.content, sorted(found.hits[0].signals or {})),
        ("Lisbon" in packed.text, packed.budget),
        [record.content for record in [*page.items, *rest.items]],
        (changed.content, changed.version, changed.expires_at, changed.metadata),
        (pinned.pinned, gone, restored.version, before.content),
        [(change.version, change.change) for change in history],
        [json.loads(line)["versions"][0]["memory"]["content"] for line in lines],
        (skipped.imported, skipped.skipped, imported.imported),
        [pair.similarity >= 0.9 for pair in pairs[:1]],
        (counts.memories, counts.pinned, counts.deleted, counts.users, counts.runs, counts.kinds),
        (deleted.deleted, report.healthy, report.findings, tidied.purged_memories),
    ]


async def test_client_tells_the_story_of_the_embedded_library(client: AsyncClient, memory: AsyncMemory) -> None:
    assert await story(client, f"ana-{uuid4().hex}") == await story(memory, "ana")


async def failures(memory: AsyncMemory | AsyncClient, user: str) -> list[str]:
    """Name the errors of calls that cannot be done."""
    record = (await memory.add("once", user_id=user, idempotency_key=f"key-{user}")).memories[0]
    return [
        await raised(memory.get(uuid4())),
        await raised(memory.get("no id")),
        await raised(memory.update(record.id, if_version=7, content="x")),
        await raised(memory.delete(uuid4())),
        await raised(memory.restore(uuid4())),
        await raised(memory.history(uuid4())),
        await raised(memory.add("other", user_id=user, idempotency_key=f"key-{user}")),
        await raised(memory.add(" ")),
        await raised(memory.add([])),
        await raised(memory.search("x", filters={"nothing": 1})),
        await raised(memory.list(cursor="nonsense")),
        await raised(memory.list(limit=0)),
        await raised(memory.delete_all()),
        await raised(memory.import_(['{"content": "x"}', "{"])),
        await raised(memory.add_many(["x", {"kind": "unheard of"}])),
    ]


async def test_client_raises_the_errors_of_the_embedded_library(client: AsyncClient, memory: AsyncMemory) -> None:
    theirs = await failures(memory, "ana")

    assert await failures(client, uuid4().hex) == theirs
    assert {kind.__name__ for kind in (NotFound, InvalidInput, VersionConflict, IdempotencyConflict)} <= set(theirs)
    assert {kind.__name__ for kind in (InvalidFilter, InvalidCursor, EmptyScope, ImportFailed)} <= set(theirs)


async def test_all_memories_are_read_page_by_page(client: AsyncClient) -> None:
    user = uuid4().hex
    await client.add_many((f"Note {number}" for number in range(25)), user_id=user)

    contents = [memory.content async for memory in client.iterate(user_id=user, order="oldest", page_size=10)]

    assert contents == [f"Note {number}" for number in range(25)]


async def test_many_are_changed_and_deleted_together_or_not_at_all(client: AsyncClient) -> None:
    user = uuid4().hex
    added = (await client.add(["one", "two"], user_id=user)).memories
    ids = [memory.id for memory in added]

    changed = await client.update_many(
        [{"id": ids[0], "importance": 1}, {"id": ids[1], "if_version": 1, "pinned": True}]
    )
    with pytest.raises(NotFound):
        await client.delete_many([ids[0], uuid4()])
    kept = (await client.stats(user_id=user)).memories
    gone = await client.delete_many([ids[0], {"id": ids[1], "if_version": 2}])

    assert [(memory.importance, memory.pinned, memory.version) for memory in changed] == [(1, False, 2), (0.5, True, 2)]
    assert (kept, gone.deleted) == (2, 2)


async def test_classes_are_given_asked_for_and_changed(client: AsyncClient) -> None:
    user_id = f"classes-{uuid4().hex}"
    (one,) = (await client.add("The vault opens at noon", user_id=user_id, classification="restricted")).memories
    (two,) = (await client.add({"content": "The vault is old", "classification": "public"}, user_id=user_id)).memories
    await client.import_([json.dumps({"content": "The vault is red"})], user_id=user_id, classification="confidential")
    found = (await client.search("vault", user_id=user_id)).hits
    guarded = (await client.list(user_id=user_id, filters={"classification": "restricted"})).items
    await client.update_many(
        [{"id": one.id, "classification": "internal"}, {"id": two.id, "classification": "restricted"}]
    )
    again = (await client.search("vault", user_id=user_id)).hits

    assert {hit.memory.classification.value for hit in found} == {"public", "confidential"}
    assert [record.id for record in guarded] == [one.id]
    assert {hit.memory.classification.value for hit in again} == {"internal", "confidential"}


async def test_version_can_be_expected_of_every_change(client: AsyncClient) -> None:
    record = (await client.add("text", user_id=uuid4().hex)).memories[0]

    for change in (client.pin(record.id, if_version=9), client.delete(record.id, if_version=9)):
        with pytest.raises(VersionConflict):
            await change
    await client.delete(record.id, if_version=1)


async def test_client_knows_who_is_asking_and_what_is_there(client: AsyncClient) -> None:
    user = uuid4().hex
    await client.add("text", user_id=user)

    me = await client.me()
    users = [item for item in (await client.entities("users", limit=1000)).items if item.id == user]
    usage = await client.usage()
    about = await client.info()

    assert (me.organization, me.role) == ("local", "owner")
    assert [item.memories for item in users] == [1]
    assert usage.storage.memories >= 1
    assert about.organization == "local"


async def test_bound_key_reaches_its_user_until_it_is_revoked(client: AsyncClient, server: ServerProcess) -> None:
    user = uuid4().hex
    issued = await client.keys.create("bot", binding={"user_id": user}, scopes=["memory:read", "memory:write"])
    assert issued.key is not None
    async with AsyncClient(issued.key, base_url=server.url) as bound:
        record = (await bound.add("mine")).memories[0]
        with pytest.raises(PermissionDenied):
            await bound.add("another's", user_id="somebody")
        renamed = await client.keys.update(issued.api_key.id, if_version=issued.api_key.version, name="robot")
        successor = await client.keys.rotate(issued.api_key.id, overlap_seconds=60)
        await client.keys.revoke(issued.api_key.id, reason="test")
        with pytest.raises(Unauthenticated):
            await bound.me()

    assert record.user_id == user
    assert issued.key not in repr(issued)
    assert renamed.name == "robot"
    assert successor.api_key.rotated_from == issued.api_key.id
    assert (await client.keys.get(issued.api_key.id)).revoke_reason == "test"
    assert issued.api_key.id in [key.id for key in (await client.keys.list(limit=1000)).items]


async def test_members_and_roles_are_administered(client: AsyncClient) -> None:
    member = await client.members.create("Bo", role="viewer", kind="person")

    changed = await client.members.update(member.id, if_version=member.version, role="member")
    disabled = await client.members.disable(member.id)

    assert (changed.role, disabled.disabled_at is not None) == ("member", True)
    assert (await client.members.get(member.id)).name == "Bo"
    assert member.id in [item.id for item in (await client.members.list(limit=1000)).items]
    assert "owner" in [view.role for view in await client.members.roles()]


async def test_organization_can_demand_versions(client: AsyncClient) -> None:
    record = (await client.add("text", user_id=uuid4().hex)).memories[0]

    async def demanded() -> bool:
        try:
            await client.pin(record.id)
        except PreconditionRequired:
            return True
        return False

    async def waived() -> bool:
        return not await demanded()

    # A server may go by the old rule for a moment.
    before = await client.organization.get()
    after = await client.organization.update(if_version=before.version, require_if_match=True)
    await eventually(demanded)
    present = await client.get(record.id)
    await client.pin(record.id, pinned=False, if_version=present.version)
    await client.organization.update(if_version=after.version, require_if_match=False)
    await eventually(waived)


async def test_audit_trail_is_listed_exported_and_verified(client: AsyncClient) -> None:
    record = (await client.add("text", user_id=uuid4().hex)).memories[0]

    entries = (await client.audit.list(target=record.id, action="memory.added")).items
    exported = [json.loads(line)["id"] async for line in client.audit.export()]
    verified = await client.audit.verify()

    assert [entry.targets for entry in entries] == [[record.id]]
    assert str(entries[0].id) in exported
    assert verified.whole


async def test_owner_is_no_operator(client: AsyncClient) -> None:
    with pytest.raises(PermissionDenied):
        await client.platform.list()


@pytest.mark.parametrize("key", [None, "amk_live_abcdefghijkl_" + "x" * 49, "no key at all".replace(" ", "-")])
async def test_nobody_is_let_in_without_a_key(key: str | None, server: ServerProcess) -> None:
    async with AsyncClient(key, base_url=server.url) as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.search("anything")


async def test_closed_client_sends_nothing(server: ServerProcess) -> None:
    async with AsyncClient(server.key, base_url=server.url) as client:
        await client.me()
    with pytest.raises(Closed):
        await client.me()


def test_examples_of_client_md_run_from_top_to_bottom(server: ServerProcess) -> None:
    page = (ROOT / "docs" / "reference" / "client.md").read_text(encoding="utf-8")
    examples = "".join(block.text for block in blocks(page) if block.language == "python")
    assert examples.count('Client("amk_live_...")') == 1
    program = examples.replace('"amk_live_..."', f"{server.key!r}, base_url={server.url!r}")

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Ana is allergic to peanuts.\n"
