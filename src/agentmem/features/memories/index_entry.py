"""What is indexed of one memory: its terms, and the sealed entry that scoring opens for candidates.

Terms become keyed hashes in the postings; the entry (flags, times, token vectors) is sealed like the content, because
token vectors reveal the text.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import IntegrityError
from agentmem.kit.text.analyse import Token, analyse
from agentmem.kit.text.times import find_times

MOST_TOKENS: Final = 64
"""Token vectors kept of one memory; the text behind them is found by its terms and its pooled vector alone."""

_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BBBBH")  # version, flags, mentions, tokens, dimensions
_HEADERS: Final = np.dtype([("version", "u1"), ("flags", "u1"), ("mentions", "u1"), ("tokens", "u1"), ("size", "<u2")])
_QUESTION: Final = 1
_HAS_TIME: Final = 2
_KNOWN_FLAGS: Final = _QUESTION | _HAS_TIME
_MENTION: Final = np.dtype([("first", "<i4"), ("last", "<i4")])
_MOST_LENGTH: Final = 0xFFFF
# Not by strftime, which would follow the locale of the process.
_MONTHS: Final = tuple("January February March April May June July August September October November December".split())
_QUESTION_MARKS: Final = ("?", "？")

Days = tuple[int, int]
"""First and last day of a stretch, both inside, as proleptic ordinals (``date.toordinal``)."""


class TokenVectors(Protocol):
    """What the index needs of an embedding: one vector for each piece of the text, and where the piece stands."""

    @property
    def tokens(self) -> NDArray[np.int8]:
        """Vectors, ``(pieces, dimensions)``."""
        ...

    @property
    def spans(self) -> NDArray[np.int32]:
        """Character offsets into the embedded text, ``(pieces, 2)``."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedEntry:
    """The part of an index entry that is sealed and opened again for scoring.

    ``mentions`` are the stretches of days that the text names; ``tokens`` is ``(n, d)`` int8 with ``n <= 64``, the
    vectors of the pieces that carry content; ``(0, 0)`` without a model.
    """

    is_question: bool
    has_time: bool
    mentions: tuple[Days, ...]
    tokens: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry(SealedEntry):
    """Everything that is indexed of one memory.

    ``terms`` maps a term to its frequency (speaker, text and date together), ``length`` is their sum, at most 65535;
    ``speaker_terms`` are the speaker's own, kept as keyed hashes too.
    """

    terms: dict[str, int]
    length: int
    speaker_terms: tuple[str, ...]


def indexed_text(text: str, speaker: str | None) -> str:
    """Give the text that is embedded and analysed for a memory: "Speaker: text", or the text alone."""
    return f"{speaker}: {text}" if speaker else text


def build(text: str, speaker: str | None, occurred_at: datetime, vectors: TokenVectors | None) -> IndexEntry:
    """Analyse one memory for the index.

    ``vectors`` is the embedding of :func:`indexed_text` of the same text and speaker, or ``None`` without a model.
    """
    whole = indexed_text(text, speaker)
    spoken = len(whole) - len(text)
    tokens = analyse(whole)
    terms: dict[str, int] = {}
    for token in tokens:
        if not token.stop:
            terms[token.term] = terms.get(token.term, 0) + 1
    for term in date_terms(occurred_at):
        terms[term] = terms.get(term, 0) + 1
    mentions = find_times(text, occurred_at)
    return IndexEntry(
        terms=terms,
        length=min(sum(terms.values()), _MOST_LENGTH),
        speaker_terms=tuple(dict.fromkeys(token.term for token in tokens if token.start < spoken)),
        is_question=is_question(text),
        has_time=bool(mentions),
        mentions=tuple(dict.fromkeys((mention.first, mention.last) for mention in mentions)),
        tokens=content_vectors(tokens, vectors),
    )


def date_terms(day: datetime) -> tuple[str, ...]:
    """Give the words by which a day is asked for: its number, month and year, as :func:`analyse` would give them."""
    return tuple(token.term for token in analyse(f"{day.day} {_MONTHS[day.month - 1]} {day.year}"))


def is_question(text: str) -> bool:
    """Whether a text ends by asking something."""
    return text.rstrip().rstrip("\"')”’）").endswith(_QUESTION_MARKS)


