"""Scripts that write without spaces, or whose words take many endings: Chinese, Japanese, Korean, Thai and their kin.

Every unit is indexed twice, by words (or pairs of characters) and by single characters, so that a query that is cut
differently from the text still meets it.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from agentmem.kit.text.languages import CHINESE_STOP

_HAN: Final = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+")
_KANA: Final = re.compile("[\u3040-\u30ff\uff66-\uff9f]")
_HANGUL: Final = re.compile("[\uac00-\ud7a3]+")
_HIRAGANA: Final = re.compile("[\u3040-\u309f]+")
_LETTER: Final = re.compile("(?s:.)[\u3099\u309a\uff9e\uff9f]?")  # with the voicing mark that is written after it
_LONGEST: Final = 4096  # characters given to the segmenter at once: its lattice is quadratic at worst

Segmenter = Callable[[str, str], list[tuple[str, int, int]]]


class Piece(NamedTuple):
    """A term within a written form, with offsets relative to it."""

    term: str
    start: int
    end: int
    stop: bool


def segment(run: str) -> list[Piece]:
    """Cut a run of characters without spaces into terms, in the order of the text."""
    if _KANA.search(run):
        return _pairs(run, singles=_HAN)
    if _HAN.match(run):
        return _chinese(run)
    if _HANGUL.fullmatch(run):
        whole = [Piece(run, 0, len(run), stop=False)] if len(run) > 2 else []
        return [*whole, *_pairs(run, singles=None)]
    return _pairs(run, singles=_HAN)


def _chinese(run: str) -> list[Piece]:
    pieces: list[Piece] = []
    cut = _segmenter()
    for base in range(0, len(run), _LONGEST):
        part = unicodedata.normalize("NFKC", run[base : base + _LONGEST])
        for word, start, end in cut(part, "search"):
            if end - start > 1:
                pieces.append(Piece(word, base + start, base + end, word in CHINESE_STOP))
        pieces.extend(
            Piece(letter, base + position, base + position + 1, letter in CHINESE_STOP)
            for position, letter in enumerate(part)
        )
    return pieces


def _pairs(run: str, *, singles: re.Pattern[str] | None) -> list[Piece]:
    """Overlapping pairs, and the single characters that are words of their own."""
    letters = [(match[0], match.start(), match.end()) for match in _LETTER.finditer(run)]
    if len(letters) == 1:
        return [Piece(unicodedata.normalize("NFKC", run), 0, len(run), _HIRAGANA.fullmatch(run) is not None)]
    pieces: list[Piece] = []
    for (first, start, _), (second, _, end) in pairwise(letters):
        pair = unicodedata.normalize("NFKC", first + second)
        pieces.append(Piece(pair, start, end, _HIRAGANA.fullmatch(pair) is not None and len(letters) == 2))
    if singles is not None:
        pieces.extend(
            Piece(letter, position, position + 1, stop=False)
            for position, letter in enumerate(run)
            if singles.match(letter)
        )
    return pieces


@lru_cache(1)
def _segmenter() -> Segmenter:
    """Load the Chinese dictionary at first use: 33 MB and 0.1 s that text without Chinese never pays."""
    cut: Segmenter = importlib.import_module("rjieba").tokenize
    return cut
