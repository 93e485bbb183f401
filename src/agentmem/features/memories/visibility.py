"""Which rows of ``memories`` a read may see: scope, versions, time and filters as one SQL condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import ARRAY, DateTime, Text, and_, bindparam, func, or_, select, true
from sqlalchemy.sql import ColumnElement

from agentmem.features.memories.filtering import compile_filter
from agentmem.features.memories.tables import memories
from agentmem.foundation.database.tables import subjects
from agentmem.foundation.database.transaction import TenantFilter, Transaction
from agentmem.schemas.filters import Filter
from agentmem.schemas.memories import Scope

FILTER_COLUMNS: Final = {"id": memories.c.memory_id, **{column.name: column for column in memories.c}}
SHAPES: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What decides the SQL of a view, apart from its values: statements are built once for each shape."""

    own: TenantFilter
    scope: tuple[str, ...]
    as_of: bool
    known_at: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What a read looks at: whose memories, which of them, and at which moment.

    ``as_of`` asks what was true then; ``known_at`` asks what the store knew then. Both default to now.
    """

    scope: Scope = field(default_factory=Scope)
    filters: Filter | None = None
    as_of: datetime | None = None
    known_at: datetime | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the user narrows the view, so that the indexes need no help from ``memories``."""
        scope = self.scope
        narrowed = scope.agent_id or scope.run_id or scope.app_id or self.filters or self.as_of or self.known_at
        return not narrowed

    def shape(self, tx: Transaction) -> Shape:
        """Give what decides the SQL of this view."""
        return Shape(
            own=tx.tenant_filter,
            scope=tuple(sorted(scope_values(self.scope))),
            as_of=self.as_of is not None,
            known_at=self.known_at is not None,
        )

    def values(self, tx: Transaction) -> dict[str, object]:
        """Give the values that the SQL of this view binds."""
        moment = self.as_of or self.known_at or tx.now
        given = {"view_moment": moment, "view_known_at": self.known_at, "view_as_of": self.as_of}
        return {**scope_values(self.scope), **{name: value for name, value in given.items() if value is not None}}

    def filtered(self) -> ColumnElement[bool]:
        """Build the condition that the filters hold; theirs is the only SQL that each call builds anew."""
        return true() if self.filters is None else compile_filter(self.filters, FILTER_COLUMNS)


def scope_values(scope: Scope) -> dict[str, object]:
    """Give the values of the ids that a scope names, by their parameters."""
    given: Mapping[str, str | None] = {
        "user_id": scope.user_id,
        "agent_id": scope.agent_id,
        "run_id": scope.run_id,
        "app_id": scope.app_id,
    }
    return {f"scope_{name}": value for name, value in given.items() if value is not None}


@lru_cache(SHAPES)
def visible(shape: Shape) -> ColumnElement[bool]:
    """Build the condition that a row of ``memories`` is seen by views of this shape, before their filters."""
    return and_(shape.own(memories), in_scope(shape.scope), _known(shape), _true_then(shape), _unrestricted(shape))


def in_scope(parameters: tuple[str, ...]) -> ColumnElement[bool]:
    """Build the condition that a row matches every id that a scope gives, named by their parameters."""
    return and_(
        true(),
        *(memories.c[name.removeprefix("scope_")] == bindparam(name, type_=Text()) for name in parameters),
    )


def _unrestricted(shape: Shape) -> ColumnElement[bool]:
    """What is about a user under restriction is kept, and not used; asked once for each statement, of an index."""
    restricted = select(subjects.c.user_id).where(shape.own(subjects), subjects.c.restricted)
    users: ColumnElement[list[str]] = func.array(restricted.scalar_subquery(), type_=ARRAY(Text))
    return or_(memories.c.user_id.is_(None), memories.c.user_id != func.all(users))


def unheld(tx: Transaction) -> ColumnElement[bool]:
    """Build the condition that nothing keeps a row from being removed: its user is neither held nor restricted."""
    kept = or_(subjects.c.held, subjects.c.restricted)
    users = select(subjects.c.user_id).where(tx.own(subjects), kept, subjects.c.user_id.is_not(None))
    return or_(memories.c.user_id.is_(None), memories.c.user_id.not_in(users))


def _moment(name: str) -> ColumnElement[datetime]:
    return bindparam(name, type_=DateTime(timezone=True))


def _known(shape: Shape) -> ColumnElement[bool]:
    if not shape.known_at:
        return and_(memories.c.known_until.is_(None), memories.c.deleted_at.is_(None))
    then = _moment("view_known_at")
    return and_(
        memories.c.updated_at <= then,
        or_(memories.c.known_until.is_(None), memories.c.known_until > then),
        memories.c.deleted_at.is_(None),
    )


def _true_then(shape: Shape) -> ColumnElement[bool]:
    moment = _moment("view_moment")
    holds = and_(
        or_(memories.c.expires_at.is_(None), memories.c.expires_at > moment),
        or_(memories.c.superseded_at.is_(None), memories.c.superseded_at > moment),
    )
    return and_(holds, memories.c.occurred_at <= _moment("view_as_of")) if shape.as_of else holds
