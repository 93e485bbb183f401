"""What the doctor, the upkeep and ``info`` answer."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import JsonValue

from agentmem.schemas.base import Schema


class FindingCode(StrEnum):
    """What the doctor can find wrong; stable, for programs."""

    CONTENT_DAMAGED = "content_damaged"
    DIGEST_WRONG = "digest_wrong"
    HISTORY_BROKEN = "history_broken"
    AUDIT_MISSING = "audit_missing"
    PLACE_SHARED = "place_shared"
    SESSION_WRONG = "session_wrong"
    ENTRY_MISSING = "entry_missing"
    ENTRY_DAMAGED = "entry_damaged"
    ENTRY_WRONG = "entry_wrong"
    VECTOR_MISSING = "vector_missing"
    VECTOR_WRONG = "vector_wrong"
    POSTINGS_DAMAGED = "postings_damaged"
    POSTINGS_WRONG = "postings_wrong"
    INDEX_FOREIGN = "index_foreign"
    STATISTICS_WRONG = "statistics_wrong"
    USAGE_WRONG = "usage_wrong"
    KEYS_UNUSABLE = "keys_unusable"
    SCHEMA_INCOMPATIBLE = "schema_incompatible"
    ROW_SECURITY_OFF = "row_security_off"
    ROLE_UNRESTRICTED = "role_unrestricted"
    DATABASE_INDEX_INVALID = "database_index_invalid"
    DATABASE_PAGES_DAMAGED = "database_pages_damaged"
    WRITES_NOT_SYNCED = "writes_not_synced"
    PERMISSIONS_OPEN = "permissions_open"


REPAIRABLE = frozenset(
    {
        FindingCode.DIGEST_WRONG,
        FindingCode.SESSION_WRONG,
        FindingCode.ENTRY_MISSING,
        FindingCode.ENTRY_DAMAGED,
        FindingCode.ENTRY_WRONG,
        FindingCode.VECTOR_MISSING,
        FindingCode.VECTOR_WRONG,
        FindingCode.POSTINGS_DAMAGED,
        FindingCode.POSTINGS_WRONG,
        FindingCode.INDEX_FOREIGN,
        FindingCode.STATISTICS_WRONG,
        FindingCode.USAGE_WRONG,
    }
)
"""What can be made again from what is stored; nothing else is touched by a repair."""


class Finding(Schema):
    """One thing that is wrong; ``memory_id`` is absent when it is about the store as a whole."""

    code: FindingCode
    memory_id: UUID | None = None
    what: str
    repairable: bool


class HealthReport(Schema):
    """What the doctor saw and what it found; ``healthy`` when nothing is wrong now.

    ``findings`` is what stands at the end, ``repaired`` what was found before and is not there any more. Both list up
    to 10,000; ``counts`` has the whole number of each code in ``findings``. ``places`` are the indexed texts: the
    present content of each memory and its earlier contents. ``pending_vectors`` of them are found by their words only,
    until they are embedded in the background; that is no finding. ``vectors_compared`` of the texts, chosen by chance,
    were embedded again and their vectors compared.
    """

    healthy: bool
    memories: int
    versions: int
    places: int
    pending_vectors: int
    vectors_compared: int
    findings: list[Finding]
    counts: dict[FindingCode, int]
    repaired: list[Finding]


class Vacuumed(Schema):
    """What ``vacuum`` did.

    Sizes are of the whole database, in bytes, and 0 for those who do not manage the platform.
    """

    purged_memories: int
    removed_idempotency_keys: int
    packed_terms: int
    vectors_moved_to_graph: int
    bytes_before: int
    bytes_after: int


class Reembedded(Schema):
    """The embedding model now in force, and how many texts this call embedded by it."""

    model: str
    embedded: int


class Versions(Schema):
    """Versions of everything that takes part."""

    agentmem: str
    python: str
    postgresql: str
    pgvector: str
    schema_revision: str


class KeyInfo(Schema):
    """A key of the organization: its id and what it is for, never the key."""

    key_id: UUID
    purpose: str
    provider_key_id: str
    retired: bool


class StoreInfo(Schema):
    """What a store is and what it holds; no secret is in it."""

    versions: Versions
    organization: str
    organization_id: UUID
    server: str
    """``embedded`` or ``external``."""

    data_directory: str | None
    socket_directory: str | None
    embedding_model: str
    embedding_dimensions: int
    """0 when the model cannot be loaded."""

    memories: int
    deleted_memories: int
    memory_versions: int
    users: int
    pending_vectors: int
    database_bytes: int
    key_provider: str
    master_key_ids: list[str]
    keys: list[KeyInfo]
    settings: dict[str, JsonValue]
