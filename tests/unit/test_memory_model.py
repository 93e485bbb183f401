from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from agentmem.features.memories.model import ALONE, FIRST_POSITION, is_alone, make_place, rising, texts_of
from agentmem.schemas.memories import Kind, MemoryRecord, Origin

START = datetime(2024, 1, 1, tzinfo=UTC)


def version(number: int, seconds: float, **changes: object) -> MemoryRecord:
    record = MemoryRecord(
        id=UUID(int=7),
        content="tea",
        kind=Kind.EPISODIC,
        origin=Origin.USER,
        authority=Origin.USER,
        metadata={},
        importance=0.5,
        pinned=False,
        occurred_at=START,
        created_at=START,
        updated_at=START + timedelta(seconds=seconds),
        version=number,
    )
    return record.model_copy(update=changes)


def test_times_that_rise_stay_as_they_are() -> None:
    versions = [version(1, 0), version(2, 0.000001), version(3, 60)]

    assert list(rising(versions)) == versions
    assert list(rising([])) == []


def test_times_that_do_not_rise_are_moved_just_behind_the_version_before() -> None:
    moved = list(rising([version(1, 10), version(2, 10), version(3, 5), version(4, 11)]))

    assert [(one.updated_at - START) / timedelta(microseconds=1) for one in moved] == [10e6, 10e6 + 1, 10e6 + 2, 11e6]
    assert [one.version for one in moved] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "change", [{"content": "coffee"}, {"actor": "Bo"}, {"user_id": "bo"}, {"occurred_at": START + timedelta(days=1)}]
)
def test_versions_that_say_something_else_are_texts_of_their_own(change: dict[str, object]) -> None:
    versions = [version(1, 0), version(2, 1, importance=0.9), version(3, 2, **change), version(4, 3)]

    assert [[one.version for one in text] for text in texts_of(versions)] == [[1, 2], [3], [4]]


def test_only_what_has_no_session_is_alone() -> None:
    assert is_alone(make_place(5, ALONE))
    assert not is_alone(make_place(5, FIRST_POSITION))
