"""Measures the quality of retrieval: ``python -m benchmarks.retrieval --data FILE [--json FILE]``.

Stores the turns of each conversation through the public face, searches for every question, and prints how much of the
evidence comes first, beside baselines over the same texts and the same encoder in the same run. Recall@k is the share
of a question's evidence turns among the first k, averaged over questions; "overall" is categories 1 to 4.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agentmem.foundation.inference.open import DEFAULT_MODEL, open_embedder
from benchmarks import retrieval_learn
from benchmarks.datasets import CATEGORIES, Dataset, read_locomo, read_small
from benchmarks.metrics import Averages, Figures, Ranking, summary
from benchmarks.systems import Context, agentmem, baselines

SMALL_SETS: Final = {"keywords": (1000, 30), "chinese": (0, 0)}
"""The sets in ``data/``, with how many turns of made-up dialogue and lookalikes of each memory surround them."""
COLUMNS: Final = ("recall@5", "recall@10", "recall@20", "recall@50", "all@10", "ndcg@10", "mrr", "session@5")
NOTES: Final = (
    "bm25 reads AgentMem's own terms (k1 0.9, b 0.4); dense, rrf (k = 60) and mem0 use AgentMem's encoder.",
    "mem0 is its published formula at limit 50 (a pool of 200, in its favour) without entities, for which it needs a",
    "language package that its installation does not bring. agentmem-one-scope holds all conversations in one scope.",
)


def main() -> None:
    arguments = _arguments()
    report = asyncio.run(measure(arguments.data, arguments.model))
    if arguments.learn:
        print("\nWeights learnt on the other conversations, beside those that ship:")
        report["learning"] = asyncio.run(retrieval_learn.measure(arguments.data, arguments.model))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


async def measure(data: Path, model: str) -> dict[str, object]:
    """Measure every set, print the tables, and give all figures for the JSON file."""
    dataset = read_locomo(data)
    if not dataset.questions:
        sys.exit(f"{data} holds no question whose evidence is one of its turns: there is nothing to measure.")
    report = await measured(dataset, model)
    folder = Path(__file__).parent / "data"
    small = {
        name: await measured(read_small(folder / f"{name}.json", haystack=haystack, lookalikes=lookalikes), model)
        for name, (haystack, lookalikes) in SMALL_SETS.items()
    }
    print("\n" + "\n".join(NOTES))
    return {"model": model} | report | {"sets": small}


async def measured(dataset: Dataset, model: str) -> dict[str, object]:
    """Measure one set of questions, print its tables, and give its figures."""
    rankings, context = await agentmem(dataset, model=model)
    embedder = await open_embedder(model, threads=2)
    try:
        rankings |= await baselines(dataset, embedder)
    finally:
        await embedder.aclose()
    figures = {name: summary(ranked) for name, ranked in rankings.items()}
    _print(dataset, rankings, figures, context)
    packed = {"budget": context.budget, "tokens": context.tokens, "evidence": context.evidence}
    return {"dataset": dataset.name, "skipped_questions": dataset.skipped, "systems": figures, "context": packed}


def _print(
    dataset: Dataset,
    rankings: Mapping[str, Sequence[Ranking]],
    figures: Mapping[str, Averages],
    context: Context,
) -> None:
    turns = sum(len(conversation.turns) for conversation in dataset.conversations)
    print(
        f"\n{dataset.name}: {len(dataset.conversations)} conversations, {turns} turns, "
        f"{len(dataset.questions)} questions ({dataset.skipped} skipped: no evidence)"
    )
    rows = [("overall", {name: figures[name]["overall"] for name in rankings})]
    if len({question.category for question in dataset.questions}) > 1:
        for number, title in CATEGORIES.items():
            parts = {name: figures[name]["categories"].get(str(number), {}) for name in rankings}
            rows.append((f"{number} {title}", parts))
    for title, systems in rows:
        _print_table(title, systems)
    print(
        f"Packed context, budget {context.budget}: {context.tokens:.0f} tokens, "
        f"{context.evidence:.1f} % of the evidence in it"
    )


def _print_table(title: str, systems: Mapping[str, Figures]) -> None:
    present = {name: row for name, row in systems.items() if row.get("questions")}
    if not present:
        return
    questions = next(iter(present.values()))["questions"]
    print(f"\n{title} ({questions} questions)")
    print(f"{'system':<20}" + "".join(f"{column:>11}" for column in COLUMNS))
    for name, row in present.items():
        print(f"{name:<20}" + "".join(f"{row[column]:>11.1f}" for column in COLUMNS))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="a file of the LoCoMo form, or the folder that holds one"
    )
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the embedding model (default: the one that ships)")
    parser.add_argument("--no-learn", dest="learn", action="store_false", help="do not learn weights beside")
    return parser.parse_args()


if __name__ == "__main__":
    main()
