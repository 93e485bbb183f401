"""An organization's rules about personal data: who sees it, who it is sent to, and whether it is kept at all."""

from __future__ import annotations

import json
from typing import Any

import httpx

from agentmem import AsyncMemory
from agentmem.pipelines.retrieval.rerank import Reranking
from agentmem.schemas.access import Role
from agentmem.schemas.memories import SearchMode
from tests.support.embedders import KeepingReranker, RemoteEmbedder
from tests.support.served import api
from tests.support.stores import Owner, Store

MAIL, CARD, ID = "alice@example.com", "4111 1111 1111 1111", "11010519491231002X"
SAID = f"Alice writes from {MAIL}, pays by {CARD}; 身份证号{ID}"
SHOWN = "Alice writes from a***@e***.com, pays by ***1111; 身份证号[NATIONAL_ID]"
KEPT = "Alice writes from [EMAIL], pays by [CARD]; 身份证号[NATIONAL_ID]"
CLEAR = (MAIL, CARD, ID)


async def set_policy(memory: AsyncMemory, **policy: object) -> None:
    async with api(memory) as owner:
        kind = policy["kind"]
        answer = await owner.put(f"/v1/organization/policies/{kind}", json={"policy": policy})
        assert answer.status_code == 200, answer.text


async def everything_read(client: httpx.AsyncClient, memory_id: str) -> dict[str, str]:
    """Ask every route that tells of memories."""
    path = f"/v1/memories/{memory_id}"
    asked: dict[str, tuple[str, str, Any]] = {
        "get": ("GET", path, None),
        "list": ("GET", "/v1/memories", None),
        "query": ("POST", "/v1/memories/query", {}),
        "search": ("POST", "/v1/memories/search", {"query": "Alice writes"}),
        "context": ("POST", "/v1/context", {"query": "Alice writes", "budget": 500}),
        "history": ("GET", f"{path}/history", None),
        "export": ("GET", "/v1/memories/export", None),
        "duplicates": ("GET", "/v1/memories/duplicates?user_id=u", None),
    }
    return {
        name: (await client.request(method, url, json=body)).raise_for_status().text
        for name, (method, url, body) in asked.items()
    }


async def everything_written(client: httpx.AsyncClient, memory_id: str) -> dict[str, str]:
    """Ask every route that changes memories and says what they are then."""
    path = f"/v1/memories/{memory_id}"
    asked: dict[str, tuple[str, str, Any]] = {
        "add": ("POST", "/v1/memories", {"content": f"again: {SAID}", "user_id": "w"}),
        "update": ("PATCH", path, {"importance": 0.7}),
        "pin": ("PUT", f"{path}/pin", {"pinned": True}),
        "batch": ("POST", "/v1/memories/batch/update", {"changes": [{"id": memory_id, "importance": 0.8}]}),
        "delete": ("DELETE", path, None),
        "restore": ("POST", f"{path}/restore", None),
    }
    return {
        name: (await client.request(method, url, json=body)).raise_for_status().text
        for name, (method, url, body) in asked.items()
    }


async def test_answers_are_masked_for_callers_without_pii_read_where_that_is_the_rule(memory: AsyncMemory) -> None:
    said = {"content": SAID, "actor": MAIL, "metadata": {"cards": [CARD], MAIL: 1}}
    added = (await memory.add([said, {**said, "content": SAID + "."}], user_id="u")).memories
    await memory.update(added[0].id, metadata={"cards": [CARD]})
    await memory.update(added[1].id, metadata={"cards": [CARD]})
    await set_policy(memory, kind="masking", answers=True)
    async with api(memory, role=Role.MEMBER) as member, api(memory, role=Role.ADMIN) as admin:
        masked = await everything_read(member, str(added[0].id))
        clear = await everything_read(admin, str(added[0].id))
        written = await everything_written(member, str(added[0].id))

    for name, text in {**masked, **written}.items():
        if name != "delete":
            assert "***1111" in text, name
        assert not any(secret in text for secret in (CARD, ID)), name
    assert json.loads(masked["get"])["content"] == SHOWN
    for name, text in clear.items():
        assert CARD in text, name
    # What a masked caller changed is stored as it was: masking is for the eye alone.
    assert (await memory.get(added[0].id)).content == SAID


