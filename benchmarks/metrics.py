"""How good a ranking is: what share of the evidence it puts first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, TypeAlias, TypedDict

from benchmarks.datasets import CATEGORIES, HEADLINE, Question

DEPTHS: Final = (5, 10, 20, 50)
SESSIONS: Final = 5
Figures: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What a system gave for a question: ids of turns, best first, and the session of each."""

    question: Question
    turns: Sequence[str]
    sessions: Mapping[str, str]

    def figures(self) -> Figures:
        """Give every measure as a share from 0 to 1."""
        wanted = self.question.evidence
        hits = [turn in wanted for turn in self.turns]
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(wanted))))
        gained = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits[:10]) if hit)
        first = hits.index(True) + 1 if True in hits else math.inf
        found = {f"recall@{depth}": sum(hits[:depth]) / len(wanted) for depth in DEPTHS}
        seen = list(dict.fromkeys(self.sessions[turn] for turn in self.turns))[:SESSIONS]
        return found | {
            "all@10": float(sum(hits[:10]) == len(wanted)),
            "ndcg@10": gained / ideal,
            "mrr": 1 / first,
            f"session@{SESSIONS}": float(not {self.sessions[turn] for turn in wanted}.isdisjoint(seen)),
        }


class Averages(TypedDict):
    """Figures averaged over questions, in percent: overall (categories 1 to 4) and by category."""

    overall: Figures
    categories: dict[str, Figures]


def summary(rankings: Sequence[Ranking]) -> Averages:
    """Average the figures of rankings."""
    return averaged([(ranking.question, ranking.figures()) for ranking in rankings])


def averaged(rows: Sequence[tuple[Question, Figures]]) -> Averages:
    """Average the figures of questions; a category without a question is left out."""
    by_category = {
        str(category): _mean(figures for question, figures in rows if question.category == category)
        for category in CATEGORIES
        if any(question.category == category for question, _ in rows)
    }
    overall = _mean(figures for question, figures in rows if question.category in HEADLINE)
    return {"overall": overall, "categories": by_category}


def _mean(figures: Iterable[Figures]) -> Figures:
    rows = list(figures)
    averages = {name: round(100 * fmean(row[name] for row in rows), 2) for name in rows[0]} if rows else {}
    return {"questions": len(rows)} | averages
