"""What a filter looks like, as JSON Schema: one property for each field, with the operators that it takes."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

from agentmem.schemas.base import NO_NUL
from agentmem.schemas.classification import Classification
from agentmem.schemas.filter_values import MAX_LIST, MAX_TEXT
from agentmem.schemas.filters import FIELDS, Shape
from agentmem.schemas.memories import Kind, Origin, Role

LARGEST: Final = 2**63 - 1

_TEXT: Final[dict[str, JsonValue]] = {"type": "string", "maxLength": MAX_TEXT, "pattern": NO_NUL}
_NUMBER: Final[dict[str, JsonValue]] = {"type": "number", "minimum": -(2**53), "maximum": 2**53}
_VALUES: Final[dict[Shape, dict[str, JsonValue]]] = {
    Shape.UUID: {"type": "string", "format": "uuid"},
    Shape.TEXT: _TEXT,
    Shape.NUMBER: _NUMBER,
    Shape.INTEGER: {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST},
    Shape.FLAG: {"type": "boolean"},
    Shape.TIME: {"type": "string", "format": "date-time"},
}
_CHOICES: Final = {
    "kind": Kind,
    "role": Role,
    "origin": Origin,
    "authority": Origin,
    "classification": Classification,
}
_ORDERED: Final = ("gt", "gte", "lt", "lte")
_TEXTUAL: Final = ("contains", "icontains", "starts_with")


def filter_schema(name: str) -> dict[str, JsonValue]:
    """Write the schema of a filter that is named ``name`` among the document's components."""
    itself: dict[str, JsonValue] = {"$ref": f"#/components/schemas/{name}"}
    inner: dict[str, JsonValue] = {"allOf": [itself, {"minProperties": 1}]}
    parts: dict[str, JsonValue] = {"type": "array", "items": inner, "minItems": 1, "maxItems": 8}
    fields: dict[str, JsonValue] = {
        field: _field(field, shape) for field, shape in FIELDS.items() if field != "metadata"
    }
    return {
        "type": "object",
        "description": "Which memories, by what is known about them: all that stands side by side must hold.",
        "properties": {**fields, "and": parts, "or": parts, "not": inner},
        "patternProperties": {"^metadata\\.[A-Za-z0-9_-]{1,64}$": _operators(_TEXT, Shape.METADATA)},
        "additionalProperties": False,
        "maxProperties": 30,
        "example": {"kind": {"in": ["semantic", "core"]}, "importance": {"gte": 0.5}, "metadata.topic": "travel"},
    }


def _field(field: str, shape: Shape) -> dict[str, JsonValue]:
    if field in _CHOICES:
        return _operators({"type": "string", "enum": [choice.value for choice in _CHOICES[field]]}, shape)
    return _operators(_VALUES[shape], shape)


def _operators(value: dict[str, JsonValue], shape: Shape) -> dict[str, JsonValue]:
    optional: dict[str, JsonValue] = {"anyOf": [value, {"type": "null"}]}
    listed: dict[str, JsonValue] = {"type": "array", "items": optional, "maxItems": MAX_LIST}
    operators: dict[str, JsonValue] = {"eq": optional, "ne": optional, "in": listed, "nin": listed}
    operators["exists"] = {"type": "boolean"}
    if shape not in {Shape.CHOICE, Shape.FLAG}:
        operators.update(dict.fromkeys(_ORDERED, value))
    if shape in {Shape.TEXT, Shape.METADATA}:
        operators.update(dict.fromkeys(_TEXTUAL, value))
    compared: dict[str, JsonValue] = {
        "type": "object",
        "properties": operators,
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"anyOf": [value, {"type": "null"}, compared]}
