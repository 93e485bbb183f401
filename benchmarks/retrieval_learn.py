"""Learns the weights of the fusion: ``python -m benchmarks.retrieval_learn --data FILE [--words-only]``.

Scores come from the product's own steps: its analyser, postings, choice of candidates, signals and fusion. Weights are
learnt on all conversations but one and tested on that one, in turn; beside that the shipped weights are tested, in a
scope for each conversation and in one scope for all. What is learnt is read by a person, rounded, and written into
``agentmem/pipelines/retrieval/weights.py``: nothing is taken over by itself.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.features.memories.index_entry import IndexEntry, build, decode_all, encode, indexed_text
from agentmem.features.memories.index_reading import NEAREST_LIMIT, Nearest
from agentmem.foundation.inference.open import DEFAULT_MODEL, open_embedder
from agentmem.foundation.inference.port import Embedder, Embedding
from agentmem.pipelines.retrieval.fuse import FoundByWords, choose, stretched, with_neighbours
from agentmem.pipelines.retrieval.late import query_vectors
from agentmem.pipelines.retrieval.lexical import Matches, Postings
from agentmem.pipelines.retrieval.query import parse_query
from agentmem.pipelines.retrieval.signals import NAMES, Pool, gather
from agentmem.pipelines.retrieval.weights import WITH_MODEL, WORDS_ONLY, Weights
from benchmarks.datasets import CATEGORIES, Conversation, Question, Turn, read_locomo
from benchmarks.metrics import Averages, Figures, averaged

DEPTHS: Final = (5, 10, 20)
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
STEPS: Final = 400
DECAY: Final = 1e-4
FIRST_POSITION: Final = 16
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """The pool of one question: stretched signals ``(rows, NAMES)``, which rows are evidence, and how much there is."""

    question: Question
    signals: Floats
    right: NDArray[np.bool_]
    evidence: int


class Scope:
    """The turns of some conversations, indexed as the product indexes them."""

    def __init__(self, turns: Sequence[Turn], embeddings: Sequence[Embedding]) -> None:
        self.turns = turns
        self.places = _places(turns)
        self.entries: list[IndexEntry] = [
            build(turn.text, turn.speaker, turn.occurred_at, embedding)
            for turn, embedding in zip(turns, embeddings, strict=True)
        ]
        self._pooled = np.stack([embedding.pooled for embedding in embeddings])
        self._hashes: dict[str, int] = {}
        found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for place, entry in zip(self.places.tolist(), self.entries, strict=True):
            for term, count in entry.terms.items():
                found[self.hash(term)].append((place, count, entry.length))
        self._postings = {term: _postings(rows) for term, rows in found.items()}
        self._average = fmean(entry.length for entry in self.entries)

    def hash(self, term: str) -> int:
        """Stand in for the keyed hash of a term."""
        return self._hashes.setdefault(term, len(self._hashes))

    def example(self, question: Question, embedding: Embedding | None) -> Example:
        """Search as the product does, up to the fusion; without an embedding by words alone."""
        query = parse_query(question.text, NOW)
        hashes = [self.hash(term) for term in query.terms]
        matches = Matches([self._postings.get(term, _postings([])) for term in hashes], len(self.turns), self._average)
        nearest = None if embedding is None else self._nearest(embedding)
        places = np.intersect1d(with_neighbours(choose(matches, FoundByWords.of(matches), nearest)), self.places)
        rows = np.searchsorted(self.places, places)
        dimensions = 0 if embedding is None else embedding.tokens.shape[1]
        pool = Pool(
            places=places,
            days=np.array([self.turns[row].occurred_at.toordinal() for row in rows], np.int64),
            lengths=np.array([self.entries[row].length for row in rows], np.int64),
            speakers=[[self.hash(term) for term in self.entries[row].speaker_terms] for row in rows],
            entries=decode_all([encode(self.entries[row]) for row in rows], dimensions, [True] * len(rows)),
        )
        idf = dict(zip(query.terms, matches.idf.tolist(), strict=True))
        vectors = None if embedding is None else query_vectors(query, embedding, idf)
        signals = gather(query, hashes, pool, matches, nearest, vectors)
        return Example(
            question=question,
            signals=stretched(signals).astype(np.float64),
            right=np.array([self.turns[row].id in question.evidence for row in rows], np.bool_),
            evidence=len(question.evidence),
        )

    def _nearest(self, embedding: Embedding) -> Nearest:
        similarities = self._pooled @ embedding.pooled
        best = np.sort(np.argsort(-similarities)[:NEAREST_LIMIT])
        return Nearest(places=self.places[best], similarities=similarities[best])


def _places(turns: Sequence[Turn]) -> NDArray[np.int64]:
    numbers: dict[str, int] = {}
    counts: dict[str, int] = defaultdict(int)
    places: list[int] = []
    for turn in turns:
        number = numbers.setdefault(turn.session, len(numbers) + 1)
        places.append(number << 20 | FIRST_POSITION + counts[turn.session])
        counts[turn.session] += 1
    return np.array(places, np.int64)


def _postings(rows: Sequence[tuple[int, int, int]]) -> Postings:
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Postings(table[:, 0], table[:, 1].astype(np.uint16), table[:, 2].astype(np.uint16))


def learn(examples: Sequence[Example]) -> Floats:
    """Find weights by which each piece of evidence stands out from all that is none (softmax over the pool; Adam)."""
    usable = [example for example in examples if example.right.any()]
    rows = np.concatenate([example.signals for example in usable])
    right = np.concatenate([example.right for example in usable])
    starts = np.cumsum([0, *(len(example.signals) for example in usable[:-1])])
    owner = np.repeat(np.arange(len(usable)), [len(example.signals) for example in usable])
    share = 1 / np.add.reduceat(right.astype(float), starts)[owner]
    weights, mean, square = np.full(len(NAMES), 0.5), np.zeros(len(NAMES)), np.zeros(len(NAMES))
    for step in range(1, STEPS + 1):
        scores = rows @ weights
        powers = np.exp(scores - np.maximum.reduceat(scores, starts)[owner])
        others = np.add.reduceat(np.where(right, 0, powers), starts)[owner]
        chance = powers / (powers + others)
        missing = np.where(right, share / (powers + others), 0)
        slope = np.where(right, -share * (1 - chance), powers * np.add.reduceat(missing, starts)[owner])
        gradient = rows.T @ slope / len(usable) + 2 * DECAY * weights
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        weights -= 0.1 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-9)
    return weights


def leave_one_out(examples: Sequence[Example]) -> dict[str, Floats]:
    """Learn weights for each conversation from all others; one whose others hold nothing to learn from has none."""
    names = dict.fromkeys(example.question.conversation for example in examples)
    others = {name: [one for one in examples if one.question.conversation != name] for name in names}
    return {name: learn(rest) for name, rest in others.items() if any(one.right.any() for one in rest)}


def recalls(example: Example, weights: Floats) -> Figures:
    """Give the recall of an example at each depth, as a share from 0 to 1."""
    order = np.argsort(-(example.signals @ weights), kind="stable")
    return {f"recall@{depth}": float(example.right[order[:depth]].sum()) / example.evidence for depth in DEPTHS}


def report(title: str, tested: Sequence[tuple[Example, Floats]]) -> Averages:
    """Print recall over the headline categories, by category and by conversation, and give the averages."""
    rows = [(example.question, recalls(example, weights)) for example, weights in tested]
    found = averaged(rows)
    overall, categories = found["overall"], found["categories"].items()
    depths = " ".join(f"@{depth} {overall[f'recall@{depth}']:.1f}" for depth in DEPTHS if overall["questions"])
    kinds = " ".join(f"{CATEGORIES[int(number)]} {figures['recall@10']:.1f}" for number, figures in categories)
    names = dict.fromkeys(question.conversation for question, _ in rows)
    per = [averaged([row for row in rows if row[0].conversation == name])["overall"] for name in names]
    each = np.array([figures["recall@10"] for figures in per if figures["questions"]] or [np.nan])
    print(f"{title:34} {depths} | @10: {kinds} | conversations {each.min():.1f}..{each.max():.1f}, sd {each.std():.1f}")
    return found


def vector(weights: Weights) -> Floats:
    return np.array([asdict(weights)[name] for name in NAMES], np.float64)


async def examples_of(data: Path, model: str, *, words_only: bool) -> tuple[list[Example], list[Example]]:
    """Make the examples, in a scope for each conversation and in one scope for all."""
    conversations = read_locomo(data).conversations
    embedder = await open_embedder(model, threads=2)
    try:
        apart: list[Example] = []
        turns: list[Turn] = []
        vectors: list[Embedding] = []
        asked: list[tuple[Question, Embedding | None]] = []
        for conversation in conversations:
            made = await embedder.embed_documents([indexed_text(t.text, t.speaker) for t in conversation.turns])
            questions = await _questions(conversation, embedder, words_only=words_only)
            scope = Scope(conversation.turns, made)
            apart += [scope.example(question, embedding) for question, embedding in questions]
            turns += conversation.turns
            vectors += made
            asked += questions
    finally:
        await embedder.aclose()
    whole = Scope(turns, vectors)
    return apart, [whole.example(question, embedding) for question, embedding in asked]


async def _questions(
    conversation: Conversation, embedder: Embedder, *, words_only: bool
) -> list[tuple[Question, Embedding | None]]:
    return [
        (question, None if words_only else await embedder.embed_query(question.text))
        for question in conversation.questions
    ]


async def measure(data: Path, model: str, *, words_only: bool = False) -> dict[str, Averages]:
    """Learn from a file, test what is learnt and what ships, print both, and give the averages.

    What is learnt is tested on conversations that it was not learnt from: where there is one alone, it is left out.
    """
    apart, together = await examples_of(data, model, words_only=words_only)
    learnt = leave_one_out(apart)
    shipped = vector(WORDS_ONLY if words_only else WITH_MODEL)
    kind = "words only" if words_only else "with model"
    found: dict[str, Averages] = {}
    if learnt:
        tested = [(one, learnt[one.question.conversation]) for one in apart if one.question.conversation in learnt]
        found["learnt-leave-one-out"] = report(f"{kind}, learnt, leave-one-out", tested)
    else:
        print("Nothing is learnt: that takes two conversations with evidence, one to learn from and one to test on.")
    found["shipped"] = report(f"{kind}, shipped", [(one, shipped) for one in apart])
    found["shipped-one-scope"] = report(f"{kind}, shipped, one scope", [(one, shipped) for one in together])
    if learnt:
        _print_weights(list(learnt.values()), shipped)
    return found


def _print_weights(learnt: Sequence[Floats], shipped: Floats) -> None:
    mean, spread = np.mean(learnt, axis=0), np.std(learnt, axis=0)
    # Only the ratios of weights matter: they are shown on the scale of the shipped ones.
    scale = np.abs(shipped).sum() / np.abs(mean).sum()
    for name, value, sd, now in zip(NAMES, mean * scale, spread * scale, shipped, strict=True):
        print(f"  {name:14} learnt {value:6.2f} (sd {sd:.2f})   shipped {now:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a file of the LoCoMo form, or its folder")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--words-only", action="store_true", help="learn for searches without a model")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.data, arguments.model, words_only=arguments.words_only))


if __name__ == "__main__":
    main()
