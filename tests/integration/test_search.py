from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import EmbedderUnavailable
from agentmem.schemas.memories import SearchMode, SearchResults
from tests.support.children import run_python
from tests.support.embedders import ContraryEmbedder, FlakyEmbedder
from tests.support.stores import Store

ADD = """
import sys
from agentmem import Memory
with Memory(data_directory=sys.argv[1], organization=sys.argv[2]) as memory:
    print(memory.add("the spare key hangs behind the blue door").memories[0].id)
"""
MODES = list(SearchMode)


def texts(results: SearchResults) -> list[str]:
    return [hit.memory.content for hit in results.hits]


async def remember_filler(memory: AsyncMemory, **scope: str) -> None:
    """Fill a scope with sentences about football."""
    verbs = ("scored", "missed", "defended", "trained", "celebrated", "lost", "watched", "played")
    places = ("stadium", "street", "garden", "school", "park", "city", "village", "gym")
    await memory.add_many(
        [f"The football team {verb} together at the {place} on match day" for verb in verbs for place in places],
        **scope,  # type: ignore[arg-type]
    )


async def test_word_that_ranks_last_by_meaning_is_found(store: Store) -> None:
    memory = await store.with_embedder(ContraryEmbedder("ledgers"))
    await remember_filler(memory)
    odd = "Invoice QX7731 awaits the audit of the ledgers"
    await memory.add(odd)

    assert texts(await memory.search("QX7731", mode="semantic", limit=100))[-1] == odd
    assert odd in texts(await memory.search("QX7731", limit=3))


async def test_paraphrase_without_a_common_word_is_found(memory: AsyncMemory) -> None:
    await remember_filler(memory)
    wanted = "The physician cured a sick child"
    await memory.add(wanted)
    query = "doctor healing ill kids"

    assert texts(await memory.search(query, mode="lexical")) == []
    assert texts(await memory.search(query, limit=1)) == [wanted]
    assert texts(await memory.search(query, limit=1, mode="semantic")) == [wanted]


@pytest.mark.parametrize(
    "query,wanted",
    [
        ("妈妈喜欢吃什么水果", "妈妈最喜欢吃苹果和葡萄"),
        ("医院", "他上周在医院做了检查"),
        ("Where does 小明 work?", "小明在一家软件公司工作"),
    ],
)
async def test_chinese_text_is_found_by_chinese_words(memory: AsyncMemory, query: str, wanted: str) -> None:
    await memory.add_many(
        [
            "妈妈最喜欢吃苹果和葡萄",
            "他上周在医院做了检查",
            "小明在一家软件公司工作",
            "今天的天气非常好",
            "火车晚点了两个小时",
        ]
    )

    assert texts(await memory.search(query, limit=1)) == [wanted]


@pytest.mark.parametrize("query", ["runs", "RUN", "cafe", "Café", "child's", "children"])
async def test_words_are_found_in_other_forms_cases_and_accents(memory: AsyncMemory, query: str) -> None:
    wanted = "She was RUNNING past the CAFÉ with her children"
    await memory.add([wanted, "nothing of the sort"])

    assert texts(await memory.search(query, mode="lexical")) == [wanted]


@pytest.mark.parametrize("mode", MODES)
async def test_scores_fall_from_one_to_zero(memory: AsyncMemory, mode: SearchMode) -> None:
    await remember_filler(memory)
    hits = (await memory.search("who scored for the football team at the stadium?", limit=50, mode=mode)).hits
    scores = [hit.score for hit in hits]

    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    assert len({hit.memory.id for hit in hits}) == 50


async def test_explained_signals_add_up_to_the_order_of_the_hits(memory: AsyncMemory) -> None:
    await remember_filler(memory)
    explained = (await memory.search("who scored at the stadium?", explain=True)).hits
    plain = (await memory.search("who scored at the stadium?")).hits
    sums = [sum(signal.contribution for signal in (hit.signals or {}).values()) for hit in explained]

    assert [hit.memory.id for hit in explained] == [hit.memory.id for hit in plain]
    assert all(hit.signals for hit in explained)
    assert all(hit.signals is None for hit in plain)
    assert sums == sorted(sums, reverse=True)
    assert {"words", "meaning", "pieces"} <= set(explained[0].signals or {})


