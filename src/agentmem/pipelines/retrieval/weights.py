"""The weights of the fusion, learnt by ``benchmarks/retrieval_learn.py`` and rounded by hand so that they transfer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agentmem.pipelines.retrieval.query import ParsedQuery


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """How much each signal counts; see :class:`agentmem.pipelines.retrieval.signals.Signals` for what they are."""

    words: float
    words_around: float
    pieces: float
    pieces_around: float
    thread: float
    meaning: float
    speaker: float
    first_speaker: float
    answers: float
    asks: float
    length: float
    tells_when: float
    date: float
    mention: float


WITH_MODEL: Final = Weights(
    words=0.1,
    words_around=0.75,
    pieces=1.25,
    pieces_around=0.75,
    thread=2.0,
    meaning=1.0,
    speaker=0.35,
    first_speaker=0.3,
    answers=0.3,
    asks=-0.3,
    length=0.2,
    tells_when=0.5,
    date=1.5,
    mention=0.5,
)
"""For searches by words and meaning."""

MEANING_ONLY: Final = replace(WITH_MODEL, words=0.0, words_around=0.0)
"""For searches by meaning alone."""

WORDS_FIRST: Final = replace(WITH_MODEL, words=0.5, words_around=1.5)
"""For queries in another script than Latin, of which a small model knows the characters but little of the sense."""

POOLED_VECTORS: Final = replace(
    WITH_MODEL, words=0.75, words_around=0.75, pieces=0.0, pieces_around=0.0, thread=0.5, meaning=1.0
)
"""For models that give no vectors of single words: exact words then count as much as meaning does."""

WORDS_ONLY: Final = Weights(
    words=0.5,
    words_around=1.0,
    pieces=0.0,
    pieces_around=0.0,
    thread=0.5,
    meaning=0.0,
    speaker=0.25,
    first_speaker=0.1,
    answers=0.15,
    asks=-0.15,
    length=0.2,
    tells_when=0.3,
    date=0.3,
    mention=0.2,
)
"""For searches by words alone: the mode was asked for, or the embedder failed."""


def weights_for(query: ParsedQuery, *, by_words: bool, by_meaning: bool, by_pieces: bool) -> Weights:
    """Give the weights for a query by what it is searched with.

    ``by_words`` or ``by_meaning`` holds; ``by_pieces`` says that the model gives vectors of single words too.
    """
    if not by_meaning:
        return WORDS_ONLY
    if not by_words:
        return MEANING_ONLY
    if not by_pieces:
        return POOLED_VECTORS
    return WITH_MODEL if query.is_latin else WORDS_FIRST
