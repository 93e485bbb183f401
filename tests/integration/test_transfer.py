from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import ContentTooLarge, ImportFailed
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.clock import utc_now
from agentmem.kit.ids import PrincipalId
from agentmem.schemas.memories import Change, SearchMode
from tests.support.stores import Store


async def exported(memory: AsyncMemory, **scope: str) -> list[str]:
    return [line async for line in memory.export(**scope)]


async def histories(memory: AsyncMemory, lines: Sequence[str]) -> list[Sequence[Change]]:
    ids = [json.loads(line)["versions"][0]["memory"]["id"] for line in lines]
    return [await memory.history(memory_id) for memory_id in ids]


async def live_a_life(memory: AsyncMemory) -> None:
    """Leave memories of every sort: changed, pinned, deleted, restored, in conversations and alone."""
    await memory.add(
        [
            {"role": "user", "name": "Zoë", "content": "Where did we leave the tent?"},
            {"role": "assistant", "content": "In the attic, last June.", "metadata": {"sure": None, "tags": [1, [2]]}},
        ],
        user_id="zoe",
        run_id="r1",
        occurred_at="2023-06-30T23:59:59.123456Z",
    )
    plain = await memory.add("线上会议改到周四", metadata={"nested": {"deep": [None, True, 1.5]}}, importance=0.125)
    changed = await memory.add("first words", user_id="u", kind="semantic", agent_id="a", app_id="b")
    await memory.update(changed.memories[0].id, content="second words", metadata={"v": 2})
    await memory.pin(changed.memories[0].id)
    gone = await memory.add("deleted words", user_id="u", expires_at=datetime.now(UTC) + timedelta(days=400))
    await memory.delete(gone.memories[0].id)
    back = await memory.add("restored words", user_id="u")
    await memory.delete(back.memories[0].id)
    await memory.restore(back.memories[0].id)
    await memory.pin(plain.memories[0].id)


async def test_everything_is_the_same_after_export_and_import(store: Store, memory: AsyncMemory) -> None:
    await live_a_life(memory)
    lines = await exported(memory)
    other = await store.organization()
    steps: list[int] = []
    result = await other.import_(lines, progress=steps.append)

    assert (result.imported, result.skipped, sum(steps)) == (6, 0, 6)
    assert await exported(other) != []
    assert await histories(other, lines) == await histories(memory, lines)


async def test_a_history_longer_than_a_client_may_send_in_a_line_is_carried_whole(store: Store) -> None:
    transfer = replace(store.app.transfer, ingestion=replace(store.app.ingestion, content_limit=20_000))
    memory, other = [await store.organization(app=replace(store.app, transfer=transfer)) for _ in range(2)]
    added = (await memory.add("x" * 19_900)).memories[0]
    for number in range(19):
        await memory.update(added.id, content=f"{number} " + "x" * 19_900)
    lines = await exported(memory)

    assert [len(line) > transfer.longest_line for line in lines] == [True]
    assert (await other.import_(lines)).imported == 1
    assert await histories(other, lines) == await histories(memory, lines)


def unthreaded(line: str) -> dict[str, object]:
    value: dict[str, object] = json.loads(line)
    value.pop("thread")
    return value


async def test_imported_memories_are_found_like_the_originals(store: Store, memory: AsyncMemory) -> None:
    await live_a_life(memory)
    other = await store.organization()
    await other.import_(await exported(memory))

    for mode in ("hybrid", "lexical", "semantic"):
        for query in ("second words", "where is the tent?", "Zoë", "线上会议", "deleted words", "first words"):
            mine = (await memory.search(query, mode=mode)).hits
            theirs = (await other.search(query, mode=mode)).hits
            assert [hit.memory for hit in theirs] == [hit.memory for hit in mine]


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "semantic"])
async def test_earlier_contents_of_imported_memories_are_found_at_the_time_when_they_stood(
    store: Store, memory: AsyncMemory, mode: SearchMode
) -> None:
    turns = [{"role": "user", "content": f"part {number} of the plan"} for number in range(3)]
    (_, middle, _) = (await memory.add(turns, user_id="u", run_id="r")).memories
    times = [utc_now()]
    for content in ("a violin in Oslo", "a harp in Rome", "part 1 of the plan"):
        await memory.update(middle.id, content=content)
        await memory.update(middle.id, importance=0.75)
        times.append(utc_now())
    other = await store.organization()
    await other.import_(await exported(memory))

    for query, known_at, content in zip(
        ("part 1", "violin in Oslo", "harp in Rome", "part 1"),
        times,
        ("part 1 of the plan", "a violin in Oslo", "a harp in Rome", "part 1 of the plan"),
        strict=True,
    ):
        hits = (await other.search(query, mode=mode, known_at=known_at)).hits
        assert hits[0].memory.content == content
        assert hits == (await memory.search(query, mode=mode, known_at=known_at)).hits
    report = await other.doctor()
    assert (report.findings, report.versions, report.places) == ([], 9, 6)
    assert [json.loads(line)["versions"][-1]["memory"]["content"] for line in await exported(other)] == [
        f"part {number} of the plan" for number in range(3)
    ]


