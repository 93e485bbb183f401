"""Classes of memories: what each gives up, who may lower one, and which rules raise them."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from pydantic import SecretStr

from agentmem import AsyncMemory
from agentmem.features.memories.upkeep import Embedded
from agentmem.foundation.inference.endpoint import EMBEDDER
from agentmem.foundation.inference.remote import OpenAICompatibleEmbedder, RemoteModel
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.kit.ids import Place
from agentmem.pipelines.retrieval.rerank import Reranking
from agentmem.schemas.access import Role
from agentmem.schemas.classification import Classification, embeddable
from agentmem.schemas.health import FindingCode
from agentmem.schemas.memories import MemoryRecord, SearchMode
from tests.support.embedders import HashEmbedder, KeepingReranker, RemoteEmbedder
from tests.support.embedding_vendor import DIMENSIONS, KEY, embedding_vendor
from tests.support.served import api
from tests.support.stores import Owner, Store

CANARY = "zqxvkjwp"
SAID = f"The vault of {CANARY} opens at noon"
PUBLIC, INTERNAL, CONFIDENTIAL, RESTRICTED = Classification
INDEXES = ("vectors", "index_entries")


async def set_rules(memory: AsyncMemory, *rules: dict[str, object]) -> None:
    async with api(memory) as client:
        policy = {"kind": "classification", "rules": rules}
        answer = await client.put("/v1/organization/policies/classification", json={"policy": policy})
        assert answer.status_code == 200, answer.text


def indexed(owner: Owner, memory: AsyncMemory) -> dict[str, int]:
    """Count what finds the organization's memories."""
    organization = [memory.app.caller.organization_id]
    counts = {
        table: f"SELECT count(*) FROM agentmem.{table} WHERE organization_id = %s"  # names of ours
        for table in INDEXES
    }
    counts["postings"] = "SELECT coalesce(sum(length(packed)), 0) FROM agentmem.postings WHERE organization_id = %s"
    counts["documents"] = "SELECT coalesce(sum(documents), 0) FROM agentmem.scope_statistics WHERE organization_id = %s"
    return {name: int(str(owner.execute(query, organization).fetchone()[0])) for name, query in counts.items()}  # type: ignore[index]  # a row of one number


async def modes_that_find(memory: AsyncMemory, query: str, memory_id: UUID) -> set[str]:
    found = set()
    for mode in SearchMode:
        hits = (await memory.search(query, mode=mode)).hits
        if any(hit.memory.id == memory_id for hit in hits):
            found.add(mode.value)
    return found


async def test_a_restricted_memory_is_in_no_index_and_is_given_by_its_id_and_in_lists_alone(
    memory: AsyncMemory, owner: Owner
) -> None:
    turns = [{"role": "user", "content": SAID}, {"role": "user", "content": f"{CANARY} again"}]
    added = (await memory.add(turns, run_id="r", classification="restricted")).memories
    changed = await memory.update(added[0].id, content=f"{SAID}, and at night")

    assert indexed(owner, memory) == {"vectors": 0, "index_entries": 0, "postings": 0, "documents": 0}
    assert [await modes_that_find(memory, CANARY, record.id) for record in added] == [set(), set()]
    assert (await memory.context(CANARY)).citations == []
    assert (await memory.get(changed.id)).content == f"{SAID}, and at night"
    listed = (await memory.list(filters={"classification": "restricted"})).items
    assert {record.id for record in listed} == {record.id for record in added}
    assert (await memory.stats()).pending_vectors == 0
    assert (await memory.doctor()).healthy


async def test_raising_a_memory_takes_all_it_ever_said_out_of_the_indexes_and_lowering_it_puts_that_back(
    memory: AsyncMemory, owner: Owner
) -> None:
    turns = [{"role": "user", "content": SAID}, {"role": "user", "content": "Bo waits at the gate"}]
    first, _ = (await memory.add(turns, user_id="bo", run_id="r")).memories
    await memory.update(first.id, content=f"The vault of {CANARY} opens at dusk")
    before = indexed(owner, memory)

    raised = await memory.update(first.id, classification="restricted")
    alone = indexed(owner, memory)
    hidden = await modes_that_find(memory, CANARY, first.id)
    healthy = (await memory.doctor()).healthy
    lowered = await memory.update(first.id, classification="internal")

    assert (raised.classification, lowered.classification) == (RESTRICTED, INTERNAL)
    assert {version.memory.classification for version in await memory.history(first.id)} == {INTERNAL}
    assert hidden == set()
    assert healthy
    assert {name: alone[name] for name in (*INDEXES, "documents")} == {"vectors": 1, "index_entries": 1, "documents": 1}
    assert alone["postings"] < before["postings"]
    assert indexed(owner, memory) == before
    assert await modes_that_find(memory, f"{CANARY} dusk", first.id) == set(SearchMode)
    assert (await memory.doctor()).healthy


