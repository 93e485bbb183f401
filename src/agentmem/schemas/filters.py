"""Filters of memories: from the JSON form that callers write to a checked, frozen tree.

The JSON form is an object. Its keys are fields (``{"kind": "semantic"}``, ``{"importance": {"gte": 0.5}}``,
``{"metadata.topic": {"in": ["a", "b"]}}``) or one of ``and``, ``or`` (a list of filters) and ``not`` (a filter).
Keys that stand side by side must all hold. What every operator means is written in ``docs/reference/filters.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from agentmem.schemas.base import check_text
from agentmem.schemas.classification import Classification
from agentmem.schemas.filter_values import (
    MAX_TEXT,
    Scalar,
    check_choice,
    check_flag,
    check_integer,
    check_items,
    check_json_scalar,
    check_number,
    check_string,
    check_time,
    check_uuid,
    fault,
    kind_of,
    shown,
)
from agentmem.schemas.memories import Kind, Origin, Role

MAX_DEPTH: Final = 8
"""Levels of ``and``, ``or`` and ``not`` inside each other, and keys of a path into the metadata."""
MAX_CLAUSES: Final = 100
"""Comparisons in one filter."""


class Operator(StrEnum):
    """What a condition asks of a field."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NIN = "nin"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    STARTS_WITH = "starts_with"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison. ``keys`` is the path into the metadata, and empty for every other field.

    ``value`` has the type of the field: ids are :class:`UUID`, times are :class:`datetime` in UTC, kinds, roles,
    origins, authorities and classifications are their names. It is a tuple for ``in`` and ``nin``, and for
    a list compared by ``eq``.
    """

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """True if every part is; without parts it is always true."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """True if a part is; it has at least one."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """True if its part is not."""

    part: Filter


Filter: TypeAlias = Condition | And | Or | Not

EVERYTHING: Final = And(parts=())
"""The filter that lets every memory pass."""


class Shape(StrEnum):
    """Which values and operators a field takes."""

    UUID = "id"
    TEXT = "text"
    CHOICE = "choice"
    RANK = "rank"
    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    TIME = "time"
    METADATA = "metadata"


FIELDS: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "id": Shape.UUID,
        "user_id": Shape.TEXT,
        "agent_id": Shape.TEXT,
        "run_id": Shape.TEXT,
        "app_id": Shape.TEXT,
        "kind": Shape.CHOICE,
        "role": Shape.CHOICE,
        "origin": Shape.CHOICE,
        "authority": Shape.RANK,
        "classification": Shape.CHOICE,
        "importance": Shape.NUMBER,
        "pinned": Shape.FLAG,
        "occurred_at": Shape.TIME,
        "created_at": Shape.TIME,
        "updated_at": Shape.TIME,
        "expires_at": Shape.TIME,
        "superseded_at": Shape.TIME,
        "version": Shape.INTEGER,
        "metadata": Shape.METADATA,
    }
)
"""Every field that can be filtered by; ``metadata`` is always followed by a path, as in ``metadata.topic``."""

_ORDERED: Final = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})
_TEXTUAL: Final = frozenset({Operator.CONTAINS, Operator.ICONTAINS, Operator.STARTS_WITH})
_LISTED: Final = frozenset({Operator.IN, Operator.NIN})
_SAME: Final = frozenset({Operator.EQ, Operator.NE, Operator.IN, Operator.NIN, Operator.EXISTS})
_OPERATORS: Final[Mapping[Shape, frozenset[Operator]]] = MappingProxyType(
    {
        Shape.UUID: _SAME | _ORDERED,
        Shape.TEXT: _SAME | _ORDERED | _TEXTUAL,
        Shape.CHOICE: _SAME,
        Shape.RANK: _SAME | _ORDERED,
        Shape.NUMBER: _SAME | _ORDERED,
        Shape.INTEGER: _SAME | _ORDERED,
        Shape.FLAG: _SAME,
        Shape.TIME: _SAME | _ORDERED,
        Shape.METADATA: frozenset(Operator),
    }
)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "kind": tuple(kind.value for kind in Kind),
        "role": tuple(role.value for role in Role),
        "origin": tuple(origin.value for origin in Origin),
        "authority": tuple(origin.value for origin in Origin),
        "classification": tuple(each.value for each in Classification),
    }
)
_SEALED: Final = frozenset({"content", "actor"})
_COMBINERS: Final = frozenset({"and", "or", "not"})
_PREFIX: Final = "metadata."
_CHECKS: Final[Mapping[Shape, Callable[[object, str], Scalar]]] = MappingProxyType(
    {
        Shape.UUID: check_uuid,
        Shape.TEXT: check_string,
        Shape.NUMBER: check_number,
        Shape.INTEGER: check_integer,
        Shape.FLAG: check_flag,
        Shape.TIME: check_time,
        Shape.METADATA: check_json_scalar,
    }
)


def narrowed(tree: Filter | None, min_authority: Origin | None) -> Filter | None:
    """Let a filter pass only what is trusted so far at least."""
    if min_authority is None:
        return tree
    trusted = Condition(field="authority", operator=Operator.GTE, value=min_authority.value)
    return trusted if tree is None else And(parts=(tree, trusted))


def parse(given: object) -> Filter:
    """Check a filter in its JSON form and give it as a tree; nothing or an empty object lets every memory pass.

    Beside JSON values, :class:`datetime` and :class:`UUID` objects are taken for times and ids. A time without a zone
    is UTC. Raises :class:`~agentmem.errors.InvalidFilter`, whose message starts with the place in the filter, such as
    ``and[1].importance.gte``.
    """
    if given is None or (isinstance(given, Mapping) and not given):
        return EVERYTHING
    return _Parser().filter(given, "", 0)


def metadata_keys(name: str) -> tuple[str, ...]:
    r"""Split ``metadata.a.b`` into the keys ``a`` and ``b``; in a key, ``\.`` is a dot and ``\\`` a backslash.

    Raises :class:`ValueError` if a key is empty, the path too long, or a backslash alone.
    """
    if len(name) > MAX_TEXT:
        raise ValueError(f"is a path of {len(name)} characters; the most is {MAX_TEXT}")
    keys = [""]
    characters = iter(name.removeprefix(_PREFIX))
    for character in characters:
        if character == ".":
            keys.append("")
        elif character == "\\":
            escaped = next(characters, "")
            if escaped not in {".", "\\"}:
                raise ValueError(r"has a lone backslash; write \\ for a backslash and \. for a dot in a key")
            keys[-1] += escaped
        else:
            keys[-1] += character
    if len(keys) > MAX_DEPTH:
        raise ValueError(f"has {len(keys)} keys; the most is {MAX_DEPTH}")
    if not all(keys):
        raise ValueError("has an empty key")
    return tuple(check_text(key) for key in keys)


@dataclass(slots=True)
class _Parser:
    """One reading of one filter: it counts the clauses as it goes."""

    clauses: int = field(default=0)

    def filter(self, given: object, path: str, depth: int) -> Filter:
        """Read an object whose keys are fields and combiners."""
        if not isinstance(given, Mapping):
            raise fault(path, f"needs an object, not {kind_of(given)}")
        if not given:
            raise fault(path, "is an empty object; write at least one field")
        parts = tuple(part for key, value in given.items() for part in self._entry(key, value, path, depth))
        return parts[0] if len(parts) == 1 else And(parts=parts)

    def _entry(self, key: object, value: object, path: str, depth: int) -> Iterator[Filter]:
        if not isinstance(key, str):
            raise fault(path, f"has a key that is {kind_of(key)}; keys are strings")
        here = f"{path}.{shown(key)}" if path else shown(key)
        if key not in _COMBINERS:
            yield from self._conditions(key, value, here)
            return
        if depth == MAX_DEPTH:
            raise fault(path, f"nests and, or and not more than {MAX_DEPTH} levels deep")
        if key == "not":
            yield Not(part=self.filter(value, here, depth + 1))
            return
        items = check_items(value, here, "a list of filters")
        if not items:
            raise fault(here, "is an empty list; give at least one filter")
        parts = tuple(self.filter(item, f"{here}[{index}]", depth + 1) for index, item in enumerate(items))
        yield And(parts=parts) if key == "and" else Or(parts=parts)

    def _conditions(self, name: str, value: object, path: str) -> Iterator[Condition]:
        shape, field_name, keys = _field(name, path)
        tests: Mapping[object, object] = value if isinstance(value, Mapping) else {Operator.EQ.value: value}
        if isinstance(value, list | tuple):
            raise fault(path, 'needs an operator with a list: {"in": [...]} for any of these values')
        if not tests:
            raise fault(path, 'is an empty object; write a value, or an operator as in {"eq": value}')
        for key, operand in tests.items():
            if key not in _OPERATORS[shape]:
                allowed = ", ".join(operator for operator in Operator if operator in _OPERATORS[shape])
                raise fault(path, f"has no operator {shown(key)}; it takes {allowed}")
            self.clauses += 1
            if self.clauses > MAX_CLAUSES:
                raise fault(path, f"is one comparison too many; a filter holds at most {MAX_CLAUSES}")
            operator = Operator(str(key))
            here = f"{path}.{operator}" if isinstance(value, Mapping) else path
            checked = _Values(shape=shape, field=field_name, path=here).operand(operator, operand)
            yield Condition(field=field_name, operator=operator, value=checked, keys=keys)


def _field(name: str, path: str) -> tuple[Shape, str, tuple[str, ...]]:
    if name.startswith(_PREFIX):
        try:
            return Shape.METADATA, "metadata", metadata_keys(name)
        except ValueError as error:
            raise fault(path, str(error)) from None
    if name in _SEALED:
        raise fault(path, f"is encrypted: {name} is searched, by the words of a query, and has no substring filter")
    if name == "metadata":
        raise fault(path, 'needs a key after a dot, as in {"metadata.topic": "travel"}')
    if name.lower() in _COMBINERS:
        raise fault(path, f"is written in lower case: {name.lower()}")
    if name not in FIELDS:
        known = ", ".join(key for key in FIELDS if key != "metadata")
        raise fault(path, f"is no field to filter by; the fields are {known} and metadata.<key>")
    return FIELDS[name], name, ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """Checks the values of one condition against the shape of its field."""

    shape: Shape
    field: str
    path: str

    def operand(self, operator: Operator, given: object) -> Scalar | tuple[Scalar, ...]:
        """Check what stands beside an operator."""
        if operator is Operator.EXISTS:
            if not isinstance(given, bool):
                raise fault(self.path, f"needs true or false, not {kind_of(given)}")
            return given
        if operator in _LISTED or (
            self.shape is Shape.METADATA and operator in {Operator.EQ, Operator.NE} and isinstance(given, list | tuple)
        ):
            items = check_items(given, self.path, "a list")
            return tuple(self.scalar(item, f"{self.path}[{index}]") for index, item in enumerate(items))
        if operator in _ORDERED and (
            given is None or (self.shape is Shape.METADATA and isinstance(given, bool | list | tuple))
        ):
            raise fault(self.path, f"needs something with an order, not {kind_of(given)}")
        if operator in {Operator.ICONTAINS, Operator.STARTS_WITH} or (
            operator is Operator.CONTAINS and self.shape is Shape.TEXT
        ):
            return check_string(given, self.path)
        return self.scalar(given, self.path)

    def scalar(self, given: object, path: str) -> Scalar:
        """Check one value; null is taken everywhere and stands for "missing"."""
        if given is None:
            return None
        if self.field in _CHOICES:
            return check_choice(given, path, _CHOICES[self.field])
        return _CHECKS[self.shape](given, path)
