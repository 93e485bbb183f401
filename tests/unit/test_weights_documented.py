"""The page on retrieval has the weights that are in force."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from agentmem.pipelines.retrieval.signals import NAMES
from agentmem.pipelines.retrieval.weights import POOLED_VECTORS, WITH_MODEL, WORDS_FIRST, WORDS_ONLY

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "retrieval.md"
ROW = re.compile(r"^\| `(\w+)` \| .* \| (-?[\d.]+) \| (-?[\d.]+) \|$", re.MULTILINE)


def test_table_of_signals_lists_all_with_their_weights() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))

    assert tuple(name for name, _, _ in rows) == NAMES
    assert {name: float(weight) for name, weight, _ in rows} == asdict(WITH_MODEL)
    assert {name: float(weight) for name, _, weight in rows} == asdict(WORDS_ONLY)


def test_weights_for_other_scripts_and_models_are_as_described() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())

    scripts = re.search(r"`words` counts ([\d.]+) and `words_around` ([\d.]+)", page)
    models = re.search(r"no token vectors, `words` counts ([\d.]+), `thread` ([\d.]+), and the two `pieces` (\d)", page)

    assert scripts is not None
    assert [float(value) for value in scripts.groups()] == [WORDS_FIRST.words, WORDS_FIRST.words_around]
    assert models is not None
    assert [float(value) for value in models.groups()] == [
        POOLED_VECTORS.words,
        POOLED_VECTORS.thread,
        POOLED_VECTORS.pieces,
    ]