async def test_answers_are_clear_without_a_rule(memory: AsyncMemory) -> None:
    added = (await memory.add(SAID, user_id="u")).memories[0]
    async with api(memory, role=Role.MEMBER) as member:
        assert json.loads((await member.get(f"/v1/memories/{added.id}")).text)["content"] == SAID


async def test_what_is_redacted_before_it_is_stored_is_found_by_nobody(memory: AsyncMemory, owner: Owner) -> None:
    await set_policy(memory, kind="masking", stored=True)
    added = (await memory.add({"content": SAID, "actor": MAIL, "metadata": {"card": CARD}}, user_id="u")).memories[0]
    changed = await memory.update(added.id, content=f"now {SAID}", metadata={"card": CARD})
    exported = [line async for line in memory.export()]
    line = json.dumps({"content": f"imported {SAID}"})
    await memory.import_([line, exported[0].replace(str(added.id), "019b0000-0000-7000-8000-000000000001")])

    assert (added.content, added.actor, added.metadata) == (KEPT, "[EMAIL]", {"card": "[CARD]"})
    assert (changed.content, changed.metadata) == (f"now {KEPT}", {"card": "[CARD]"})
    assert not any(secret in line for secret in CLEAR for line in exported)
    for found in (await memory.list()).items:
        assert not any(secret in found.content for secret in CLEAR)
    hits = (await memory.search("alice example.com 4111", mode=SearchMode.LEXICAL)).hits
    by_mail = await memory.search(MAIL.split("@")[1], mode=SearchMode.LEXICAL)
    assert len(hits) == 3
    assert by_mail.hits == []
    assert (await memory.doctor()).healthy


async def test_texts_for_a_provider_are_masked_where_that_is_the_rule(store: Store) -> None:
    embedder, reranker = RemoteEmbedder(), KeepingReranker()
    memory = await store.with_embedder(embedder)
    await set_policy(memory, kind="masking", prompts=True)
    added = (await memory.add(SAID, user_id="u")).memories[0]
    await memory.update(added.id, content=f"now {SAID}")
    found = await memory.search(f"who is {MAIL}?", user_id="u")
    await Reranking(reranker=reranker, depth=10).apply(
        f"who is {MAIL}?", found, (await memory.app.rules.masking(memory.app.caller.organization_id)).sent
    )
    report = await memory.doctor()

    assert found.hits[0].memory.content == f"now {SAID}"
    assert embedder.sent[:3] == [KEPT, f"now {KEPT}", "who is [EMAIL]?"]
    assert reranker.sent[0] == "who is [EMAIL]?"
    assert not any(secret in text for secret in CLEAR for text in [*embedder.sent, *reranker.sent])
    assert report.healthy


async def test_reads_are_written_down_where_that_is_the_rule(memory: AsyncMemory, owner: Owner) -> None:
    added = (await memory.add("The tulips are red", user_id="u")).memories[0]

    def reads() -> list[tuple[object, ...]]:
        return owner.execute(
            "SELECT actor, targets FROM agentmem.audit_entries WHERE organization_id = %s AND action = 'memory.read' "
            "AND outcome = 'done'",
            [memory.app.caller.organization_id],
        ).fetchall()

    async with api(memory, role=Role.MEMBER) as member:
        await everything_read(member, str(added.id))
        assert reads() == []
        await set_policy(memory, kind="audit", reads=True)
        answers = await everything_read(member, str(added.id))
    await memory.get(added.id)
    found = reads()

    assert len(found) == len(answers) + 1
    # There are no duplicates to tell of.
    assert [row[1] for row in found if row[1]] == [[added.id]] * len(answers)
    assert {str(row[0]).partition(":")[0] for row in found} == {"member", "local"}


async def test_a_pattern_that_is_none_is_refused_and_named(memory: AsyncMemory) -> None:
    async with api(memory) as owner:
        patterns = [{"name": "own", "pattern": "(a+)+b"}]
        answer = await owner.put(
            "/v1/organization/policies/masking", json={"policy": {"kind": "masking", "patterns": patterns}}
        )

    assert answer.status_code == 422
    assert "patterns" in answer.text
