"""How passwords are judged, searched for among those that were lost, and hashed."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.errors import Overloaded, Unavailable
from agentmem.foundation.passwords.breached import BreachedPasswords
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.foundation.passwords.strength import Strength, Weakness
from agentmem.pipelines.accounts.choosing import words_about
from agentmem.schemas.policies import PRESETS, PasswordPreset

NIST, ASVS, LEGACY = (PRESETS[preset] for preset in PasswordPreset)
WORDS = tuple(words_about("ada.lovelace@example.com", "Ada Lovelace"))


def digest_of(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@pytest.mark.parametrize(
    "password, found",
    [
        ("seven herons at the weir", set()),
        ("sieben Reiher am Wehr", set()),
        ("七只苍鹭在堰边站着看水流过", {Weakness.TOO_SHORT}),
        ("weir herons", {Weakness.TOO_SHORT}),
        ("password", {Weakness.TOO_SHORT, Weakness.COMMON, Weakness.GUESSABLE}),
        ("PassWord", {Weakness.TOO_SHORT, Weakness.COMMON, Weakness.GUESSABLE}),
        ("aaaaaaaaaaaaaaaa", {Weakness.GUESSABLE}),
        ("LovelaceExample1", {Weakness.CONTEXT}),
        ("agentmem-agentmem", {Weakness.CONTEXT}),
        ("agentmem herons weir", set()),
    ],
)
def test_password_is_judged_by_what_makes_it_guessable(password: str, found: set[Weakness]) -> None:
    assert set(Strength().weaknesses(password, NIST, WORDS)) == found


def test_presets_differ_in_length_and_classes() -> None:
    assert Strength().weaknesses("weir h3rons", ASVS, WORDS) == []
    assert Strength().weaknesses("weirherons in may", LEGACY, WORDS) == [Weakness.TOO_FEW_CLASSES]
    assert Strength().weaknesses("Weir herons in May", LEGACY, WORDS) == []


def test_rule_that_is_off_finds_nothing() -> None:
    off = {"min_length": 1, "min_score": 0, "refuse_common": False, "refuse_context": False}

    assert Strength().weaknesses("password", NIST.model_copy(update=off), WORDS) == []


@settings(max_examples=30, deadline=None)
@given(st.sets(st.text(max_size=8), max_size=40), st.booleans(), st.booleans())
def test_lost_passwords_are_found_and_no_others(lost: set[str], counted: bool, ended: bool) -> None:
    lines = [digest_of(each) + (f":{at}" if counted else "") for at, each in enumerate(sorted(lost, key=digest_of), 1)]
    path = Path("/dev/shm") / f"lost-{threading.get_ident()}"
    path.write_text("\n".join(lines) + ("\n" if ended and lines else ""))
    file = BreachedPasswords(path)
    try:
        if lines:
            assert all(file.holds(each) for each in lost)
            assert not file.holds("somebody's own, of nine characters or more")
        else:
            with pytest.raises(Unavailable):
                file.holds("x")
    finally:
        path.unlink()


def test_lines_may_end_as_those_of_windows_do_and_be_in_lower_case(tmp_path: Path) -> None:
    path = tmp_path / "lost"
    path.write_text("\r\n".join(sorted(f"{digest_of(str(at)).lower()}:{at}" for at in range(100))) + "\r\n", newline="")

    assert all(BreachedPasswords(path).holds(str(at)) for at in range(100))
    assert not BreachedPasswords(path).holds("100")


def test_password_is_not_judged_well_when_the_file_is_missing(tmp_path: Path) -> None:
    strength = Strength(breached=BreachedPasswords(tmp_path / "gone"))

    with pytest.raises(Unavailable, match="breached passwords"):
        strength.weaknesses("seven herons at the weir", NIST, WORDS)


def test_lost_password_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lost"
    path.write_text(digest_of("seven herons at the weir"))
    found = Strength(breached=BreachedPasswords(path)).weaknesses("seven herons at the weir", NIST, WORDS)

    assert found == [Weakness.BREACHED]


async def test_hash_is_of_one_password_and_costs_what_was_asked_for() -> None:
    cheap, dear = (Passwords(memory_kib=kib, passes=1, most=1, seconds=5.0) for kib in (8, 16))
    hashed = await cheap.hash("right")

    assert hashed.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await cheap.matches(hashed, "right")
    assert not await cheap.matches(hashed, "Right")
    assert not await cheap.matches(cheap.nobodys, "right")
    assert (dear.is_weaker(hashed), cheap.is_weaker(hashed)) == (True, False)
    await asyncio.gather(cheap.aclose(), dear.aclose())


async def test_password_that_is_too_long_matches_nothing_not_even_what_it_begins_with() -> None:
    passwords = Passwords(memory_kib=8, passes=1, most=1, seconds=5.0)

    assert not await passwords.matches(await passwords.hash("x" * 1025), "x" * 1025)
    assert await passwords.matches(await passwords.hash("x" * 1024), "x" * 1024)
    assert not await passwords.matches(await passwords.hash(""), "x" * 1025)
    await passwords.aclose()


async def test_whoever_waits_too_long_for_a_turn_is_told_to_come_again() -> None:
    passwords = Passwords(memory_kib=8, passes=1, most=1, seconds=0.05)
    end = threading.Event()
    first = asyncio.create_task(passwords.run(end.wait))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await passwords.hash("x")
    first.cancel()
    await asyncio.sleep(0)
    # Its thread is still at work: nobody else has its turn.
    with pytest.raises(Overloaded):
        await passwords.hash("x")
    end.set()
    await asyncio.gather(first, return_exceptions=True)

    assert (await passwords.hash("x")).startswith("$argon2id$")
    await passwords.aclose()
