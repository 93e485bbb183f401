"""Tables of second factors, of the codes that stand in for them, and of sign-ins that wait for one."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from agentmem.foundation.database.tables import SCHEMA, SEALED, Sealed, metadata


def _of_account() -> ForeignKeyConstraint:
    accounts = [f"{SCHEMA}.accounts.organization_id", f"{SCHEMA}.accounts.account_id"]
    return ForeignKeyConstraint(["organization_id", "account_id"], accounts, ondelete="CASCADE")


totp_factors = Table(
    "totp_factors",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="account_id", version=1)}),
    Column("last_step", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    _of_account(),
)
"""``last_step`` is the last whose code was accepted: no code of it, nor of one before, is accepted again."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("code_mac", LargeBinary, primary_key=True),
    _of_account(),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("passkey_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("credential_mac", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="passkey_id", version=1)}),
    Column("sign_count", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_used_at", DateTime(timezone=True)),
    _of_account(),
    UniqueConstraint("organization_id", "credential_mac"),
    Index("passkeys_of_account", "organization_id", "account_id", "passkey_id"),
)
"""``sealed`` holds the name, the credential's id and its public key: whoever can write rows cannot swap keys."""

factor_codes = Table(
    "factor_codes",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="account_id", version=1)}),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("code_mac", LargeBinary),
    Column("expires_at", DateTime(timezone=True)),
    Column("tries_left", Integer, nullable=False),
    _of_account(),
)
"""Where codes are sent (``sealed``), and the one that was sent last."""

factor_failures = Table(
    "factor_failures",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("failures", Integer, nullable=False),
    _of_account(),
)
"""Codes that were tried since the last right one, whether they were right or not yet known."""

sign_in_challenges = Table(
    "sign_in_challenges",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("challenge_digest", LargeBinary, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("acting_in", Uuid, nullable=False),
    Column("role", Text, nullable=False),
    Column("amr", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _of_account(),
    Index("sign_in_challenges_of_account", "organization_id", "account_id", "expires_at"),
)
"""Sign-ins that are not done yet; ``acting_in`` and ``role`` are what they are for, ``amr`` what was proved so far."""
