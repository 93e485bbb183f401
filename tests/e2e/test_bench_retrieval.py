"""The benchmark of retrieval takes any file of the LoCoMo form, with the real engine and model."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentmem.foundation.inference.open import DEFAULT_MODEL
from benchmarks import retrieval_learn
from benchmarks.datasets import read_locomo
from benchmarks.retrieval import measure, measured
from tests.support.locomo import sample, written

SYSTEMS = {"agentmem", "agentmem-lexical", "bm25", "dense", "rrf", "mem0"}


@pytest.mark.parametrize("categories", [(2, 4), (5,)], ids=str)
async def test_one_conversation_with_few_categories_is_measured(tmp_path: Path, categories: tuple[int, ...]) -> None:
    file = written(tmp_path / "one.json", sample("boats", categories))
    found = await measured(read_locomo(file), DEFAULT_MODEL)
    systems = found["systems"]

    assert isinstance(systems, dict)
    assert set(systems) == SYSTEMS
    for figures in systems.values():
        assert list(figures["categories"]) == [str(number) for number in categories]
    for name in ("agentmem", "dense"):  # every turn of so small a conversation is among the first 50
        assert all(part["recall@50"] == 100 for part in systems[name]["categories"].values())


async def test_one_conversation_is_tested_with_the_shipped_weights_alone(tmp_path: Path) -> None:
    file = written(tmp_path / "one.json", sample("boats", (5,)))
    found = await retrieval_learn.measure(file, DEFAULT_MODEL)

    assert set(found) == {"shipped", "shipped-one-scope"}
    assert found["shipped"]["categories"]["5"]["questions"] == 1


async def test_weights_are_learnt_on_one_of_two_conversations_and_tested_on_the_other(tmp_path: Path) -> None:
    file = written(tmp_path / "two.json", [sample("boats", (1, 2)), sample("ships", (4, 5))])
    found = await retrieval_learn.measure(file, DEFAULT_MODEL)

    assert set(found) == {"learnt-leave-one-out", "shipped", "shipped-one-scope"}
    assert found["learnt-leave-one-out"]["overall"]["questions"] == 3
    assert set(found["learnt-leave-one-out"]["categories"]) == {"1", "2", "4", "5"}


async def test_file_without_a_question_that_can_be_measured_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nothing to measure"):
        await measure(written(tmp_path / "none.json", sample("boats", ())), DEFAULT_MODEL)
