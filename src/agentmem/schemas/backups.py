"""Backups, as their manifests tell of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from agentmem.schemas.base import Schema


class BackupContent(StrEnum):
    """What a backup holds: everything but the keys of subjects, or those alone."""

    MEMORIES = "memories"
    KEYS = "keys"


class TableCount(Schema):
    """How many rows a table has, and a sum over all of them."""

    rows: int
    sum: str


class BackupManifest(Schema):
    """What a backup is; ``sha256`` and ``bytes`` are of the encrypted file, ``signer`` is a public key of Ed25519."""

    id: str
    content: BackupContent
    created_at: datetime
    agentmem: str
    schema_revision: str
    postgresql: str
    recipients: list[str]
    sha256: str
    bytes: int
    tables: dict[str, TableCount]
    signer: str


class RestoredBackup(Schema):
    """What came of a restore, or of a drill: every table was compared, and erased persons were erased again."""

    id: str
    tables: int
    rows: int
    erased_again: int
