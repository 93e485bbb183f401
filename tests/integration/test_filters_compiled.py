"""PostgreSQL and the plain-Python meaning of a filter agree on every row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, MetaData, Table, create_engine, delete, insert, select
from sqlalchemy.dialects import postgresql

from agentmem.features.memories.filtering import compile_filter
from agentmem.features.memories.tables import memories
from agentmem.foundation.database.embedded.server import EmbeddedServer
from agentmem.schemas.classification import Classification
from agentmem.schemas.filters import FIELDS, parse
from agentmem.schemas.memories import Kind, Origin, Role
from tests.support.filter_oracle import passes

Json = dict[str, Any]

# Small pools, so that filters and rows meet often; each holds what is likely to be taken for something else.
WORDS = ["", "a", "A", "ab", "a%", "a_b", "\\", "\\%", "'", "ß", "ẞ", "ss", "İ", "i", "ſ", "s", "\u212a", "k", "é",
         "e\u0301", "語", "😀", "\ue000", "\uffff", "\n", "\x01", "null", "true", "1", "[a]", ".*"]  # fmt: skip
NUMBERS = [0, -0.0, 1, 1.0, -1, 2, 0.1, 0.5, 1e23, 10**23, 2**53, 2**53 + 1, float(2**53), 5e-324, 1.7e308, -(10**300)]
START = datetime(2025, 3, 1, tzinfo=UTC)
MOMENTS = [START, START + timedelta(microseconds=1), START + timedelta(hours=2), datetime.min.replace(tzinfo=UTC),
           datetime.max.replace(tzinfo=UTC)]  # fmt: skip
IDS = [UUID(int=n << 76 | 7) for n in (1, 2, 3)]
KEYS = ["a", "A", "b", "0", "a.b", "\\", "x y", "'", "$", "語", "and"]
TEXT_FIELDS = ["user_id", "agent_id", "run_id", "app_id"]
TIME_FIELDS = ["occurred_at", "created_at", "updated_at", "expires_at", "superseded_at"]
CHOICES = {"kind": Kind, "role": Role, "origin": Origin, "authority": Origin, "classification": Classification}

words = st.sampled_from(WORDS) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4
)
numbers = st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False) | st.integers()
scalars = st.none() | st.booleans() | numbers | words
flat_lists = st.lists(scalars, max_size=3)
documents = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        scalars | flat_lists,
        lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=2) | st.lists(inner, max_size=2),
        max_leaves=4,
    ),
    max_size=4,
)


@st.composite
def rows(draw: st.DrawFn) -> Json:
    row: Json = {name: draw(st.none() | st.sampled_from(["a", "b", "alice", "Alice"]) | words) for name in TEXT_FIELDS}
    row |= {name: draw(st.sampled_from(MOMENTS)) for name in TIME_FIELDS[:3]}
    row |= {name: draw(st.none() | st.sampled_from(MOMENTS)) for name in TIME_FIELDS[3:]}
    row |= {name: draw(st.sampled_from(list(choice))).value for name, choice in CHOICES.items()}
    row["role"] = draw(st.none() | st.just(row["role"]))
    row["id"] = draw(st.sampled_from(IDS))
    row["importance"] = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    row["pinned"] = draw(st.booleans())
    row["version"] = draw(st.integers(1, 4))
    row["metadata"] = draw(documents)
    return row


def spelled(moment: datetime) -> str:
    """Write a moment in one of the forms that a caller may use."""
    if moment.year in {1, 9999}:
        return moment.isoformat()
    return moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()


paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(
    lambda keys: "metadata." + ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in keys)
)
SAME = ["eq", "ne", "in", "nin", "exists"]
ORDERED = ["gt", "gte", "lt", "lte"]
TEXTUAL = ["contains", "icontains", "starts_with"]


@st.composite
def conditions(draw: st.DrawFn) -> Json:
    name = draw(st.sampled_from([field for field in FIELDS if field != "metadata"]) | paths)
    operators, values = operand_of(name)
    operator = draw(st.sampled_from(operators))
    if operator == "exists":
        operand: object = draw(st.booleans())
    elif operator in {"in", "nin"}:
        operand = draw(st.lists(st.none() | values, max_size=4))
    elif operator in {"icontains", "starts_with"} or (operator == "contains" and name in TEXT_FIELDS):
        operand = draw(words)
    elif name.startswith("metadata.") and operator in {"eq", "ne"}:
        operand = draw(scalars | flat_lists)
    elif name.startswith("metadata.") and operator == "contains":
        operand = draw(scalars)
    else:
        operand = draw(values)
    if operator == "eq" and not isinstance(operand, list) and draw(st.booleans()):
        return {name: operand}
    return {name: {operator: operand}}


def operand_of(name: str) -> tuple[list[str], st.SearchStrategy[Any]]:
    if name.startswith("metadata."):
        return SAME + ORDERED + TEXTUAL, numbers | words
    if name in TEXT_FIELDS:
        return SAME + ORDERED + TEXTUAL, st.sampled_from(["a", "b", "alice", "Alice"]) | words
    if name in TIME_FIELDS:
        return SAME + ORDERED, st.sampled_from(MOMENTS).map(spelled)
    if name in CHOICES:
        names = st.sampled_from([member.value for member in CHOICES[name]])
        return (SAME + ORDERED if name == "authority" else SAME), names
    if name == "pinned":
        return SAME, st.booleans()
    by_name: dict[str, st.SearchStrategy[Any]] = {
        "id": st.sampled_from(IDS).map(str),
        "importance": st.sampled_from([0, 0.0, 0.1, 0.5, 1]) | numbers.filter(lambda n: abs(n) < 1e300),
        "version": st.integers(0, 5) | st.just(2**40),
    }
    return SAME + ORDERED, by_name[name]


filters = st.recursive(
    conditions(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"and": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"or": parts})
        | inner.map(lambda part: {"not": part})
        | st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1])
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    attachment = EmbeddedServer.attach(tmp_path_factory.mktemp("filters") / "store", linger=0)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(attachment.conninfo))
    try:
        with engine.connect() as opened:
            sample.create(opened)
            yield opened
    finally:
        engine.dispose()
        attachment.detach()


FIELD_COLUMNS = {name: memories.c["memory_id" if name == "id" else name] for name in FIELDS}
sample = Table(
    "sample", MetaData(), Column("row", postgresql.INTEGER), *(Column(n, c.type) for n, c in FIELD_COLUMNS.items()),
    prefixes=["TEMPORARY"],
)  # fmt: skip
ALL_MISSING: Json = dict.fromkeys([*TEXT_FIELDS, *TIME_FIELDS[3:], "role"]) | dict.fromkeys(TIME_FIELDS[:3], START) | {
    "id": IDS[0], "kind": "core", "origin": "user", "authority": "tool", "importance": 0.5, "pinned": False,
    "classification": "public", "version": 1, "metadata": {},
}  # fmt: skip


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(stored=st.lists(rows(), min_size=1, max_size=8), asked=st.lists(filters, min_size=1, max_size=6))
@example(
    stored=[ALL_MISSING, ALL_MISSING | {"metadata": {"a": None, "b": [None, [1], "a"], "0": ["a"]}, "user_id": ""}],
    asked=[
        {"not": {"user_id": {"gt": "a"}}},
        {"not": {"or": [{"metadata.a": {"lt": 1}}, {"metadata.a.b": {"icontains": "x"}}]}},
        {"metadata.a": {"exists": False}},
        {"metadata.a": {"nin": [None]}},
        {"metadata.b": {"contains": None}},
        {"metadata.b": {"contains": 1}},
        {"metadata.b.0": {"exists": True}},
        {"not": {"not": {"run_id": {"ne": None}}}},
        {"authority": {"gt": "import"}, "origin": {"ne": "tool"}},
        {"user_id": {"starts_with": ""}},
    ],
)
def test_postgresql_and_the_oracle_agree(connection: Connection, stored: list[Json], asked: list[Json]) -> None:
    connection.execute(delete(sample))
    connection.execute(insert(sample), [{"row": number, **row} for number, row in enumerate(stored)])
    for given_filter in asked:
        condition = compile_filter(parse(given_filter), {name: sample.c[name] for name in FIELDS})
        found = set(connection.scalars(select(sample.c.row).where(condition)))
        expected = {number for number, row in enumerate(stored) if passes(given_filter, row)}
        event(f"{'some' if 0 < len(expected) < len(stored) else 'all' if expected else 'none'} pass")
        assert found == expected, given_filter


@given(given_filter=filters)
def test_every_value_of_a_filter_is_a_bound_parameter(given_filter: Json) -> None:
    marked = "metadata.zqx'; DROP"
    condition = compile_filter(parse({"and": [given_filter, {marked: "zqx'--"}]}), FIELD_COLUMNS)
    text = str(condition.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "zqx" not in text
    assert "--" not in text
