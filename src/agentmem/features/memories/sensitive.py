"""Metadata whose values are sealed: how it is stored, and how a filter finds it by equality alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast
from uuid import UUID

from pydantic import JsonValue

from agentmem.features.memories.visibility import View
from agentmem.foundation.database.sensitive import sensitive_keys
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.filter_values import Scalar, fault, shown
from agentmem.schemas.filters import And, Condition, Filter, Not, Operator, Or
from agentmem.schemas.memories import MemoryRecord

_SEALED: Final = ("memories", "sealed_metadata")
_BLIND: Final = "blind_index"
_ANSWERED: Final = frozenset({Operator.EQ, Operator.NE, Operator.IN, Operator.NIN, Operator.EXISTS})


def metadata_columns(tx: Transaction, record: MemoryRecord, keys: frozenset[str]) -> dict[str, object]:
    """Give the columns that hold a version's metadata; the keys of the record's user are at hand."""
    secret = {key: value for key, value in record.metadata.items() if key in keys}
    if not secret:
        return {"metadata": record.metadata, "sealed_metadata": None, _BLIND: {}}
    seal = tx.ring.sealer(*_SEALED, record.user_id)
    return {
        "metadata": {key: value for key, value in record.metadata.items() if key not in keys},
        "sealed_metadata": seal(record.id, record.version, json.dumps(secret).encode()),
        _BLIND: {key: _hashed(tx, key, value) for key, value in secret.items()},
    }


def open_metadata(
    tx: Transaction, memory_id: UUID, version: int, clear: dict[str, JsonValue], sealed: bytes | None
) -> dict[str, JsonValue]:
    """Give the metadata of a version whose keys are at hand, with what is sealed of it."""
    return clear if sealed is None else {**clear, **json.loads(tx.ring.opener(*_SEALED)(memory_id, version, sealed))}


async def blinded(tx: Transaction, view: View) -> View:
    """Give a view whose filters ask for sealed values by their keyed hashes.

    Raises :class:`~agentmem.errors.InvalidFilter` where a filter asks more of one than whether it equals another.
    """
    if view.filters is None or not _asks_metadata(view.filters):
        return view
    keys = await sensitive_keys(tx)
    return replace(view, filters=_translated(tx, view.filters, keys)) if keys else view


def _asks_metadata(tree: Filter) -> bool:
    match tree:
        case And(parts=parts) | Or(parts=parts):
            return any(map(_asks_metadata, parts))
        case Not(part=part):
            return _asks_metadata(part)
        case Condition(field=field):
            return field == "metadata"


def _translated(tx: Transaction, tree: Filter, keys: frozenset[str]) -> Filter:
    match tree:
        case And(parts=parts):
            return And(parts=tuple(_translated(tx, part, keys) for part in parts))
        case Or(parts=parts):
            return Or(parts=tuple(_translated(tx, part, keys) for part in parts))
        case Not(part=part):
            return Not(part=_translated(tx, part, keys))
        case Condition(keys=(first, *_)) if first in keys:
            return _by_hash(tx, tree)
        case Condition():
            return tree


def _by_hash(tx: Transaction, asked: Condition) -> Filter:
    """Ask for the hash or, in a row that is not sealed yet, for the value itself."""
    key = asked.keys[0]
    if len(asked.keys) > 1 or asked.operator not in _ANSWERED:
        answered = ", ".join(operator for operator in Operator if operator in _ANSWERED)
        raise fault(f"metadata.{shown(key)}", f"is sealed: its value as a whole is compared, by {answered} alone")
    value = asked.value
    match asked.operator:
        case Operator.EXISTS:
            there = Or(parts=(_condition(key, Operator.EXISTS, True), replace(asked, value=True)))  # noqa: FBT003
            return there if value is True else Not(part=there)
        case Operator.NE | Operator.NIN:
            same = Operator.EQ if asked.operator is Operator.NE else Operator.IN
            return Not(part=_by_hash(tx, replace(asked, operator=same)))
        case Operator.IN if isinstance(value, tuple):
            return Or(parts=tuple(_by_hash(tx, replace(asked, operator=Operator.EQ, value=item)) for item in value))
        case _ if value is None:
            return _by_hash(tx, replace(asked, operator=Operator.EXISTS, value=False))
        case _:
            return Or(parts=(_condition(key, Operator.EQ, _hashed(tx, key, _json(value))), asked))


def _condition(key: str, operator: Operator, value: Scalar) -> Condition:
    return Condition(field=_BLIND, operator=operator, value=value, keys=(key,))


def _json(value: Scalar | tuple[Scalar, ...]) -> JsonValue:
    return cast("JsonValue", list(value) if isinstance(value, tuple) else value)  # the filter lets no other pass


def _hashed(tx: Transaction, key: str, value: JsonValue) -> str | None:
    """Hash a value, equal for all that PostgreSQL takes for equal; null is the missing value of filters."""
    if value is None:
        return None
    text = json.dumps(_normal(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return tx.keys.index.blind(key, text)


def _normal(value: JsonValue) -> JsonValue:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _normal(item) for name, item in value.items()}
    return value
