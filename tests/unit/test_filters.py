"""Filters are checked when they are read, and their faults are named by their place."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from agentmem.errors import InvalidFilter
from agentmem.features.memories.filtering import folded_pattern
from agentmem.schemas.filters import EVERYTHING, And, Condition, Not, Operator, Or, parse
from agentmem.schemas.memories import Kind

ID = "0198a2f0-0000-7000-8000-000000000001"


def eq(field: str, value: Any, *keys: str) -> Condition:
    return Condition(field=field, operator=Operator.EQ, value=value, keys=keys)


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_filter_lets_everything_pass(nothing: object) -> None:
    assert parse(nothing) == EVERYTHING


def test_a_bare_value_means_equality() -> None:
    assert parse({"kind": "semantic"}) == eq("kind", "semantic")


def test_siblings_are_joined_by_and() -> None:
    assert parse({"kind": "semantic", "pinned": True}) == And(parts=(eq("kind", "semantic"), eq("pinned", value=True)))


def test_two_operators_of_a_field_are_joined_by_and() -> None:
    parsed = parse({"importance": {"gte": 0.2, "lt": 1}})
    assert parsed == And(
        parts=(
            Condition(field="importance", operator=Operator.GTE, value=0.2),
            Condition(field="importance", operator=Operator.LT, value=1),
        )
    )


def test_combiners_nest_in_each_other() -> None:
    parsed = parse({"or": [{"user_id": "a"}, {"not": {"and": [{"user_id": "b"}, {"run_id": None}]}}]})
    inner = Not(part=And(parts=(eq("user_id", "b"), eq("run_id", None))))
    assert parsed == Or(parts=(eq("user_id", "a"), inner))


@pytest.mark.parametrize(
    "path,keys",
    [
        ("metadata.topic", ("topic",)),
        ("metadata.a.b", ("a", "b")),
        (r"metadata.a\.b", ("a.b",)),
        (r"metadata.a\\.b", ("a\\", "b")),
        ("metadata.0", ("0",)),
        ("metadata.and", ("and",)),
        ("metadata.$ '\";--", ("$ '\";--",)),
        ("metadata.metadata.x", ("metadata", "x")),
    ],
)
def test_a_metadata_path_is_split_at_its_dots(path: str, keys: tuple[str, ...]) -> None:
    assert parse({path: 1}) == eq("metadata", 1, *keys)


@pytest.mark.parametrize(
    "given,expected",
    [
        ("2025-03-01", datetime(2025, 3, 1, tzinfo=UTC)),
        ("2025-03-01T09:30", datetime(2025, 3, 1, 9, 30, tzinfo=UTC)),
        ("2025-03-01t09:30:15.5z", datetime(2025, 3, 1, 9, 30, 15, 500000, tzinfo=UTC)),
        ("2025-03-01T09:30:00+02:00", datetime(2025, 3, 1, 7, 30, tzinfo=UTC)),
        (datetime(2025, 3, 1, 9), datetime(2025, 3, 1, 9, tzinfo=UTC)),  # noqa: DTZ001
        (datetime(2025, 3, 1, 9, tzinfo=timezone(timedelta(hours=2))), datetime(2025, 3, 1, 7, tzinfo=UTC)),
        (date(2025, 3, 1), datetime(2025, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_utc(given: object, expected: datetime) -> None:
    assert parse({"occurred_at": given}) == eq("occurred_at", expected)


def test_an_id_is_read_as_a_uuid() -> None:
    assert parse({"id": ID.upper()}) == parse({"id": UUID(ID)}) == eq("id", UUID(ID))


def test_a_member_of_an_enumeration_is_read_as_its_name() -> None:
    parsed = parse({"kind": Kind.SEMANTIC})
    assert isinstance(parsed, Condition)
    assert type(parsed.value) is str


def test_an_empty_list_is_a_list() -> None:
    assert parse({"user_id": {"in": []}}) == Condition(field="user_id", operator=Operator.IN, value=())


def test_a_metadata_value_can_be_compared_with_a_list() -> None:
    assert parse({"metadata.tags": {"eq": ["a", 1, None]}}) == eq("metadata", ("a", 1, None), "tags")


@pytest.mark.parametrize("field", ["content", "actor"])
def test_sealed_fields_are_refused_with_the_reason(field: str) -> None:
    with pytest.raises(InvalidFilter, match=rf"Filter at {field}: is encrypted: {field} is searched.*no substring"):
        parse({field: {"contains": "secret"}})


def nested(levels: int) -> dict[str, object]:
    given: dict[str, object] = {"pinned": True}
    for _ in range(levels):
        given = {"not": given}
    return given


@pytest.mark.parametrize(
    "given,message",
    [
        ([], "The filter needs an object, not a list"),
        ("kind", "The filter needs an object, not a string"),
        ({1: 2}, "The filter has a key that is a number"),
        ({"colour": 1}, "Filter at colour: is no field to filter by; the fields are id, user_id"),
        ({"superseded_by": ID}, "Filter at superseded_by: is no field"),
        ({"organization_id": ID}, "Filter at organization_id: is no field"),
        ({"AND": []}, "Filter at AND: is written in lower case: and"),
        ({"and": {"kind": "core"}}, "Filter at and: needs a list of filters, not an object"),
        ({"or": []}, "Filter at or: is an empty list"),
        ({"not": {}}, "Filter at not: is an empty object"),
        ({"and": [{"pinned": True}, {"kind": "x"}]}, r"Filter at and\[1\].kind: is none of episodic, semantic"),
        ({"kind": {}}, "Filter at kind: is an empty object"),
        ({"kind": ["core"]}, "Filter at kind: needs an operator with a list"),
        ({"kind": {"like": "x"}}, "Filter at kind: has no operator like; it takes eq, ne, in, nin, exists"),
        ({"kind": {"EQ": "core"}}, "Filter at kind: has no operator EQ"),
        ({"kind": {"gt": "core"}}, "Filter at kind: has no operator gt"),
        ({"kind": {1: "core"}}, "Filter at kind: has no operator int"),
        ({"pinned": {"contains": True}}, "Filter at pinned: has no operator contains"),
        ({"pinned": 1}, "Filter at pinned: needs true or false, not a number"),
        ({"authority": {"gte": "god"}}, "Filter at authority.gte: is none of operator, user"),
        ({"importance": True}, "Filter at importance: needs a number, not a boolean"),
        ({"importance": "0.5"}, "Filter at importance: needs a number, not a string"),
        ({"importance": float("nan")}, "Filter at importance: needs a finite number"),
        ({"metadata.x": float("inf")}, "Filter at metadata.x: needs a finite number"),
        ({"metadata.x": {"lt": 10**400}}, "Filter at metadata.x.lt: is a number too large"),
        ({"version": 1.5}, "Filter at version: needs a whole number"),
        ({"version": 2**63}, "Filter at version: needs a whole number of at most 64 bits"),
        ({"user_id": 7}, "Filter at user_id: needs a string, not a number"),
        ({"user_id": {"contains": None}}, "Filter at user_id.contains: needs a string, not null"),
        ({"user_id": {"gt": None}}, "Filter at user_id.gt: needs something with an order, not null"),
        ({"user_id": {"in": "abc"}}, "Filter at user_id.in: needs a list, not a string"),
        ({"user_id": {"in": ["a", 1]}}, r"Filter at user_id.in\[1\]: needs a string"),
        ({"user_id": {"exists": 1}}, "Filter at user_id.exists: needs true or false"),
        ({"user_id": "a\x00b"}, "Filter at user_id: holds a NUL character"),
        ({"user_id": "a\ud800"}, "Filter at user_id: holds a lone surrogate"),
        ({"user_id": "a" * 1001}, "Filter at user_id: has 1001 characters; the most is 1000"),
        ({"user_id": {"in": ["a"] * 1001}}, "Filter at user_id.in: has 1001 items; the most is 1000"),
        ({"id": "7"}, "Filter at id: is no id"),
        ({"id": "{" + ID + "}"}, "Filter at id: is no id"),
        ({"occurred_at": "yesterday"}, "Filter at occurred_at: is no time"),
        ({"occurred_at": "20250301"}, "Filter at occurred_at: is no time"),
        ({"occurred_at": 1740000000}, "Filter at occurred_at: needs a string, not a number"),
        ({"occurred_at": "2025-02-30"}, "Filter at occurred_at: is no possible time"),
        ({"occurred_at": "2025-02-03T25:00"}, "Filter at occurred_at: is no possible time"),
        ({"occurred_at": "0001-01-01T00:00+14:00"}, "Filter at occurred_at: is no possible time"),
        ({"metadata": {"topic": "x"}}, "Filter at metadata: needs a key after a dot"),
        ({"metadata.": 1}, "Filter at metadata.: has an empty key"),
        ({"metadata.a..b": 1}, "Filter at metadata.a..b: has an empty key"),
        ({r"metadata.a\b": 1}, "has a lone backslash"),
        ({"metadata.a\\": 1}, "has a lone backslash"),
        ({"metadata." + "a." * 8 + "a": 1}, "has 9 keys; the most is 8"),
        ({"metadata." + "a" * 1000: 1}, "is a path of 1009 characters"),
        ({"metadata.a\x00": 1}, r"Filter at metadata.a\\x00: holds a NUL"),
        ({"metadata.a\ud800": 1}, r"Filter at metadata.a\\ud800: holds a lone surrogate"),
        ({"metadata.a": {"b": 1}}, "Filter at metadata.a: has no operator b"),
        ({"metadata.a": {"eq": {"b": 1}}}, "Filter at metadata.a.eq: needs a string, a number"),
        ({"metadata.a": {"in": [[1]]}}, r"Filter at metadata.a.in\[0\]: needs a string, a number"),
        ({"metadata.a": {"gt": True}}, "Filter at metadata.a.gt: needs something with an order, not a boolean"),
        ({"metadata.a": {"gt": [1]}}, "Filter at metadata.a.gt: needs something with an order, not a list"),
        (nested(9), "nests and, or and not more than 8 levels deep"),
        (nested(5000), "nests and, or and not more than 8 levels deep"),
        ({"or": [{"pinned": True}] * 101}, r"Filter at or\[100\].pinned: is one comparison too many"),
        ({"x" * 5000: 1}, "Filter at x{60}\\.\\.\\.: is no field"),
    ],
)
def test_a_fault_is_named_by_its_place(given: object, message: str) -> None:
    with pytest.raises(InvalidFilter, match=message) as raised:
        parse(given)
    assert len(str(raised.value)) < 600
    assert raised.value.code == "filter_invalid"


def test_the_deepest_and_the_longest_filter_are_taken() -> None:
    parse(nested(8))
    parse({"or": [{"user_id": {"in": ["a"] * 1000}}] * 100})
    parse({"metadata." + "a." * 7 + "a": "x" * 1000})


@pytest.mark.parametrize(
    "needle,text,found",
    [
        ("k", "\u212a", True),
        ("STRASSE", "straße", False),
        ("STRAẞE", "straße", True),
        ("a.c", "abc", False),
        (".*", "anything", False),
        ("\\d", "1", False),
    ],
)
def test_folding_is_by_character_and_never_by_pattern(needle: str, text: str, found: bool) -> None:
    assert bool(re.search(folded_pattern(needle), text)) is found