async def test_each_mode_uses_its_own_signals(memory: AsyncMemory) -> None:
    await remember_filler(memory)
    lexical = (await memory.search("scored stadium", mode="lexical", explain=True)).hits[0].signals
    semantic = (await memory.search("scored stadium", mode="semantic", explain=True)).hits[0].signals

    assert lexical is not None
    assert "words" in lexical
    assert not {"meaning", "pieces"} & set(lexical)
    assert semantic is not None
    assert "meaning" in semantic
    assert not {"words", "words_around"} & set(semantic)


async def test_the_same_search_gives_the_same_answer_twice(memory: AsyncMemory) -> None:
    await remember_filler(memory)
    first = await memory.search("football match", limit=100)
    second = await memory.search("football match", limit=100)

    assert first.hits == second.hits


async def test_timings_say_where_the_time_of_a_search_went(memory: AsyncMemory) -> None:
    await memory.add("one memory")
    timings = (await memory.search("memory")).timings

    assert min(timings.embed_ms, timings.database_ms, timings.rank_ms) >= 0
    assert timings.total_ms == pytest.approx(timings.embed_ms + timings.database_ms + timings.rank_ms)


@pytest.mark.parametrize("mode", MODES)
async def test_empty_store_finds_nothing(memory: AsyncMemory, mode: SearchMode) -> None:
    assert (await memory.search("anything at all", mode=mode)).hits == []


async def test_limit_bounds_the_number_of_hits(memory: AsyncMemory) -> None:
    await remember_filler(memory)

    for limit in (1, 7, 64, 100):
        for query in ("football", "who scored at the stadium?"):
            assert len((await memory.search(query, limit=limit)).hits) == min(limit, 64)


@pytest.mark.parametrize("field", ["user_id", "agent_id", "run_id", "app_id"])
async def test_search_stays_inside_each_id_of_its_scope(memory: AsyncMemory, field: str) -> None:
    await memory.add("the cat sleeps on the sofa", **{field: "mine"})  # type: ignore[arg-type]
    await memory.add("the cat sleeps on the roof", **{field: "theirs"})  # type: ignore[arg-type]
    await memory.add("the cat sleeps on the lawn")

    for mode in MODES:
        found = await memory.search("where does the cat sleep?", mode=mode, **{field: "mine"})  # type: ignore[arg-type]
        assert texts(found) == ["the cat sleeps on the sofa"]
    assert len((await memory.search("where does the cat sleep?")).hits) == 3


async def test_all_ids_of_a_scope_must_match(memory: AsyncMemory) -> None:
    await memory.add("red tulips", user_id="u", agent_id="a")
    await memory.add("red roses", user_id="u", agent_id="b")
    await memory.add("red poppies", user_id="v", agent_id="a")

    assert texts(await memory.search("red flowers", user_id="u", agent_id="a")) == ["red tulips"]
    assert texts(await memory.search("red flowers", user_id="v", agent_id="b")) == []


async def test_turn_is_found_by_the_question_before_it(memory: AsyncMemory) -> None:
    await remember_filler(memory)
    await memory.add(
        [
            {"role": "user", "name": "Mia", "content": "What is the name of your parrot?"},
            {"role": "user", "name": "Leo", "content": "Captain, as you know!"},
        ]
    )

    assert "Captain, as you know!" in texts(await memory.search("What is the name of Leo's parrot?", limit=2))


async def test_neighbour_of_another_person_gives_no_hint(memory: AsyncMemory) -> None:
    await memory.add("the vault code is 4711", user_id="a")
    await memory.add("nothing special", user_id="b")

    assert texts(await memory.search("vault code 4711", user_id="b", mode="lexical")) == []


async def test_speaker_is_found_by_name(memory: AsyncMemory) -> None:
    await memory.add(
        [
            {"role": "user", "name": "Xanthippe", "content": "I prefer tea"},
            {"role": "user", "name": "Bartholomew", "content": "I prefer coffee"},
        ]
    )

    assert texts(await memory.search("What does Xanthippe prefer?", limit=1)) == ["I prefer tea"]
    assert texts(await memory.search("What does Bartholomew prefer?", limit=1)) == ["I prefer coffee"]


async def test_date_in_the_question_prefers_what_happened_then(memory: AsyncMemory) -> None:
    for month in (1, 4, 7, 10):
        await memory.add(f"We went hiking, trip {month}", occurred_at=datetime(2023, month, 12, tzinfo=UTC))

    assert texts(await memory.search("Where did we go hiking in July 2023?", limit=1)) == ["We went hiking, trip 7"]


