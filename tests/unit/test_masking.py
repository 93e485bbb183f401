"""Masking: what is recognised, what is left alone, what is shown instead, and that no text takes long."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.foundation.masking.engine import Masker, named, partial_view, tagged
from agentmem.foundation.masking.numbers import CHECKED_AT_MOST, SHAPES, Numbers
from agentmem.foundation.telemetry.logs import HIDDEN, Hiding
from agentmem.kit.text.patterns import LONGEST_MATCH, compile_pattern
from agentmem.schemas.masking import CustomPattern, MaskedKind, MaskingPolicy

MASKER = Masker.of(MaskingPolicy())
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWl0"

FOUND = [
    ("write to alice.smith+work@mail.example.com today", "alice.smith+work@mail.example.com", "EMAIL"),
    ("邮箱是alice@example.com，谢谢", "alice@example.com", "EMAIL"),
    ("邮箱alice＠example.cn", "alice＠example.cn", "EMAIL"),  # full width, as people type it
    ("call +44 20 7946 0958 now", "+44 20 7946 0958", "PHONE"),
    ("call (212) 555-2368 now", "(212) 555-2368", "PHONE"),
    ("我的手机号是13812345678。", "13812345678", "PHONE"),
    ("电话 0086 138 1234 5678", "0086 138 1234 5678", "PHONE"),
    ("card 4111 1111 1111 1111 please", "4111 1111 1111 1111", "CARD"),
    ("card 5555-5555-5555-4444, 12/27", "5555-5555-5555-4444", "CARD"),
    ("card 378282246310005", "378282246310005", "CARD"),
    ("card 4111 1111 1111 1111 123", "4111 1111 1111 1111", "CARD"),
    ("pay DE89 3704 0044 0532 0130 00 PROMPTLY", "DE89 3704 0044 0532 0130 00", "IBAN"),
    ("pay GB82WEST12345698765432", "GB82WEST12345698765432", "IBAN"),
    ("身份证号11010519491231002X，请保密", "11010519491231002X", "NATIONAL_ID"),
    ("ssn 536-90-4399", "536-90-4399", "NATIONAL_ID"),
    ("cpf 390.533.447-05", "390.533.447-05", "NATIONAL_ID"),
    ("aadhaar 2341 2341 2346", "2341 2341 2346", "NATIONAL_ID"),
    ("nir 2 95 10 99 126 111 93", "2 95 10 99 126 111 93", "NATIONAL_ID"),
    ("dni 54362315K", "54362315K", "NATIONAL_ID"),
    ("cf RCCMNL83S18D969H", "RCCMNL83S18D969H", "NATIONAL_ID"),
    ("rrn 971013-9019902", "971013-9019902", "NATIONAL_ID"),
    ("pesel 44051401359", "44051401359", "NATIONAL_ID"),
    ("hetu 131052-308T", "131052-308T", "NATIONAL_ID"),
    ("key amk_live_0123456789ab_" + "x" * 49, "amk_live_0123456789ab_" + "x" * 49, "SECRET"),
    (f"token {JWT} end", JWT, "SECRET"),
    ("aws AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE", "SECRET"),
    ("gh ghp_" + "a1" * 18, "ghp_" + "a1" * 18, "SECRET"),
    ("slack xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF", "SECRET"),
    ("Authorization: Bearer abcdef1234567890", "abcdef1234567890", "SECRET"),
    ("password: correct-horse!", "correct-horse!", "SECRET"),
    ("密码：hunter2hunter2", "hunter2hunter2", "SECRET"),  # a Chinese colon
    ("postgresql://app:s3cret@db/x", "s3cret", "SECRET"),
    (
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----",
        "SECRET",
    ),
]

LEFT_ALONE = [
    "On 2026-10-27 18:19:09 the tulips were watered for 12345 minutes",
    "2026-11-27T18:19:09.123456Z took 1764267549 ms",
    "memory 019b1234-5678-7123-8123-123456789012 is at version 12",
    "card 4111 1111 1111 1112 has a wrong checksum",
    "the id 110105194912310021 has a wrong checksum",
    "order 123-45-67890 and 1.2.3.4 and 10.0.0.1:5432",
    "a@b is no address, nor is @home or me@",
    "the tokens of a text, a secret garden, and a password",
    "版本2.0.1于2026年10月27日发布，共1234567字",  # Chinese
    "isbn 978-3-16-148410-0",
]


@pytest.mark.parametrize("text, written, kind", FOUND, ids=[case[1][:24] for case in FOUND])
def test_what_is_personal_or_secret_is_recognised_and_nothing_beside_it(text: str, written: str, kind: str) -> None:
    masked = MASKER.mask(text, named)

    assert masked == text.replace(written, f"[{kind}]")


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert MASKER.mask(text, named) == text


def test_partial_view_shows_what_tells_two_apart() -> None:
    text = "alice@example.com by 4111 1111 1111 1111, id 11010519491231002X, AKIAIOSFODNN7EXAMPLE, +44 20 7946 0958"

    assert MASKER.mask(text, partial_view) == "a***@e***.com by ***1111, id [NATIONAL_ID], [SECRET], ***0958"


def test_tags_are_equal_for_equal_things_under_one_key_alone() -> None:
    text = "alice@example.com and alice@example.com and bob@example.com"
    first, _, second, _, other = MASKER.mask(text, tagged(b"k" * 32)).split()

    assert first == second != other
    assert first.startswith("[REDACTED:email:")
    assert first not in MASKER.mask(text, tagged(b"l" * 32))


def test_only_the_kinds_and_regions_of_the_rule_are_masked() -> None:
    masker = Masker.of(MaskingPolicy(kinds=(MaskedKind.PHONE,), phone_regions=("GB",)))
    text = "alice@example.com, 020 7946 0958, 13812345678"

    assert masker.mask(text, named) == "alice@example.com, [PHONE], 13812345678"


def test_custom_patterns_are_masked_by_their_names_before_anything_else() -> None:
    patterns = (
        CustomPattern(name="employee", pattern=r"\bEMP-?\d{6}\b"),
        CustomPattern(name="project", pattern="项目[A-Z]{2,4}"),
    )
    masker = Masker.of(MaskingPolicy(patterns=patterns))

    assert masker.mask("EMP-123456 in 项目ABC, EMP-1234567", named) == "[EMPLOYEE] in [PROJECT], EMP-1234567"


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "a*b",
        "a+b+c",
        "a|b|cd",
        "ab",
        "a{65}",
        "a{3,2}",
        "[z-a]{3}",
        r"\1abc",
        "a{40}b{40}",
        "[abc",
        r"\pabc",
        "^abc$",
        "x?y?z?",
    ],
)
def test_a_pattern_that_could_take_long_or_fit_everything_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        compile_pattern(pattern)


@given(st.text(max_size=300))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = MASKER.mask(text, named)

    assert MASKER.mask(once, named) == once


HOSTILE = {
    "digits": "1" * 200_000,
    "grouped digits": "4111 " * 40_000,
    "telephone numbers": "+4420794609 " * 16_000,
    "national numbers": "138 1234 5678, " * 14_000,
    "letters": "a" * 200_000,
    "addresses without an end": "a@" * 100_000,
    "dots": "a." * 100_000,
    "hosts": "@" + "a." * 100_000,
    "begins": "-----BEGIN KEY-----" * 10_000,
    "tokens": "eyJ" * 70_000,
    "tokens with dots": "eyJaaaaaaaaa." * 15_000,
    "names": "password= " * 20_000,
    "urls": "://a:" * 40_000,
    "ibans": "DE89 3704 0044 0532 0130 01 " * 7_000,
    "capitals": "A1" * 100_000,
}


class Steps:
    """Counts how often a proof is asked for: what stands for time, which tests do not measure."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _written: str) -> bool:
        self.asked += 1
        return False


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_masked_within_bounds(name: str) -> None:
    masker = Masker.of(MaskingPolicy(patterns=(CustomPattern(name="own", pattern=f"a{{{LONGEST_MATCH - 1}}}b"),)))

    assert isinstance(masker.mask(HOSTILE[name], named), str)