async def test_importing_again_passes_over_what_is_there(store: Store, memory: AsyncMemory) -> None:
    await live_a_life(memory)
    lines = await exported(memory)
    other = await store.organization()
    await other.import_(lines)
    before = await exported(other)
    again = await other.import_(lines)

    assert (again.imported, again.skipped) == (0, 6)
    assert await exported(other) == before


async def test_line_that_stands_twice_is_imported_once(store: Store, memory: AsyncMemory) -> None:
    await memory.add(["one", "two"])
    lines = await exported(memory)
    other = await store.organization()
    result = await other.import_([*lines, *lines])

    assert (result.imported, result.skipped) == (2, 2)
    assert (await other.stats()).memories == 2


async def test_interrupted_import_is_finished_by_importing_again(store: Store, memory: AsyncMemory) -> None:
    await memory.add([f"item {n}" for n in range(9)])
    lines = await exported(memory)
    other = await store.organization()
    await other.import_(lines[:4])

    assert (await other.import_(lines)).imported == 5
    assert (await other.stats()).memories == 9


async def test_export_of_a_scope_holds_that_scope_alone(store: Store, memory: AsyncMemory) -> None:
    await live_a_life(memory)
    lines = await exported(memory, user_id="u")

    assert {json.loads(line)["versions"][-1]["memory"]["user_id"] for line in lines} == {"u"}
    assert len(lines) == 3
    assert await exported(memory, user_id="nobody") == []


async def test_expired_memories_are_exported_too(memory: AsyncMemory) -> None:
    added = await memory.add("soon gone", expires_at=datetime.now(UTC) + timedelta(milliseconds=50))
    expires = added.memories[0].expires_at
    assert expires is not None
    while datetime.now(UTC) < expires:
        await memory.stats()

    assert (await memory.list()).items == []
    assert len(await exported(memory)) == 1


async def test_plain_memories_messages_and_texts_can_be_imported(memory: AsyncMemory) -> None:
    async def stream() -> AsyncIterator[str]:
        yield json.dumps({"content": "a memory", "kind": "core", "user_id": "own"})
        yield ""
        yield json.dumps({"role": "user", "name": "Kim", "content": "a turn"})
        yield json.dumps("a text") + "\r\n"

    result = await memory.import_(stream(), user_id="given")
    found = {record.content: record for record in (await memory.list()).items}

    assert result.imported == 3
    assert (found["a memory"].kind, found["a memory"].user_id) == ("core", "own")
    assert (found["a turn"].actor, found["a turn"].user_id, found["a text"].user_id) == ("Kim", "given", "given")


GOOD = '"a good line"'
RECORD = {
    "id": "01a204c1-94fc-71ac-9548-a8c29b8da765",
    "content": "x",
    "kind": "episodic",
    "origin": "operator",
    "authority": "operator",
    "metadata": {},
    "importance": 0.5,
    "pinned": False,
    "occurred_at": "2024-01-01T00:00:00Z",
    "created_at": "2024-01-01T00:00:00Z",
    "updated_at": "2024-01-01T00:00:00Z",
    "version": 1,
}


