"""Tables of single sign-on: identities at an organization's provider, and its secret for us."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, LargeBinary, Table, Uuid

from agentmem.foundation.database.tables import SEALED, Sealed, metadata

federated_identities = Table(
    "federated_identities",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("identity_mac", LargeBinary, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

sso_secrets = Table(
    "sso_secrets",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="organization_id", version="version")}),
    Column("version", Integer, nullable=False),
)