async def test_one_change_may_change_the_text_and_the_class(memory: AsyncMemory, owner: Owner) -> None:
    (added,) = (await memory.add("nothing of note")).memories
    await memory.update(added.id, content=SAID, classification="restricted")
    none = indexed(owner, memory)
    await memory.update(added.id, content="The vault is empty", classification="public")

    assert set(none.values()) == {0}
    assert await modes_that_find(memory, "empty vault", added.id) == set(SearchMode)
    assert (await memory.doctor()).healthy


async def test_what_is_confidential_is_never_sent_to_a_provider_and_is_found_by_its_words(store: Store) -> None:
    embedder, reranker = RemoteEmbedder(), KeepingReranker()
    memory = await store.with_embedder(embedder)
    added = (
        await memory.add(
            [SAID, {"content": "The tulips are red", "classification": "internal"}], classification="confidential"
        )
    ).memories
    (secret,) = (await memory.add(f"{CANARY} is locked", classification="restricted")).memories
    (later,) = (await memory.add("Ada keeps a diary of roses")).memories
    raised = await memory.update(later.id, classification="confidential")
    (derived,) = (await memory.add(f"of {CANARY}", source={"parents": [added[0].id]})).memories
    filled = await memory.app.upkeep.fill_pending(memory.app.caller)
    filled += await memory.app.upkeep.fill_vectors(memory.app.caller, embedder)
    found = await memory.search("vault tulips roses")
    reranked = await Reranking(reranker=reranker, depth=10).apply("vault tulips roses", found, str)
    report = await memory.doctor()

    assert [record.classification for record in (*added, derived)] == [CONFIDENTIAL, INTERNAL, CONFIDENTIAL]
    assert (report.healthy, report.pending_vectors, filled) == (True, 0, 0)
    assert {hit.memory.id for hit in found.hits} >= {added[0].id, added[1].id, raised.id}
    assert [hit.memory.id for hit in reranked.hits] == [hit.memory.id for hit in found.hits]
    assert await modes_that_find(memory, "vault noon", added[0].id) == {"lexical", "hybrid"}
    assert await modes_that_find(memory, CANARY, secret.id) == set()
    assert not any(CANARY in text for text in embedder.sent if text not in {"vault noon", CANARY})
    assert reranker.sent == ["vault tulips roses", "The tulips are red"]
    assert (await memory.stats()).pending_vectors == 0


async def test_a_vendor_of_embeddings_never_sees_what_is_guarded(store: Store) -> None:
    with embedding_vendor() as vendor:
        remote = RemoteModel(name="words", dimensions=DIMENSIONS, base_url=vendor.url, api_key=SecretStr(KEY))
        embedder = OpenAICompatibleEmbedder.open(remote, Guarded(EMBEDDER))
        memory = await store.with_embedder(embedder)
        await set_rules(memory, {"classification": "confidential", "detects": ["card"]})
        given = [
            (SAID, "restricted"),
            (f"{CANARY} pays by 4111 1111 1111 1111", "public"),
            ("The tulips are red", "public"),
        ]
        for content, classification in given:
            (added,) = (await memory.add(content, classification=classification)).memories
            await memory.update(added.id, content=f"{content}, she said")
        lines = [line async for line in memory.export()]
        twin = await store.organization(app=memory.app)
        await twin.import_(lines)
        await twin.app.upkeep.fill_vectors(twin.app.caller, twin.app.models.current)
        report = await twin.doctor(repair=True)
        await embedder.aclose()
        seen = [text for batch in vendor.batches for text in batch]

    assert report.healthy
    assert set(seen) == {"The tulips are red", "The tulips are red, she said"}


