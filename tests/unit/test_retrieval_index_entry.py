from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from agentmem.errors import IntegrityError
from agentmem.features.memories.index_entry import SealedEntry, build, decode, decode_all, encode, indexed_text

DAY = datetime(2023, 5, 17, 12, tzinfo=UTC)
DAYS = st.integers(1, 3_652_059)


@dataclass(frozen=True)
class Vectors:
    tokens: NDArray[np.int8]
    spans: NDArray[np.int32]


@given(
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(DAYS, DAYS), max_size=16),
    hnp.arrays(np.int8, st.tuples(st.integers(0, 64), st.integers(0, 128))),
)
def test_an_entry_is_read_back_as_it_was_written(
    is_question: bool, has_time: bool, mentions: list[tuple[int, int]], tokens: NDArray[np.int8]
) -> None:
    entry = SealedEntry(is_question=is_question, has_time=has_time, mentions=tuple(mentions), tokens=tokens)
    read = decode(encode(entry))
    assert (read.is_question, read.has_time, read.mentions) == (is_question, has_time, tuple(mentions))
    assert read.tokens.shape == tokens.shape
    assert np.array_equal(read.tokens, tokens)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_entry_are_an_integrity_error_or_read_within_themselves(data: bytes) -> None:
    try:
        read = decode(data)
    except IntegrityError:
        return
    assert encode(read) == data


@given(st.integers(0, 200), st.integers(1, 30))
def test_a_cut_or_lengthened_entry_is_refused(cut: int, extra: int) -> None:
    data = encode(build("We met last Friday?", "Ana", DAY, _vectors("Ana: We met last Friday?")))
    with pytest.raises(IntegrityError):
        decode(data[: min(cut, len(data) - 1)])
    with pytest.raises(IntegrityError):
        decode(data + b"\0" * extra)


def test_an_entry_of_another_version_is_refused() -> None:
    data = encode(build("Hello", None, DAY, None))
    with pytest.raises(IntegrityError):
        decode(b"\x09" + data[1:])


@given(st.lists(st.tuples(st.booleans(), st.lists(st.tuples(DAYS, DAYS), max_size=3), st.integers(0, 9)), max_size=9))
def test_many_entries_are_read_side_by_side_as_each_alone(
    rows: list[tuple[bool, list[tuple[int, int]], int]],
) -> None:
    entries = [
        SealedEntry(
            is_question=asks,
            has_time=bool(mentions),
            mentions=tuple(mentions),
            tokens=np.full((count, 4 if number % 3 else 5), number, np.int8),
        )
        for number, (asks, mentions, count) in enumerate(rows)
    ]
    read = decode_all([encode(entry) for entry in entries], 4, [number % 2 == 0 for number in range(len(rows))])

    vectors = [entry.tokens if number % 3 and number % 2 == 0 else () for number, entry in enumerate(entries)]
    assert read.is_question.tolist() == [entry.is_question for entry in entries]
    assert read.has_time.tolist() == [entry.has_time for entry in entries]
    assert [read.mentions(row) for row in range(len(rows))] == [entry.mentions for entry in entries]
    assert read.pieces.tolist() == [len(tokens) for tokens in vectors]
    assert read.tokens.tolist() == [row.tolist() for tokens in vectors for row in tokens]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:3], lambda data: b"\x09" + data[1:]])
def test_one_damaged_entry_among_many_is_refused(damage: Callable[[bytes], bytes]) -> None:
    data = encode(build("We met last Friday?", "Ana", DAY, _vectors("Ana: We met last Friday?")))
    with pytest.raises(IntegrityError):
        decode_all([data, damage(data)], 4, [True, True])


def test_speaker_text_and_date_are_indexed_together() -> None:
    entry = build("Luis bought two boats, small boats", "Ana Lima", DAY, None)
    assert entry.terms["boat"] == 2
    assert {"ana", "lima", "lui", "may", "2023", "17"} <= set(entry.terms)
    assert entry.speaker_terms == ("ana", "lima")
    assert entry.length == sum(entry.terms.values())
    assert entry.tokens.shape == (0, 0)


def test_times_in_the_text_are_resolved_against_its_own_day() -> None:
    entry = build("We met yesterday.", None, DAY, None)
    assert entry.has_time
    assert entry.mentions == ((DAY.toordinal() - 1, DAY.toordinal() - 1),)


def test_only_pieces_with_content_keep_their_vectors_and_at_most_64() -> None:
    text = "She said that the boat is blue."
    entry = build(text, None, DAY, _vectors(text))
    assert entry.tokens[:, 0].tolist() == [1, 4, 6]
    long = " ".join(f"word{number}" for number in range(200))
    assert build(long, None, DAY, _vectors(long)).tokens.shape == (64, 4)


@pytest.mark.parametrize(
    "text,expected", [("Really?", True), ('"Is it?"', True), ("好吗？", True), ("No. ", False), ("", False)]
)
def test_a_text_that_ends_by_asking_is_a_question(text: str, expected: bool) -> None:
    assert build(text, None, DAY, None).is_question is expected


@given(st.text(max_size=200), st.one_of(st.none(), st.text(max_size=20)))
def test_any_text_and_speaker_can_be_indexed(text: str, speaker: str | None) -> None:
    whole = indexed_text(text, speaker)
    entry = build(text, speaker, DAY, _vectors(whole))
    assert 0 < entry.length <= 65535
    assert set(entry.speaker_terms) <= {term for term in entry.speaker_terms if len(term) <= 64}
    assert decode(encode(entry)).mentions == entry.mentions


def _vectors(text: str) -> Vectors:
    """One vector for each word, which says in its first number which word it is."""
    spans, start = [], 0
    for word in text.split(" "):
        spans.append((start, start + len(word)))
        start += len(word) + 1
    tokens = np.zeros((len(spans), 4), np.int8)
    tokens[:, 0] = np.arange(len(spans)) % 120
    return Vectors(tokens, np.array(spans, np.int32))
