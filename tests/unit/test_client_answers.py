from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem import errors
from agentmem.client.answers import error_of, retry_after
from agentmem.client.streams import LineSplitter
from agentmem.errors import AgentMemError

KINDS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, AgentMemError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_the_engine_comes_back_as_itself(kind: type[AgentMemError]) -> None:
    problem = {"code": kind.code, "status": kind.status, "detail": "Because.", "hint": "Do this."}

    error = error_of(kind.status, {}, json.dumps(problem).encode())

    assert (type(error), error.status, str(error)) == (kind, kind.status, "Because. Do this.")


@given(status=st.integers(400, 599), body=st.binary(max_size=60))
def test_any_bytes_of_a_refusal_give_an_error(status: int, body: bytes) -> None:
    assert error_of(status, {}, body).status == status


@given(
    status=st.integers(400, 599),
    body=st.dictionaries(
        st.sampled_from(["code", "detail", "hint", "errors"]),
        st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda inner: st.lists(inner, max_size=2)),
    ),
)
def test_any_problem_gives_an_error(status: int, body: dict[str, object]) -> None:
    assert error_of(status, {}, json.dumps(body).encode()).status == status


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "²"}, None),
        ({}, None),
    ],
)
def test_time_to_wait_is_read_from_seconds_and_from_dates(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@given(st.lists(st.text(min_size=1).filter(lambda text: "\n" not in text)), st.integers(1, 7))
def test_lines_come_out_as_they_went_in_however_they_are_cut(lines: list[str], size: int) -> None:
    lines = [line for line in lines if line.isprintable() or "\x85" in line or "\u2028" in line]
    data = "".join(line + "\n" for line in lines).encode()
    splitter = LineSplitter()

    found = [line for start in range(0, len(data), size) for line in splitter.feed(data[start : start + size])]
    splitter.end()

    assert found == lines