def export_line(*versions: dict[str, object], **changes: object) -> str:
    wrapped = [{"change": "added", "changed_by": "local", "memory": version} for version in versions]
    return json.dumps({"format": 1, "thread": 1, "versions": wrapped, **changes})


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "not json",
        '{"content": "secret-word", "importance": NaN}',
        '{"content": "secret-word", "importance": Infinity}',
        "17",
        "null",
        "[]",
        '["secret-word"]',
        "{}",
        '{"content": " "}',
        '{"content": 5}',
        '{"content": "secret-word", "kind": "unknown"}',
        '{"content": "secret-word", "colour": "red"}',
        '{"content": "secret-word\\u0000"}',
        '{"content": "secret-word\\ud800"}',
        '{"content": "secret-word", "occurred_at": "2023-02-30"}',
        '{"role": "emperor", "content": "secret-word"}',
        "[" * 100_000,
        '{"content": "secret-word", "metadata": {"n": 1' + "0" * 5000 + "}}",
        '{"versions": []}',
        '{"versions": 5}',
        export_line(RECORD, format=2),
        export_line({**RECORD, "version": 2}),
        export_line(RECORD, RECORD),
        export_line(RECORD, {**RECORD, "version": 2, "id": "01a204c1-94fc-71ac-9548-a8c29b8da766"}),
        export_line({**RECORD, "content": ""}),
        export_line({**RECORD, "updated_at": "9999-12-31T23:59:59.999999Z"}),
        export_line({**RECORD, "content": "nul\0"}),
        export_line({**RECORD, "id": "nobody"}),
        export_line({**RECORD, "organization_id": "x"}),
        export_line({**RECORD, "user_id": "\ud800"}),
        export_line({**RECORD, "created_at": "0001-01-01T00:00:00+14:00"}),
        export_line({**RECORD, "occurred_at": "9999-12-31T23:59:59-14:00"}),
        export_line({**RECORD, "updated_at": 1704067200}),
        export_line({**RECORD, "occurred_at": "1704067200"}),
        export_line({**RECORD, "deleted_at": 0}),
        export_line({**RECORD, "superseded_at": "soon"}),
        '{"content": "secret-word", "expires_at": "2001-01-01"}',
    ],
)
async def test_malformed_line_is_named_by_its_number(memory: AsyncMemory, bad: str) -> None:
    with pytest.raises(ImportFailed, match=r"^Line 3") as caught:
        await memory.import_([GOOD, "", bad, GOOD])

    assert "secret-word" not in str(caught.value)
    assert (await memory.stats()).memories == 0
    assert (await memory.import_([GOOD])).imported == 1


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9998-12-31T23:59:59.999999Z"])
async def test_first_and_last_moment_of_the_calendar_are_imported_and_listed(memory: AsyncMemory, time: str) -> None:
    times = dict.fromkeys(("occurred_at", "created_at", "updated_at"), time)
    await memory.import_([export_line({**RECORD, **times})])

    (record,) = (await memory.list()).items
    assert {record.occurred_at, record.created_at, record.updated_at} == {datetime.fromisoformat(time)}
    assert (await memory.search("x")).hits[0].memory == record


async def test_content_over_the_limit_is_refused_in_every_version(memory: AsyncMemory) -> None:
    large = "x" * (1024 * 1024 + 1)
    for bad in (
        json.dumps({"content": large}),
        export_line({**RECORD, "content": large}),
        export_line({**RECORD, "content": large}, {**RECORD, "version": 2}),
    ):
        with pytest.raises(ContentTooLarge, match=r"^Line 2: The content has 1048577 bytes"):
            await memory.import_([GOOD, bad])

    assert (await memory.stats()).versions == 0


async def test_what_is_imported_without_a_history_has_the_origin_import(memory: AsyncMemory) -> None:
    plain = ["a text", {"content": "a memory"}, {"role": "user", "content": "a turn"}]
    said = [{"role": "assistant", "content": "an answer"}, {"role": "tool", "content": "a result"}]
    await memory.import_(map(json.dumps, [*plain, *said]))
    records = (await memory.list()).items

    assert len(records) == 5
    assert {(record.origin, record.authority) for record in records} == {("import", "import")}
    assert (await memory.search("text", filters={"origin": {"ne": "import"}})).hits == []


async def test_import_by_one_who_may_not_maintain_claims_no_higher_trust(store: Store, memory: AsyncMemory) -> None:
    added = await memory.add("trust me")
    await memory.update(added.memories[0].id, importance=1.0)
    lines = await exported(memory)
    other = await store.organization()
    caller = replace(
        other.app.caller,
        principal_id=PrincipalId("member:1"),
        permissions=frozenset({Permission.MEMORY_READ, Permission.MEMORY_WRITE}),
    )
    other._opened = replace(other.app, caller=caller)
    await other.import_(lines)
    (record,) = (await other.list()).items

    assert (record.origin, record.authority) == ("import", "import")
    assert [change.changed_by for change in await other.history(record.id)] == ["member:1", "member:1"]