def test_proofs_are_asked_for_a_bounded_number_of_times_and_then_taken_for_granted() -> None:
    steps = Steps()
    recognizer = Numbers([replace(SHAPES[0], proof=steps)])
    found = list(recognizer.find("4111111111111111, " * 3000))

    assert steps.asked == CHECKED_AT_MOST
    assert len(found) == 3000 - CHECKED_AT_MOST


def test_log_line_is_masked_at_any_depth_and_keeps_numbers() -> None:
    hiding = Hiding(masker=MASKER, style=named)
    line = {
        "event": "alice@example.com failed",
        "seconds": 1.5,
        "count": 13812345678,
        "headers": {"Authorization": "Basic abc", "x-api-key": "k", "accept": "text/html"},
        "parts": ["13812345678", {"refresh_token": "t"}],
        "error": ValueError("no such user bob@example.com"),
        "tokens": 12,
    }

    assert hiding(None, "info", dict(line)) == {
        "event": "[EMAIL] failed",
        "seconds": 1.5,
        "count": 13812345678,
        "headers": {"Authorization": HIDDEN, "x-api-key": HIDDEN, "accept": "text/html"},
        "parts": ["[PHONE]", {"refresh_token": HIDDEN}],
        "error": "no such user [EMAIL]",
        "tokens": 12,
    }
