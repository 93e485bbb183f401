"""From a checked filter to a condition of SQL.

Every value is a bound parameter, a path into the metadata too. The condition only ever narrows: the caller joins it to
its own conditions by AND. It may come out as NULL where it is not true, which a WHERE clause takes as false; negations
inside it use ``IS NOT TRUE``, so that they are true where what they negate is NULL.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, Final, TypeAlias, assert_never

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from agentmem.schemas.filter_values import Scalar
from agentmem.schemas.filters import FIELDS, And, Condition, Filter, Not, Operator, Or, Shape
from agentmem.schemas.memories import Origin

Element: TypeAlias = ColumnElement[Any]  # a filter compares columns of every type
Columns: TypeAlias = Mapping[str, Element]
"""The column that holds each field of :data:`agentmem.schemas.filters.FIELDS`."""

_TYPES: Final[Mapping[Shape, TypeEngine[Any]]] = MappingProxyType(
    {
        Shape.UUID: Uuid(),
        Shape.TEXT: Text(),
        Shape.CHOICE: Text(),
        Shape.RANK: Text(),
        Shape.NUMBER: Double(),
        Shape.INTEGER: BigInteger(),
        Shape.FLAG: Boolean(),
        Shape.TIME: DateTime(timezone=True),
        Shape.METADATA: JSONB(),
    }
)
_NEGATED: Final[Mapping[Operator, Operator]] = MappingProxyType({Operator.NE: Operator.EQ, Operator.NIN: Operator.IN})
_ORDER: Final[Mapping[Operator, Callable[[Any, Any], Any]]] = MappingProxyType(
    {Operator.GT: gt, Operator.GTE: ge, Operator.LT: lt, Operator.LTE: le}
)
_LAST_CASED: Final = 0x1FFFF


def compile_filter(tree: Filter, columns: Columns) -> ColumnElement[bool]:
    """Give the condition that holds for exactly the rows that the filter lets pass."""
    match tree:
        case And(parts=parts):
            return and_(true(), *(compile_filter(part, columns) for part in parts))
        case Or(parts=parts):
            return or_(false(), *(compile_filter(part, columns) for part in parts))
        case Not(part=part):
            return compile_filter(part, columns).is_not(true())
        case Condition():
            return _condition(tree, columns[tree.field])
        case _:
            assert_never(tree)


def _condition(condition: Condition, column: Element) -> ColumnElement[bool]:
    """Compile one comparison; ``ne`` and ``nin`` are the negations of ``eq`` and ``in``."""
    side: _Plain | _Json
    if condition.keys:
        for key in condition.keys:
            column = column.op("->", return_type=JSONB())(literal(key, Text()))
        side = _Json(column)
    else:
        side = _Plain(column, FIELDS[condition.field])
    operator = condition.operator
    if operator is Operator.EXISTS:
        return side.missing().is_not(true()) if condition.value is True else side.missing()
    if operator in _NEGATED:
        return _asked(side, _NEGATED[operator], condition.value).is_not(true())
    return _asked(side, operator, condition.value)


def _asked(side: _Plain | _Json, operator: Operator, value: Scalar | tuple[Scalar, ...]) -> ColumnElement[bool]:
    match operator:
        case Operator.EQ:
            return side.equals(value)
        case Operator.IN:
            return side.one_of(value if isinstance(value, tuple) else (value,))
        case Operator.CONTAINS:
            return side.contains(value)
        case Operator.ICONTAINS:
            return side.text_matches(folded_pattern(str(value)))
        case Operator.STARTS_WITH:
            return side.starts_with(str(value))
        case _:
            return side.compared(operator, value)


class _Plain:
    """A column of its own, whose missing value is NULL."""

    def __init__(self, column: Element, shape: Shape) -> None:
        self._column = column
        self._shape = shape
        self._type = _TYPES[shape]

    def missing(self) -> ColumnElement[bool]:
        return self._column.is_(None)

    def equals(self, value: Scalar | tuple[Scalar, ...]) -> ColumnElement[bool]:
        return self.missing() if value is None else self._column == literal(value, self._type)

    def one_of(self, values: tuple[Scalar, ...]) -> ColumnElement[bool]:
        # One array parameter: the number of parameters of a statement is limited, and its text stays the same.
        given: list[Scalar] = [value for value in values if value is not None]
        if self._shape is Shape.NUMBER:  # PostgreSQL takes arrays of one type only
            given = [float(value) for value in given if isinstance(value, int | float)]
        found = self._column == any_(literal(given, ARRAY(self._type)))
        return or_(found, self.missing()) if None in values else found

    def compared(self, operator: Operator, value: Scalar | tuple[Scalar, ...]) -> ColumnElement[bool]:
        if self._shape is Shape.RANK:
            passes, bound = _ORDER[operator], _rank(str(value))
            return self.one_of(tuple(origin.value for origin in Origin if passes(_rank(origin), bound)))
        # The C collation orders by code point on every server, whatever its locale.
        column = self._column.collate("C") if self._shape is Shape.TEXT else self._column
        return _compare(operator, column, literal(value, self._type))

    def contains(self, value: Scalar | tuple[Scalar, ...]) -> ColumnElement[bool]:
        return func.strpos(self._column, literal(value, Text())) > 0

    def text_matches(self, pattern: str) -> ColumnElement[bool]:
        return _matches(self._column, pattern)

    def starts_with(self, prefix: str) -> ColumnElement[bool]:
        return func.starts_with(self._column, literal(prefix, Text()), type_=Boolean())


class _Json:
    """A value inside the metadata, whose missing value is an absent key or a JSON null."""

    def __init__(self, value: Element) -> None:
        self._value = value
        self._text = value.op("#>>", return_type=Text())(literal_column("'{}'::text[]"))

    def missing(self) -> ColumnElement[bool]:
        return func.coalesce(self._is("null"), true())

    def equals(self, value: Scalar | tuple[Scalar, ...]) -> ColumnElement[bool]:
        return self.missing() if value is None else self._value == _json(value)

    def one_of(self, values: tuple[Scalar, ...]) -> ColumnElement[bool]:
        given = [_dumped(value) for value in values if value is not None]
        found = self._value == any_(cast(literal(given, ARRAY(Text())), ARRAY(JSONB())))
        return or_(found, self.missing()) if None in values else found

    def compared(self, operator: Operator, value: Scalar | tuple[Scalar, ...]) -> ColumnElement[bool]:
        if isinstance(value, str):
            text = _compare(operator, self._text.collate("C"), literal(value, Text()))
            return and_(self._is("string"), text)
        return and_(self._is("number"), _compare(operator, self._value, _json(value)))

    def contains(self, value: Scalar | tuple[Scalar, ...]) -> ColumnElement[bool]:
        member = and_(self._is("array"), self._value.op("@>", return_type=Boolean())(_json([value])))
        if not isinstance(value, str):
            return member
        return or_(member, and_(self._is("string"), func.strpos(self._text, literal(value, Text())) > 0))

    def text_matches(self, pattern: str) -> ColumnElement[bool]:
        return and_(self._is("string"), _matches(self._text, pattern))

    def starts_with(self, prefix: str) -> ColumnElement[bool]:
        return and_(self._is("string"), func.starts_with(self._text, literal(prefix, Text()), type_=Boolean()))

    def _is(self, json_type: str) -> ColumnElement[bool]:
        return func.jsonb_typeof(self._value) == json_type


def folded_pattern(text: str) -> str:
    r"""Give a regular expression that matches the text in any case, and nothing else.

    Folding is Unicode's simple one, a character for a character ("ß" is not "ss"). Spelled out as code points
    (``[\U00000041\U00000061]``) it means the same on every server and under every locale, and nothing in the text can
    act as an operator.
    """
    classes = _fold_classes()
    any_case = (classes.get(fold(character), character) for character in text)
    return "".join("[" + "".join(rf"\U{ord(one):08x}" for one in spellings) + "]" for spellings in any_case)


def fold(character: str) -> str:
    """Fold the case of one character to one character."""
    folded = character.casefold()
    if len(folded) == 1:
        return folded
    lowered = character.lower()
    return lowered if len(lowered) == 1 else character


@cache
def _fold_classes() -> Mapping[str, str]:
    """Give for each folded character all those that fold to it; made once, when first asked for."""
    classes: defaultdict[str, str] = defaultdict(str)
    for character in map(chr, range(_LAST_CASED + 1)):
        classes[fold(character)] += character
    return MappingProxyType({folded: members for folded, members in classes.items() if len(members) > 1})


def _matches(text: Element, pattern: str) -> ColumnElement[bool]:
    return text.collate("C").op("~", return_type=Boolean())(literal(pattern, Text()))


def _compare(operator: Operator, left: Element, right: Element) -> ColumnElement[bool]:
    compared: ColumnElement[bool] = _ORDER[operator](left, right)
    return compared


def _rank(name: str) -> int:
    """Rank an authority: the enumeration lists the most trusted first."""
    return -list(Origin).index(Origin(name))


def _json(value: object) -> Element:
    return cast(literal(_dumped(value), Text()), JSONB())


def _dumped(value: object) -> str:
    return json.dumps(value, allow_nan=False)
