"""Statements that are built once: the same question gives the same statement, another question another one."""

from __future__ import annotations

from agentmem.features.memories.index_reading import Arm, ExactFilter, nearest_in_graph, nearest_of_all
from agentmem.features.memories.visibility import Shape
from agentmem.foundation.database.transaction import by_organization
from agentmem.schemas import filters

ARM = Arm(
    shape=Shape(own=by_organization, scope=(), as_of=False, known_at=False),
    dimensions=384,
    most=64,
    plain=False,
)


def test_filters_that_python_takes_for_equal_have_statements_of_their_own() -> None:
    keys = [ExactFilter.of(filters.parse({"metadata.flag": value})) for value in (True, 1, 1.0)]
    for build in (nearest_of_all, nearest_in_graph):
        assert len({id(build(ARM, key)) for key in keys}) == len(keys)
        assert build(ARM, keys[0]) is build(ARM, ExactFilter.of(filters.parse({"metadata.flag": True})))
