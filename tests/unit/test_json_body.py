"""Bodies as JSON: what is refused before anything looks at it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from agentmem.entrypoints.api.json_body import check_content_type, read_body
from agentmem.errors import InvalidInput, MalformedRequest, UnsupportedContent
from agentmem.kit.sound_json import DEEPEST, MOST_ITEMS

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_sound_json_is_read_as_it_is(value: JsonValue) -> None:
    assert read_body(json.dumps(value).encode()) == value
    assert read_body(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "body, said",
    [
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'"\xff"', "UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"1" * 5000, "too many digits"),
        (b"[" * 100_000, "levels"),
        (b'{"a":' * 100_000, "levels"),
    ],
)
def test_what_is_no_sound_json_is_malformed(body: bytes, said: str) -> None:
    with pytest.raises(MalformedRequest, match=said) as refused:
        read_body(body)
    assert refused.value.status == 400
    assert [fault.field for fault in refused.value.faults] == ["body"]


def test_deep_nesting_is_refused_with_its_place() -> None:
    assert read_body(b'{"a":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}")
    with pytest.raises(MalformedRequest, match="32 levels") as refused:
        read_body(b'{"a":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}")
    assert refused.value.faults[0].field.startswith("body.a.0.0")


def test_long_arrays_are_refused_with_their_place() -> None:
    assert read_body(json.dumps({"a": [0] * MOST_ITEMS}).encode())
    with pytest.raises(MalformedRequest, match="10001 items") as refused:
        read_body(json.dumps({"a": {"b": [0] * (MOST_ITEMS + 1)}}).encode())
    assert refused.value.faults[0].field == "body.a.b"


@pytest.mark.parametrize(
    "body, field",
    [(b'{"a": ["x", "\\ud800"]}', "body.a.1"), (b'{"a": {"\\udfff": 1}}', "body.a"), (b'"\\ud800x"', "body")],
)
def test_lone_surrogates_are_refused_with_their_place(body: bytes, field: str) -> None:
    with pytest.raises(InvalidInput, match="lone surrogate") as refused:
        read_body(body)
    assert refused.value.faults[0].field == field
    assert read_body(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(MalformedRequest, InvalidInput):
        read_body(body)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", 'application/json; charset="utf-8"', "application/json;charset=UTF-8"],
)
def test_json_is_taken_however_it_is_named(content_type: str) -> None:
    check_content_type(content_type, None)
    check_content_type(content_type, "identity")


@pytest.mark.parametrize(
    "content_type, encoding",
    [
        (None, None),
        ("", None),
        ("text/plain", None),
        ("application/jsonp", None),
        ("application/json; charset=utf-16", None),
        ("application/json", "gzip"),
        ("application/json", "br, gzip"),
    ],
)
def test_other_content_is_not_supported(content_type: str | None, encoding: str | None) -> None:
    with pytest.raises(UnsupportedContent) as refused:
        check_content_type(content_type, encoding)
    assert refused.value.status == 415
