"""The schema's root, and the tables that belong to no feature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)

SCHEMA = "agentmem"
metadata = MetaData(schema=SCHEMA)
SUBJECT_KEYS = "subject_keys"
PLATFORM_SCHEMA = "agentmem_platform"
platform_metadata = MetaData(schema=PLATFORM_SCHEMA)
"""Tables that belong to no organization: ids, times and versions alone."""

SEALED = "sealed"
"""Under this name a column's ``info`` says how it is sealed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """What a sealed value is bound to: the columns with the id and the version of its row.

    ``version`` is a number where it is the same for all rows. ``as_id`` turns an id that is a text into what it stands
    for. Where ``user_id`` names a column, the value is sealed by the key of whom that names.
    """

    row_id: str
    version: str | int = 0
    user_id: str | None = None
    as_id: Callable[[str], UUID] | None = None


encryption_keys = Table(
    "encryption_keys",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("key_id", Uuid, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("subject", Text),
    Column("wrapped", LargeBinary, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_key_id", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("retired_at", DateTime(timezone=True)),
)

subjects = Table(
    "subjects",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("subject", LargeBinary, primary_key=True),
    Column("user_id", Text),
    Column("erasing", Boolean, nullable=False),
    Column("restricted", Boolean, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("destroyed_keys", ARRAY(Uuid), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("subjects_restricted", "organization_id", postgresql_where=text("restricted")),
)
"""What is said of a subject: by the keyed hash of the user id, and by the id itself while it must be found by it."""

fences = Table(
    "fences",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("work", Text(collation="C"), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
