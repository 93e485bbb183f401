"""Tables of memories and of what makes them findable.

``memories`` is a temporal table: a row is one version, known from ``updated_at`` until ``known_until`` (null: now), so
that history and "as we knew it then" need no second copy. Content is sealed; the columns in clear are the closed list
of the design.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from agentmem.foundation.database.tables import SCHEMA, SEALED, Sealed, metadata


class HalfVector(UserDefinedType[str]):
    """pgvector's ``halfvec``: half-precision floats, written and read as ``[1,2,...]``."""

    cache_ok = True

    def __init__(self, dimensions: int | None = None) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: object) -> str:
        """Name the type in SQL."""
        return "halfvec" if self.dimensions is None else f"halfvec({self.dimensions})"


OF_VERSION = Sealed(row_id="memory_id", version="version", user_id="user_id")
CURRENT = text("known_until IS NULL")

memories = Table(
    "memories",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("memory_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("change", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("user_id", Text),
    Column("agent_id", Text),
    Column("run_id", Text),
    Column("app_id", Text),
    Column("kind", Text, nullable=False),
    Column("role", Text),
    Column("origin", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("content", LargeBinary, nullable=False, info={SEALED: OF_VERSION}),
    Column("actor", LargeBinary, info={SEALED: OF_VERSION}),
    Column("content_digest", LargeBinary, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("classification", Text, nullable=False, server_default=text("'internal'")),
    Column("sealed_metadata", LargeBinary, info={SEALED: OF_VERSION}),
    Column("blind_index", JSONB, nullable=False, server_default=text("'{}'")),
    Column("importance", Float, nullable=False),
    Column("pinned", Boolean, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("known_until", DateTime(timezone=True)),
    Column("superseded_at", DateTime(timezone=True)),
    Column("superseded_by", Uuid),
    Column("expires_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
    Index("memories_current", "organization_id", "memory_id", unique=True, postgresql_where=CURRENT),
    Index("memories_by_place", "organization_id", "place"),
    Index("memories_by_user", "organization_id", "user_id", "memory_id", postgresql_where=CURRENT),
    Index("memories_by_digest", "organization_id", "content_digest", postgresql_where=CURRENT),
)

memory_provenance = Table(
    "memory_provenance",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("memory_id", Uuid, primary_key=True),
    Column("principal", Text, nullable=False),
    Column("api_key", Text),
    Column("request_id", Text),
    Column("origin", Text, nullable=False),
    Column("source", LargeBinary, info={SEALED: Sealed(row_id="memory_id", version=1)}),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("memory_provenance_by_writer", "organization_id", "principal", "origin", "recorded_at"),
)
"""Who wrote each memory, and from what; rows are never changed, and go with their memory."""

memory_parents = Table(
    "memory_parents",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("parent_id", Uuid, primary_key=True),
    Column("memory_id", Uuid, primary_key=True),
    Index("memory_parents_of_memory", "organization_id", "memory_id"),
)
"""Which memories each one was derived from."""

session_numbers = Sequence("session_numbers", schema=SCHEMA, metadata=metadata)

index_settings = Table(
    "index_settings",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("embedding_model", Text, nullable=False),
    Column("graph_width", SmallInteger),
    Column("graph_vectors", BigInteger),
)

sessions = Table(
    "sessions",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("session_no", BigInteger, session_numbers, primary_key=True, server_default=session_numbers.next_value()),
    Column("user_id", Text),
    Column("agent_id", Text),
    Column("run_id", Text, nullable=False),
    Column("app_id", Text),
    Column("last_position", Integer, nullable=False),
    Index(
        "sessions_by_scope",
        "organization_id",
        "run_id",
        "user_id",
        "agent_id",
        "app_id",
        unique=True,
        postgresql_nulls_not_distinct=True,
    ),
)

index_entries = Table(
    "index_entries",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("memory_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("length", Integer, nullable=False),
    Column("speakers", ARRAY(BigInteger), nullable=False),
    Column("entry", LargeBinary, nullable=False, info={SEALED: OF_VERSION}),
)

vectors = Table(
    "vectors",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("live", Boolean, nullable=False, server_default=text("true")),
    Column("graph", SmallInteger),
    Column("embedding", HalfVector, nullable=False),
    Index("vectors_by_user", "organization_id", "model", "user_id"),
    Index("vectors_outside_graph", "organization_id", "model", "user_id", postgresql_where=text("graph IS NULL")),
)

postings = Table(
    "postings",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("term", BigInteger, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("first_place", BigInteger, primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)

scope_statistics = Table(
    "scope_statistics",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("documents", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
)

organization_usage = Table(
    "organization_usage",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("memories", BigInteger, nullable=False),
    Column("versions", BigInteger, nullable=False),
    Column("content_bytes", BigInteger, nullable=False),
)
"""What the organization stores; memories are counted while they live, bytes are of sealed content in every version."""
