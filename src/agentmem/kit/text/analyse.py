"""From text to search terms: words folded, stemmed and marked, with their place in the text.

Every script gets what its writing needs: words with spaces are stemmed by language, Chinese is segmented, and other
scripts without spaces become overlapping pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

import Stemmer

from agentmem.kit.text.languages import ENGLISH_STOP, IRREGULAR, OTHER_STOP
from agentmem.kit.text.unspaced import Piece, segment

_MAX_TERM: Final = 64
_CACHED_WORDS: Final = 1 << 16
# A language other than English needs this many of its stop words, and more of them than English has.
_EVIDENCE: Final = 2

# Letters and digits with the marks that belong to them. Python's \w knows no combining marks, without which an Indian
# word falls into pieces; the ranges are those of the marks of Latin, Hebrew, Arabic and the Indian scripts.
_MARKS: Final = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0981-\u09cd\u0a01-\u0a4d\u0b82-\u0bcd"
)
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f"
)
_LETTER: Final = rf"(?:[^\W_{_UNSPACED}]|[{_MARKS}])"
_DECIMAL: Final = r"\d{1,3}(?:,\d{3}){1,6}(?:\.\d{1,9})?(?![\d,])|\d+\.\d+(?![\d.])"
_TEXT: Final = re.compile(rf"(?P<run>[{_UNSPACED}]+)|{_DECIMAL}|{_LETTER}+(?:['’._@:/&+-]{_LETTER}+)*(?:\+\+|\#)?")
_ASCII: Final = re.compile(rf"{_DECIMAL}|[A-Za-z0-9]+(?:['._@:/&+-][A-Za-z0-9]+)*(?:\+\+|#)?")
_PART: Final = re.compile(rf"{_LETTER}+(?:['’]{_LETTER}+)*")
_NUMBER: Final = re.compile(_DECIMAL)
_NAMES: Final = frozenset(("May", "Will"))  # a month and a person, unless they start a polite sentence
_SENTENCE_END: Final = re.compile(r"[a-z0-9]\.[A-Z]")  # a space was forgotten
_SUFFIX_N_T: Final = re.compile(r"n['’]t$")
# Accents of Latin and Greek, the pointing of Hebrew and Arabic, and what is invisible.
_DROPPED: Final = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u00ad\u200b-\u200d]")


class Token(NamedTuple):
    """One search term of a text, with the characters it was made of.

    ``term`` is folded and stemmed; ``start`` and ``end`` are offsets into the text as given; ``stop`` marks a word
    without a topic of its own, which is not indexed.
    """

    term: str
    start: int
    end: int
    stop: bool


class _Word(NamedTuple):
    """What is known of one written form before the language of its text is."""

    pieces: list[Piece]
    stop_in: int
    """Bit 0: a stop word of English; bit n: of the n-th other language."""


_LANGUAGES: Final = tuple(OTHER_STOP)
_new = tuple.__new__  # a named tuple's own constructor costs twice as much


def analyse(text: str) -> list[Token]:
    """Give the terms of a text in order, stop words included and marked.

    A compound such as an address or a hyphenated word gives its parts and its whole, over the same characters.
    Costs about a microsecond a word.
    """
    tokens: list[Token] = []
    append = tokens.append
    english = foreign = 0
    pattern = _ASCII if text.isascii() else _TEXT
    for match in pattern.finditer(text):
        raw = match[0]
        begin = match.start()
        if match.lastgroup == "run":
            pieces, stop_in = segment(raw), 0
        else:
            pieces, stop_in = _word(raw) if len(raw) <= _MAX_TERM else _read(raw)
        if stop_in & 1:
            english += 1
        elif stop_in:
            foreign += 1
        for term, start, end, stop in pieces:
            append(_new(Token, (term, begin + start, begin + end, stop)))
    if foreign >= _EVIDENCE and foreign * 2 > english:
        language = detect(text)
        if language != "english":
            return _in_language(text, tokens, language)
    return tokens


def stem(word: str, language: str = "english") -> str:
    """Give the term of one folded word; English irregular forms are brought to their base first."""
    if language == "english":
        word = IRREGULAR.get(word, word)
    # A new stemmer costs half a microsecond, and shared ones are not safe between threads.
    return str(Stemmer.Stemmer(language, 0).stemWord(word))[:_MAX_TERM]


def fold(word: str) -> str:
    """Bring variants of writing together: compatibility forms, case, accents, invisible characters."""
    if word.isascii():
        return word.lower()
    folded = unicodedata.normalize("NFKC", word).casefold()
    if any("\u0400" <= letter <= "\u052f" for letter in folded):
        return _DROPPED.sub("", folded).replace("ё", "е")  # й is a letter, not an accented и
    return unicodedata.normalize("NFC", _DROPPED.sub("", unicodedata.normalize("NFD", folded)))


def detect(text: str) -> str:
    """Name the language of a text by its stop words, as the stemmers do; ``english`` without evidence."""
    counts = [0] * (1 + len(_LANGUAGES))
    for match in _TEXT.finditer(text[:2000]):
        raw = match[0]
        if match.lastgroup != "run" and len(raw) <= _MAX_TERM:
            mask = _word(raw).stop_in
            for position in range(len(counts)):
                counts[position] += mask >> position & 1
    best = max(range(1, len(counts)), key=lambda position: counts[position])
    if counts[best] >= _EVIDENCE and counts[best] > counts[0]:
        return _LANGUAGES[best - 1]
    return "english"


def _in_language(text: str, tokens: list[Token], language: str) -> list[Token]:
    """Stem again for a language; the English stem stays, so that a short query without evidence still matches."""
    stops = OTHER_STOP[language]
    out: list[Token] = []
    for token in tokens:
        folded = fold(text[token.start : token.end])
        if not folded.isalpha():
            out.append(token)
            continue
        stop = folded in stops
        out.append(token._replace(stop=stop))
        stemmed = stem(folded, language)
        if not stop and stemmed != token.term:
            out.append(Token(stemmed, token.start, token.end, stop=False))
    return out


@lru_cache(_CACHED_WORDS)
def _word(raw: str) -> _Word:
    return _read(raw)


def _read(raw: str) -> _Word:
    """Analyse one written form: a plain word, or a compound with its parts."""
    if raw.isalnum():
        folded = fold(raw)
        return _Word([_piece(folded, 0, len(raw), raw)], _stop_in(folded))
    if _NUMBER.fullmatch(raw):
        return _Word([Piece(raw.replace(",", "")[:_MAX_TERM], 0, len(raw), stop=False)], 0)
    parts = [_part(match[0], match.start()) for match in _PART.finditer(raw)]
    if len(parts) == 1 and parts[0].end == len(raw):
        return _Word(parts, _stop_in(_bare(fold(raw))))
    if _SENTENCE_END.search(raw):
        return _Word(parts, 0)
    whole = fold(raw.rstrip("#+")) if len(parts) > 1 else fold(raw)
    joined = "".join(letter for letter in whole if letter.isalnum() or letter in "@./:+#")
    if "@" in joined or "/" in joined or "#" in joined or "+" in joined or len(parts) == 1:
        term = joined[:_MAX_TERM]
    else:
        term = stem("".join(letter for letter in whole if letter.isalnum() or letter == "."))
    return _Word([*parts, Piece(term, 0, len(raw), stop=False)], 0)


def _part(raw: str, start: int) -> Piece:
    """Analyse a word that may hold an apostrophe: a possessive loses it, a contraction of stop words is one."""
    end = start + len(raw)
    plain = raw.replace("’", "'")
    if "'" not in plain:
        return _piece(fold(raw), start, end, raw)
    head, _, tail = plain.partition("'")
    folded = fold(head)
    if _SUFFIX_N_T.search(plain) or folded in ENGLISH_STOP or folded in {"he", "she", "it", "we"}:
        return Piece(_bare(fold(plain))[:_MAX_TERM], start, end, stop=True)
    if fold(tail) in {"s", "d", "ll", "ve", "re", "m", ""}:
        return _piece(folded, start, end, raw)
    return _piece(_bare(fold(plain)), start, end, raw)


def _piece(folded: str, start: int, end: int, raw: str) -> Piece:
    stop = folded in ENGLISH_STOP and raw not in _NAMES
    language = "russian" if "\u0400" <= folded[:1] <= "\u052f" else "english"
    return Piece(stem(folded, language) if len(folded) <= _MAX_TERM else folded[:_MAX_TERM], start, end, stop)


def _bare(folded: str) -> str:
    return folded.replace("'", "").replace("’", "")


def _stop_in(folded: str) -> int:
    mask = 1 if folded in ENGLISH_STOP else 0
    for position, language in enumerate(_LANGUAGES, start=1):
        if folded in OTHER_STOP[language]:
            mask |= 1 << position
    return mask
