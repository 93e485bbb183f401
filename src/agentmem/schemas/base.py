"""What all requests and views have in common."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from agentmem.errors import InvalidInput
from agentmem.kit.validation import fault_list, faults_of


class Schema(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, hide_input_in_errors=True)


SchemaType = TypeVar("SchemaType", bound=BaseModel)


def parse(schema: type[SchemaType], values: object) -> SchemaType:
    """Check values against a schema; raises :class:`InvalidInput` naming each field at fault, never its value."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(f"Input is not valid: {faults_of(error)}.", faults=fault_list(error)) from None


def check_text(value: str) -> str:
    """Refuse text that PostgreSQL or UTF-8 cannot hold: NUL and lone surrogates."""
    if "\x00" in value:
        raise ValueError("holds a NUL character (U+0000); remove it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"holds a lone surrogate at character {error.start}; repair the text's encoding") from None
    return value


def check_not_blank(value: str) -> str:
    """Refuse empty text and text that is only white space."""
    if not value.strip():
        raise ValueError("is empty or only white space")
    return value


def check_json(value: JsonValue) -> JsonValue:
    """Refuse what is not sound JSON: NaN, infinities, integers beyond 64 bits, NUL, lone surrogates, 33 levels."""
    _walk(value, 0)
    return value


def check_size(value: JsonValue) -> JsonValue:
    """Refuse JSON that is longer than 64 KiB as text."""
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > LARGEST_JSON:
        raise ValueError(f"has {size} bytes as JSON, the limit is {LARGEST_JSON}")
    return value


LARGEST_JSON: Final = 64 * 1024
_DEEPEST: Final = 32
_LARGEST_INTEGER: Final = 2**63 - 1


def _walk(value: JsonValue, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"is nested more than {_DEEPEST} levels deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds NaN or an infinity")
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise ValueError("holds an integer beyond 64 bits")
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, list):
        for item in value:
            _walk(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            _walk(item, depth + 1)


def to_utc(value: datetime) -> datetime:
    """Convert to UTC; a time without a zone is taken as UTC."""
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None


def check_written(value: object) -> object:
    """Refuse a number in place of a time or a day: nobody can say of which unit it is."""
    if isinstance(value, int | float) or (isinstance(value, str) and "-" not in value[1:]):
        raise ValueError("is written as in RFC 3339, for example 2026-03-01T09:30:00Z")
    return value


class Shown:
    """What JSON Schema says of a text beside its type, so that a document promises what a check takes."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the pattern."""
        return {**handler(schema), "pattern": self._pattern}


NO_NUL: Final = "^[^\\u0000]*$"
NOT_BLANK: Final = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$"
Text = Annotated[str, AfterValidator(check_text), Shown(NO_NUL)]
UtcTime = Annotated[datetime, BeforeValidator(check_written), AfterValidator(to_utc)]