async def test_memory_of_another_process_is_found_by_the_next_search(store: Store, memory: AsyncMemory) -> None:
    await memory.search("spare key")
    added = await asyncio.to_thread(run_python, ADD, store.directory, memory._settings.organization)
    for mode in MODES:
        assert [str(hit.memory.id) for hit in (await memory.search("spare key", mode=mode)).hits] == [added.strip()]


async def test_search_sees_what_was_added_just_before(memory: AsyncMemory) -> None:
    for number in range(10):
        added = await memory.add(f"ticket zq{number} is open")
        found = await memory.search(f"zq{number}", limit=1)
        assert found.hits[0].memory.id == added.memories[0].id


@pytest.mark.parametrize("mode", MODES)
async def test_live_memory_is_found_among_many_deleted_ones(memory: AsyncMemory, mode: SearchMode) -> None:
    await memory.add_many([f"zebra number {n} runs" for n in range(300)], user_id="u")
    await memory.delete_all(user_id="u")
    alive = "among many other friendly animals of the park, a zebra was seen by the lake"
    await memory.add(alive, user_id="u")

    assert texts(await memory.search("zebra runs", user_id="u", mode=mode)) == [alive]


@pytest.mark.parametrize("mode", MODES)
async def test_valid_memory_is_found_among_many_expired_ones(memory: AsyncMemory, mode: SearchMode) -> None:
    expires = datetime.now(UTC) + timedelta(seconds=3)
    await memory.add_many([f"giraffe number {n} eats" for n in range(120)], expires_at=expires)
    valid = "among many other friendly animals of the park, a giraffe was seen by the lake"
    await memory.add(valid)
    await asyncio.sleep(max(0.0, (expires - datetime.now(UTC)).total_seconds()) + 0.01)

    assert texts(await memory.search("giraffe eats", mode=mode)) == [valid]


@pytest.mark.parametrize("mode", MODES)
async def test_filter_that_keeps_one_memory_of_many_finds_it(memory: AsyncMemory, mode: SearchMode) -> None:
    await memory.add_many([f"lion number {n} sleeps in its den" for n in range(300)], metadata={"zoo": "near"})
    rare = "far away, among many other friendly animals, a lion looked over the fence"
    await memory.add(rare, metadata={"zoo": "far"})

    assert texts(await memory.search("lion sleeps", filters={"metadata.zoo": "far"}, mode=mode)) == [rare]


async def test_failing_embedder_leaves_memories_that_are_found_by_words(store: Store) -> None:
    embedder = FlakyEmbedder(store.app.models.current)
    memory = await store.with_embedder(embedder)
    await memory.add("the doctor lives in Lyon")
    embedder.down = True
    added = await memory.add("the physician works in Nantes")

    assert added.pending
    assert (await memory.stats()).pending_vectors == 1
    found = await memory.search("physician works")
    assert texts(found)[0] == "the physician works in Nantes"
    assert found.degraded == "embedder"
    with pytest.raises(EmbedderUnavailable):
        await memory.search("doctor", mode="semantic")

    embedder.down = False
    assert "the physician works in Nantes" in texts(await memory.search("works in Nantes"))
    assert await memory.app.upkeep.fill_vectors(memory.app.caller, embedder) == 1
    assert (await memory.stats()).pending_vectors == 0
    assert texts(await memory.search("medic", mode="semantic"))[:2] != []
    assert len((await memory.search("medic", mode="semantic")).hits) == 2
    assert await memory.app.upkeep.fill_vectors(memory.app.caller, embedder) == 0


async def test_update_while_the_embedder_fails_is_found_by_its_new_words(store: Store) -> None:
    embedder = FlakyEmbedder(store.app.models.current)
    memory = await store.with_embedder(embedder)
    added = (await memory.add("the old tower")).memories[0]
    embedder.down = True
    await memory.update(added.id, content="the new bridge")

    assert texts(await memory.search("bridge")) == ["the new bridge"]
    assert texts(await memory.search("tower")) == []
    embedder.down = False
    await memory.app.upkeep.fill_vectors(memory.app.caller, embedder)
    assert texts(await memory.search("river crossing", mode="semantic")) == ["the new bridge"]