async def test_another_model_reads_what_it_may_alone(store: Store) -> None:
    remote = RemoteEmbedder()
    memory = await store.organization()

    async def opener(_: str) -> RemoteEmbedder:
        return remote

    twin = store.another_process(memory, memory.app.models.current, opener)
    for classification in Classification:
        await twin.add(f"{CANARY} is {classification.value}", classification=classification)
    await twin.reembed(remote.model)

    assert sorted(remote.sent) == [f"{CANARY} is internal", f"{CANARY} is public"]
    assert (await twin.doctor()).healthy


async def test_vectors_that_come_late_are_not_written_for_what_was_restricted_meanwhile(
    store: Store, owner: Owner
) -> None:
    memory, other = await store.organization(), HashEmbedder("other@1")
    (added,) = (await memory.add(SAID)).memories
    upkeep, caller = memory.app.upkeep, memory.app.caller
    asked = Embedded(model=other.model, classes=embeddable(sends_texts=False))
    found = await upkeep.memories.lacking(caller, asked, Place(-1), 10)
    assert found is not None
    made = await upkeep.prepare(caller, found.versions, other)
    await memory.update(added.id, classification="restricted")

    assert await upkeep.memories.complete(caller, made) == 0
    assert set(indexed(owner, memory).values()) == {0}


async def test_only_who_may_declassify_lowers_a_class_and_the_trail_names_the_classes(
    memory: AsyncMemory, owner: Owner
) -> None:
    (added,) = (await memory.add(SAID, classification="restricted")).memories
    path, lower = f"/v1/memories/{added.id}", {"classification": "internal"}
    async with api(memory, role=Role.MEMBER) as member, api(memory, role=Role.ADMIN) as admin:
        refused = await member.patch(path, json=lower)
        in_batch = await member.post("/v1/memories/batch/update", json={"changes": [{"id": str(added.id), **lower}]})
        lowered = await admin.patch(path, json=lower)
        raised = await member.patch(path, json={"classification": "confidential"})
    details = owner.execute(
        "SELECT outcome, detail ->> %s FROM agentmem.audit_entries "
        "WHERE %s = ANY (targets) AND action = 'memory.updated' ORDER BY at",
        [f"classification.{added.id}", added.id],
    ).fetchall()

    assert (refused.status_code, in_batch.status_code, lowered.status_code, raised.status_code) == (403, 403, 200, 200)
    assert lowered.json()["classification"] == "internal"
    assert raised.json()["classification"] == "confidential"
    assert details == [("done", "restricted to internal"), ("done", "internal to confidential")]


RULES: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"user_id": "ada"}, {"user_id": "ada"}),
    ({"agent_id": "bot", "app_id": "shop"}, {"agent_id": "bot", "app_id": "shop"}),
    ({"metadata_key": "salary"}, {"metadata": {"salary": 1}}),
    ({"detects": ["email"]}, {"content": "write to ada@example.com"}),
    ({"detects": ["email", "card"]}, {"metadata": {"paid": ["4111 1111 1111 1111"]}}),
    ({"origins": ["tool"]}, {"role": "tool", "run_id": "r"}),
]


@pytest.mark.parametrize("rule, met", RULES)
async def test_a_rule_raises_what_meets_it_and_nothing_else(
    memory: AsyncMemory, rule: dict[str, object], met: dict[str, object]
) -> None:
    await set_rules(memory, {"classification": "confidential", **rule})
    (raised,) = (await memory.add([{"content": "text", "classification": "public", **met}])).memories
    (other,) = (await memory.add("another text", classification="public")).memories
    (higher,) = (await memory.add([{"content": "third", "classification": "restricted", **met}])).memories

    assert raised.classification is CONFIDENTIAL
    assert other.classification is PUBLIC
    assert higher.classification is RESTRICTED


async def test_no_change_lowers_a_memory_below_a_rule_and_a_change_may_meet_one(memory: AsyncMemory) -> None:
    await set_rules(
        memory,
        {"classification": "restricted", "detects": ["iban"]},
        {"classification": "confidential", "metadata_key": "salary"},
    )
    (added,) = (await memory.add("plain words")).memories
    paid = await memory.update(added.id, metadata={"salary": 3})
    kept = await memory.update(added.id, classification="public")
    found = await memory.update(added.id, content="from DE89 3704 0044 0532 0130 00")
    stays = await memory.update(added.id, content="plain again")
    lowered = await memory.update(added.id, classification="internal", metadata={})
    line = json.dumps({"content": "to DE89 3704 0044 0532 0130 00"})
    await memory.import_([line])
    imported = (await memory.list(limit=1)).items[0]

    assert paid.classification is CONFIDENTIAL
    assert kept.classification is CONFIDENTIAL
    assert (found.classification, stays.classification, lowered.classification) == (RESTRICTED, RESTRICTED, INTERNAL)
    assert imported.classification is RESTRICTED
    assert (await memory.doctor()).healthy