def content_vectors(tokens: list[Token], vectors: TokenVectors | None) -> NDArray[np.int8]:
    """Choose the vectors of the pieces that carry content, at most 64, in the order of the text."""
    if vectors is None or not len(vectors.tokens):
        return np.zeros((0, 0), np.int8)
    ends = max(int(vectors.spans[:, 1].max()), 1)
    content = np.zeros(ends + 1, np.bool_)
    for token in tokens:
        if not token.stop:
            content[token.start : token.end] = True
    starts = vectors.spans[:, 0]
    kept = content[np.minimum(starts, ends)] & (vectors.spans[:, 1] > starts)
    return np.ascontiguousarray(vectors.tokens[kept][:MOST_TOKENS])


def encode(entry: SealedEntry) -> bytes:
    """Write the sealed part of an entry: header, mentions, token vectors; the first byte is the format's version."""
    flags = _QUESTION * entry.is_question | _HAS_TIME * entry.has_time
    count, dimensions = entry.tokens.shape
    header = _HEADER.pack(_VERSION, flags, len(entry.mentions), count, dimensions)
    return header + np.array(entry.mentions, "<i4").tobytes() + entry.tokens.tobytes()


def decode(data: bytes) -> SealedEntry:
    """Read a sealed part back; raises :class:`IntegrityError` for anything :func:`encode` did not write.

    The token vectors are a read-only view of ``data``, not a copy.
    """
    if len(data) < _HEADER.size:
        raise _damaged()
    version, flags, mentions, count, dimensions = _HEADER.unpack_from(data)
    begin = _HEADER.size + mentions * _MENTION.itemsize
    if version != _VERSION or flags & ~_KNOWN_FLAGS or len(data) != begin + count * dimensions:
        raise _damaged()
    return SealedEntry(
        is_question=bool(flags & _QUESTION),
        has_time=bool(flags & _HAS_TIME),
        mentions=_mentions(data[_HEADER.size : begin]) if mentions else (),
        tokens=np.frombuffer(data, np.int8, offset=begin).reshape(count, dimensions),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedEntries:
    """Many sealed parts read side by side, a row each: a search looks at hundreds and needs no object for each.

    ``tokens``, ``(sum of pieces, dimensions)``, stacks the vectors of all rows; ``pieces`` says how many are whose.
    """

    is_question: NDArray[np.bool_]
    has_time: NDArray[np.bool_]
    pieces: NDArray[np.int64]
    tokens: NDArray[np.int8]
    entries: Sequence[bytes]

    def mentions(self, row: int) -> tuple[Days, ...]:
        """Give the stretches of days that the text of a row names."""
        return decode(self.entries[row]).mentions


def decode_all(entries: Sequence[bytes], dimensions: int, with_vectors: Sequence[bool]) -> OpenedEntries:
    """Read sealed parts as :func:`decode` does; rows without the wished vectors, or of another length, have none."""
    lengths = np.fromiter(map(len, entries), np.int64, len(entries))
    if lengths.min(initial=_HEADER.size) < _HEADER.size:
        raise _damaged()
    headers = np.frombuffer(b"".join([entry[: _HEADER.size] for entry in entries]), _HEADERS)
    pieces = headers["tokens"].astype(np.int64)
    begins = _HEADER.size + _MENTION.itemsize * headers["mentions"].astype(np.int64)
    ends = begins + pieces * headers["size"]
    sound = (headers["version"] == _VERSION) & (headers["flags"] & ~np.uint8(_KNOWN_FLAGS) == 0)
    if not (sound & (ends == lengths)).all():
        raise _damaged()
    pieces[(headers["size"] != dimensions) | ~np.fromiter(with_vectors, np.bool_, len(entries))] = 0
    found = zip(entries, begins.tolist(), pieces.tolist(), strict=True)
    vectors = [memoryview(entry)[begin:] for entry, begin, count in found if count]
    return OpenedEntries(
        is_question=headers["flags"] & _QUESTION > 0,
        has_time=headers["flags"] & _HAS_TIME > 0,
        pieces=pieces,
        tokens=np.frombuffer(b"".join(vectors), np.int8).reshape(-1, max(dimensions, 1)),
        entries=entries,
    )


def _mentions(data: bytes) -> tuple[Days, ...]:
    return tuple((first, last) for first, last in struct.iter_unpack("<ii", data))


def _damaged() -> IntegrityError:
    return IntegrityError("An index entry is damaged.", hint="Rebuild the index of this memory.")
