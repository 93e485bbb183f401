"""The page on filters and the code name the same fields, operators and values."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agentmem.errors import InvalidFilter
from agentmem.schemas.classification import Classification
from agentmem.schemas.filters import FIELDS, Operator, parse
from agentmem.schemas.memories import Kind, Origin, Role

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "filters.md").read_text(encoding="utf-8")
VALUES = {"id": "0198a2f0-0000-7000-8000-000000000001", "version": 1, "importance": 0.5, "pinned": True}


def documented() -> dict[str, set[str]]:
    """Give the operators of each field in the table of fields."""
    found: dict[str, set[str]] = {}
    for line in PAGE.split("## Fields")[1].split("## Operators")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and "`" in cells[0]:
            operators = {o.value for o in Operator} if cells[2] == "all" else set(re.findall(r"`(\w+)`", cells[2]))
            found |= dict.fromkeys(re.findall(r"`([\w.<>]+)`", cells[0]), operators)
    return found


def accepted(field: str) -> set[str]:
    """Try every operator on a field."""
    choices = {"kind": Kind.CORE, "role": Role.USER, "origin": Origin.USER, "authority": Origin.USER}
    choices |= {"classification": Classification.PUBLIC}
    value = (VALUES | choices).get(field, "2025-03-01")
    operators = set()
    for operator in Operator:
        operand = True if operator is Operator.EXISTS else [value] if operator.value in {"in", "nin"} else value
        try:
            parse({field: {operator.value: operand}})
        except InvalidFilter as error:
            assert "has no operator" in str(error), error  # noqa: PT017
        else:
            operators.add(operator.value)
    return operators


def test_every_field_and_operator_is_documented() -> None:
    expected = {name: accepted(name) for name in FIELDS if name != "metadata"}
    expected["metadata.<path>"] = accepted("metadata.x")
    assert documented() == expected


@pytest.mark.parametrize("choices", [Kind, Role, Origin, Classification])
def test_every_choice_is_documented(choices: type[Kind | Role | Origin | Classification]) -> None:
    assert " ".join(f"`{choice.value}`" for choice in choices) in PAGE


def test_the_first_example_is_a_valid_filter() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    parse(json.loads(example))


def test_the_example_errors_are_the_real_ones() -> None:
    for given in ({"or": [{"pinned": True}, {"importance": {"gte": "x"}}]}, {"content": "x"}):
        with pytest.raises(InvalidFilter) as raised:
            parse(given)
        assert str(raised.value) in PAGE