async def test_what_is_derived_is_guarded_like_the_best_guarded_of_its_parents(
    memory: AsyncMemory, owner: Owner
) -> None:
    parents = [
        (await memory.add(f"{CANARY} {name}", classification=name)).memories[0] for name in ("public", "restricted")
    ]
    await memory.update(parents[0].id, importance=0.6)
    before = indexed(owner, memory)
    (derived,) = (await memory.add("both", source={"parents": [parent.id for parent in parents]})).memories

    assert derived.classification is RESTRICTED
    assert indexed(owner, memory) == before


async def test_a_text_that_is_to_be_guarded_better_is_not_taken_for_the_one_that_is_there(memory: AsyncMemory) -> None:
    first = await memory.add(SAID)
    guarded = await memory.add(SAID, classification="restricted")
    again = await memory.add(SAID, classification="restricted")
    lower = await memory.add(SAID)

    assert (first.duplicates, guarded.duplicates) == ([], [])
    assert again.duplicates == lower.duplicates == [guarded.memories[0].id]


async def test_classes_are_carried_by_exports_and_kept_by_rollbacks(
    store: Store, memory: AsyncMemory, owner: Owner
) -> None:
    (added,) = (await memory.add(SAID)).memories
    raised = await memory.update(added.id, content="otherwise", classification="restricted")
    lines = [line async for line in memory.export()]
    other = await store.organization()
    await other.import_(lines)
    await memory.rollback(added.updated_at, dry_run=False)

    assert (await other.get(added.id)).classification is RESTRICTED
    assert set(indexed(owner, other).values()) == {0}
    back = await memory.get(added.id)
    assert (back.content, back.classification) == (SAID, RESTRICTED)
    assert set(indexed(owner, memory).values()) == {0}
    assert raised.version == 2
    assert (await memory.doctor()).healthy
    assert (await other.doctor()).healthy


async def test_a_rollback_to_what_meets_a_rule_raises_the_memory(memory: AsyncMemory, owner: Owner) -> None:
    await set_rules(memory, {"classification": "restricted", "detects": ["iban"]})
    (added,) = (await memory.add(f"{CANARY} has DE89 3704 0044 0532 0130 00")).memories
    await memory.update(added.id, content="nothing")
    lowered = await memory.update(added.id, classification="internal", content="nothing at all")
    await memory.rollback(added.updated_at, dry_run=False)
    back = await memory.get(added.id)

    assert (lowered.classification, back.classification, back.content) == (INTERNAL, RESTRICTED, added.content)
    assert set(indexed(owner, memory).values()) == {0}
    assert (await memory.doctor()).healthy


async def test_the_doctor_takes_out_of_the_indexes_what_may_not_be_there(memory: AsyncMemory, owner: Owner) -> None:
    (added,) = (await memory.add(SAID)).memories
    (other,) = (await memory.add("stays")).memories
    owner.execute("UPDATE agentmem.memories SET classification = 'restricted' WHERE memory_id = %s", [added.id])
    report = await memory.doctor()
    repaired = await memory.doctor(repair=True)

    assert {finding.code for finding in report.findings} == {FindingCode.INDEX_FOREIGN}
    assert repaired.healthy
    assert indexed(owner, memory)["vectors"] == 1
    assert await modes_that_find(memory, "stays", other.id) == set(SearchMode)


def classes(records: list[MemoryRecord]) -> list[Classification]:
    return [record.classification for record in records]


async def test_a_class_is_filtered_by(memory: AsyncMemory) -> None:
    await memory.add([{"content": f"{name} tea", "classification": name} for name in Classification])
    guarded = {"classification": {"in": ["confidential", "restricted"]}}

    assert set(classes((await memory.list(filters=guarded)).items)) == {CONFIDENTIAL, RESTRICTED}
    assert classes([hit.memory for hit in (await memory.search("tea", filters=guarded)).hits]) == [CONFIDENTIAL]
