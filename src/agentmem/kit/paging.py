"""Cursor pages: opaque, bound to the query they belong to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from agentmem.errors import InvalidCursor

_FINGERPRINT = 8
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")  # what no text of the database holds: NUL and lone surrogates
CursorValue = str | int | float | bool | None


def query_fingerprint(query: str) -> str:
    """Digest the query that a cursor belongs to, so that it cannot be used with another."""
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[: 2 * _FINGERPRINT]


def encode_cursor(fingerprint: str, position: Sequence[CursorValue]) -> str:
    """Write the sort values of the last row as an opaque URL-safe string."""
    text = json.dumps([fingerprint, *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, fingerprint: str, length: int) -> list[CursorValue]:
    """Read a cursor back; raises :class:`InvalidCursor` if it is damaged or belongs to another query."""
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        values = json.loads(text)
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidCursor("The cursor is damaged.", hint="Start again without a cursor.") from None
    if not isinstance(values, list) or len(values) != length + 1:
        raise InvalidCursor("The cursor is damaged.", hint="Start again without a cursor.")
    if values[0] != fingerprint:
        raise InvalidCursor(
            "The cursor belongs to another query.", hint="Keep scope, filters and order while you page."
        )
    if not all(map(_is_sound, values[1:])):
        raise InvalidCursor("The cursor is damaged.", hint="Start again without a cursor.")
    return values[1:]


def decode_id(cursor: str | None, fingerprint: str) -> UUID | None:
    """Read a cursor that holds one id; ``None`` stays so; raises :class:`InvalidCursor` as :func:`decode_cursor`."""
    if cursor is None:
        return None
    try:
        return UUID(str(decode_cursor(cursor, fingerprint, 1)[0]))
    except ValueError:
        raise InvalidCursor("The cursor is damaged.", hint="Start again without a cursor.") from None


def _is_sound(value: object) -> bool:
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    return value is None or isinstance(value, int | float | bool)
