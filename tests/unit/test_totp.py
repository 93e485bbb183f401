"""Codes of authenticator apps, against the vectors of RFC 6238 and another implementation."""

from __future__ import annotations

import base64
import re
import secrets
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.features.identity.factors.totp import (
    code_at,
    matching_step,
    new_secret,
    provisioning_uri,
    qr_svg,
    step_at,
)

# Appendix B of RFC 6238, the rows of SHA-1; of their eight digits an app shows the last six.
SECRET = base64.b32encode(b"12345678901234567890").decode()
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
NOW = datetime(2026, 11, 27, 12, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize("seconds, code", VECTORS)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)

    assert code_at(SECRET, step_at(moment)) == code[-6:]
    assert matching_step(SECRET, code[-6:], moment) == seconds // 30


@pytest.mark.skipif(shutil.which("oathtool") is None, reason="needs oathtool (make services)")
def test_two_hundred_codes_are_those_of_another_program() -> None:
    secret, start = new_secret(), secrets.randbelow(2**31)
    command = ["oathtool", "--totp", "--base32", "--window=199", f"--now=@{start}", secret]

    codes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    assert codes == [code_at(secret, start // 30 + number) for number in range(200)]


@pytest.mark.parametrize("steps, taken", [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_codes_of_the_steps_beside_the_present_one_are_taken_and_no_others(steps: int, *, taken: bool) -> None:
    secret, step = new_secret(), step_at(NOW) + steps

    assert matching_step(secret, code_at(secret, step), NOW) == (step if taken else None)


def test_the_present_step_ends_on_the_second() -> None:
    first = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)

    assert step_at(first - timedelta(microseconds=1)) + 1 == step_at(first)
    assert step_at(first + timedelta(seconds=29, microseconds=999_999)) == step_at(first)


def test_codes_of_the_first_step_of_all_are_taken() -> None:
    assert matching_step(SECRET, code_at(SECRET, 0), datetime.fromtimestamp(0, UTC)) == 0


@given(text=st.text(max_size=12))
def test_what_is_no_code_matches_nothing(text: str) -> None:
    codes = {code_at(SECRET, step_at(NOW) + steps) for steps in (-1, 0, 1)}

    assert (matching_step(SECRET, text, NOW) is not None) == (text in codes)


def test_of_two_steps_with_the_same_code_the_later_counts() -> None:
    # Neighbours with one code exist; were the earlier one taken, the code could be used once more for the later.
    step = 910_737
    assert code_at(SECRET, step) == code_at(SECRET, step + 1)
    moment = datetime.fromtimestamp(step * 30, UTC)

    assert matching_step(SECRET, code_at(SECRET, step), moment) == step + 1


def test_a_secret_has_160_random_bits() -> None:
    made = {new_secret() for _ in range(100)}

    assert len(made) == 100
    assert {len(base64.b32decode(secret)) for secret in made} == {20}


def test_the_uri_says_what_apps_need() -> None:
    found = urlsplit(provisioning_uri(SECRET, "ada@example.com"))

    assert (found.scheme, found.netloc, found.path) == ("otpauth", "totp", "/AgentMem:ada%40example.com")
    assert parse_qs(found.query) == {"secret": [SECRET], "issuer": ["AgentMem"]}


def test_the_qr_code_is_a_drawing_without_script_or_style() -> None:
    drawing = qr_svg(provisioning_uri(SECRET, "ada@example.com"))
    root = ET.fromstring(drawing)

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert drawing.startswith("<svg ")
    # Version 6 of level M holds 106 bytes in 41 modules; level L would do with version 5. Four modules of quiet around.
    assert root.attrib["width"] == root.attrib["height"] == str(4 * (4 + 41 + 4))
    assert {part.tag.rpartition("}")[2] for part in root.iter()} <= {"svg", "path"}
    assert not re.search(r"style=|script|href", drawing)
