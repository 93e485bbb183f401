from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from agentmem.client.following import FIRST_PAUSE, LONGEST_PAUSE, Follower
from agentmem.errors import EventsGone, InvalidInput, Unauthenticated, Unavailable
from agentmem.schemas.events import Event


def event(sequence: int) -> Event:
    now = datetime.now(UTC)
    return Event(id=uuid4(), sequence=sequence, type="memory.added", at=now, actor="local", targets=[])


def lines(told: Event) -> list[str]:
    return [f"id: {told.sequence}", f"event: {told.type}", f"data: {told.model_dump_json()}", ""]


def read(follower: Follower, *texts: str) -> list[Event]:
    return [found for text in texts for found in follower.take(text)]


def test_events_are_read_from_the_lines_of_a_stream() -> None:
    first, second = event(4), event(5)
    follower = Follower(["*"], None)

    assert read(follower, "retry: 1000", "", *lines(first), ": still here", "", *lines(second)) == [first, second]


def test_next_stream_begins_after_the_last_event_that_was_read() -> None:
    follower = Follower(["memory.*", "key.created"], 3)
    assert dict(follower.call().query)["after"] == "3"

    read(follower, *lines(event(4)))

    assert follower.call().query == (("types", "memory.*"), ("types", "key.created"), ("after", "4"))


def test_next_stream_begins_at_the_place_that_was_last_told_though_there_was_no_event() -> None:
    follower = Follower(["*"], None)

    read(follower, ": still here", "id: 17", "")

    assert dict(follower.call().query)["after"] == "17"


def test_event_that_broke_off_is_asked_for_again() -> None:
    follower = Follower(["*"], None)

    read(follower, *lines(event(4)), *lines(event(5))[:-1])
    follower.pause(Unavailable("broken"))

    assert dict(follower.call().query)["after"] == "4"
    assert read(follower, "") == []


def test_pauses_grow_until_something_is_read() -> None:
    follower = Follower(["*"], None)
    read(follower, "")

    assert [follower.pause(Unavailable("down")) for _ in range(3)] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert [follower.pause(None) for _ in range(20)][-1] == LONGEST_PAUSE
    read(follower, *lines(event(4)))
    assert follower.pause(None) == FIRST_PAUSE


def test_pause_that_the_server_asks_for_is_made() -> None:
    follower = Follower(["*"], None)
    read(follower, "")

    assert follower.pause(Unavailable("busy", retry_after=7.0)) == 7.0


def test_what_coming_again_would_not_mend_is_raised() -> None:
    follower = Follower(["*"], None)
    read(follower, "")

    for error in (Unauthenticated("revoked"), EventsGone("swept")):
        with pytest.raises(type(error)):
            follower.pause(error)


def test_server_that_never_answered_is_not_waited_for() -> None:
    with pytest.raises(Unavailable):
        Follower(["*"], None).pause(Unavailable("no such server"))


def test_types_are_checked_before_anything_is_sent() -> None:
    with pytest.raises(InvalidInput, match="one text"):
        Follower("memory.*", None)
    with pytest.raises(InvalidInput, match="types"):
        Follower(["memory.aded"], None)


def test_line_that_is_no_event_is_said() -> None:
    with pytest.raises(Unavailable, match="does not read"):
        read(Follower(["*"], None), "data: {}", "")
