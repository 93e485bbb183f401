"""Refresh families and sessions as values: the verdicts, the times, and the text of a token."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.features.identity.sessions.model import (
    SHARED_SECONDS,
    TOUCH_AFTER,
    Family,
    StoredSession,
    Verdict,
    copy_key,
    holds,
    judge,
)
from agentmem.features.identity.sessions.refresh_token import PATTERN, new_refresh_token, read_refresh_token
from agentmem.features.identity.signing.model import (
    LONGEST_TOKEN,
    PUBLISHED_AHEAD,
    KeyTimes,
    end_of,
    is_due,
    signing_at,
)
from agentmem.kit.base62 import encode_base62
from agentmem.kit.ids import AccountId, OrganizationId, SessionId, uuid7

NOW: Final = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
HOUR: Final = timedelta(hours=1)
CURRENT, PREVIOUS, OLDER = (bytes([number]) * 32 for number in (1, 2, 3))
FAMILY: Final = Family(
    family_id=uuid7(),
    session_id=SessionId(uuid7()),
    account_id=AccountId(uuid7()),
    current_mac=CURRENT,
    previous_mac=PREVIOUS,
    rotated_at=NOW,
    generation=7,
    grace=10 * SECOND,
    idle=HOUR,
    idle_until=NOW + HOUR,
    expires_at=NOW + 24 * HOUR,
    ended=False,
)
SESSION: Final = StoredSession(
    session_id=SessionId(uuid7()),
    account_id=AccountId(uuid7()),
    organization_id=OrganizationId(uuid4()),
    member_id=uuid7(),
    methods=("pwd",),
    level="aal1",
    authenticated_at=NOW,
    last_seen_at=NOW,
    idle=HOUR,
    expires_at=NOW + 24 * HOUR,
    ended=False,
)


@pytest.mark.parametrize(
    "mac, after, verdict",
    [
        (CURRENT, 0 * SECOND, Verdict.ROTATE),
        (CURRENT, 11 * SECOND, Verdict.ROTATE),
        (CURRENT, HOUR - SECOND, Verdict.ROTATE),
        (CURRENT, HOUR, Verdict.ENDED),
        (PREVIOUS, 0 * SECOND, Verdict.REISSUE),
        (PREVIOUS, 10 * SECOND, Verdict.REISSUE),
        (PREVIOUS, 10 * SECOND + timedelta(microseconds=1), Verdict.REUSED),
        (PREVIOUS, HOUR, Verdict.ENDED),
        (OLDER, 0 * SECOND, Verdict.REUSED),
        (OLDER, HOUR, Verdict.ENDED),
        (b"", 0 * SECOND, Verdict.REUSED),
    ],
)
def test_verdict_is_that_of_the_table(mac: bytes, after: timedelta, verdict: Verdict) -> None:
    assert judge(FAMILY, mac, NOW + after) is verdict


def test_ended_family_has_one_verdict_for_all() -> None:
    over = replace(FAMILY, ended=True)
    past = replace(FAMILY, expires_at=NOW)

    assert {judge(over, mac, NOW) for mac in (CURRENT, PREVIOUS, OLDER)} == {Verdict.ENDED}
    assert {judge(past, mac, NOW) for mac in (CURRENT, PREVIOUS, OLDER)} == {Verdict.ENDED}


def test_first_token_of_a_family_has_none_before_it() -> None:
    first = replace(FAMILY, previous_mac=None)

    assert judge(first, PREVIOUS, NOW) is Verdict.REUSED
    assert judge(first, CURRENT, NOW) is Verdict.ROTATE
    assert holds(first, CURRENT)
    assert not holds(first, PREVIOUS)
    assert not holds(replace(first, current_mac=OLDER), CURRENT)


def test_grace_of_nothing_admits_the_same_moment_alone() -> None:
    strict = replace(FAMILY, grace=timedelta(0))

    assert judge(strict, PREVIOUS, NOW) is Verdict.REISSUE
    assert judge(strict, PREVIOUS, NOW + timedelta(microseconds=1)) is Verdict.REUSED


def test_family_holds_its_current_token_and_the_one_before() -> None:
    assert [holds(FAMILY, mac) for mac in (CURRENT, PREVIOUS, OLDER, b"")] == [True, True, False, False]


def test_family_shows_no_hashes() -> None:
    assert "current_mac" not in repr(FAMILY)
    assert "previous_mac" not in repr(FAMILY)


@pytest.mark.parametrize(
    "after, good", [(timedelta(0), True), (HOUR - SECOND, True), (HOUR, False), (25 * HOUR, False)]
)
def test_session_is_good_while_it_is_used(after: timedelta, good: bool) -> None:
    assert SESSION.is_good_at(NOW + after) == good
    assert not replace(SESSION, ended=True).is_good_at(NOW + after)
    assert not replace(SESSION, last_seen_at=NOW + 24 * HOUR).is_good_at(NOW + 24 * HOUR)


def test_use_is_noted_once_a_minute() -> None:
    assert not SESSION.is_stale_at(NOW + TOUCH_AFTER - SECOND)
    assert SESSION.is_stale_at(NOW + TOUCH_AFTER)
    assert timedelta(minutes=1) == TOUCH_AFTER


def test_name_of_a_copy_does_not_show_the_session() -> None:
    session_id = UUID(int=7)

    assert copy_key(session_id).startswith("session:")
    assert session_id.hex not in copy_key(session_id)
    assert copy_key(session_id) == copy_key(UUID(int=7)) != copy_key(UUID(int=8))
    assert SHARED_SECONDS + 0.75 < 1


@given(st.uuids())
def test_token_is_read_as_it_was_made(family_id: UUID) -> None:
    token = new_refresh_token(family_id)

    assert read_refresh_token(token.text) == token
    assert PATTERN.fullmatch(token.text)
    assert len(token.text) == 76
    assert token.text not in repr(token)


def test_tokens_of_a_family_differ() -> None:
    family_id = uuid4()

    assert len({new_refresh_token(family_id).text for _ in range(50)}) == 50


@pytest.mark.parametrize("place", range(76))
def test_one_other_character_is_no_token(place: int) -> None:
    text = new_refresh_token(uuid4()).text
    for other in "A_0z é":
        if text[place] != other:
            assert read_refresh_token(text[:place] + other + text[place + 1 :]) is None


def test_numbers_beyond_what_is_meant_are_no_token() -> None:
    def closed(body: str) -> str:
        return body + encode_base62(crc32(body.encode()), 6)

    for family, secret, good in [
        (2**128 - 1, 2**256 - 1, True),
        (2**128, 0, False),
        (2**128 + 1, 0, False),
        (0, 2**256, False),
        (0, 2**256 + 1, False),
        (62**22 - 1, 0, False),
        (0, 62**43 - 1, False),
    ]:
        text = closed(f"amr_{encode_base62(family, 22)}_{encode_base62(secret, 43)}")
        assert (read_refresh_token(text) is not None) == good
    assert read_refresh_token(closed(f"amr_{'0' * 22}_{'0' * 43}")) is not None
    for text in ("", "amr_", closed(f"amk_{'0' * 22}_{'0' * 43}"), closed(f"amr_{'0' * 22}_{'0' * 43}") + "\n"):
        assert read_refresh_token(text) is None


def times(begin: float, end: float | None = None) -> KeyTimes:
    """A key that signs from an hour on, and checks until another."""
    return KeyTimes(
        key_id=uuid7(),
        signs_from=NOW + begin * HOUR,
        checks_until=None if end is None else NOW + end * HOUR,
    )


def test_newest_of_the_keys_that_have_begun_signs() -> None:
    old, new, coming = times(-10, 5), times(-1), times(1)

    assert signing_at([old, new, coming], NOW) == new
    assert signing_at([new, old], NOW) == new
    assert signing_at([coming], NOW) is None
    assert signing_at([old], NOW + 5 * HOUR) is None
    assert signing_at([], NOW) is None
    assert signing_at([coming, new], NOW + HOUR) == coming


def test_next_key_is_due_an_hour_before_the_last_has_signed_long_enough() -> None:
    lasts = timedelta(days=30)
    key = times(0)

    assert not is_due([key], NOW + lasts - PUBLISHED_AHEAD - SECOND, lasts)
    assert is_due([key], NOW + lasts - PUBLISHED_AHEAD, lasts)
    assert not is_due([key, times(24 * 30)], NOW + lasts - PUBLISHED_AHEAD, lasts)
    assert not is_due([], NOW, lasts)
    assert not is_due([times(-2000, 5)], NOW, lasts)


def test_key_checks_until_its_last_token_is_over() -> None:
    assert end_of(NOW) > NOW + LONGEST_TOKEN
    assert end_of(NOW) == NOW + LONGEST_TOKEN + 10 * SECOND
    assert times(0, 1).checks_at(NOW + HOUR - SECOND)
    assert not times(0, 1).checks_at(NOW + HOUR)
