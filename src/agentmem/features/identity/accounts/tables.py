"""Tables of accounts: people, their passwords, mails that carry a secret to them, and guesses at their passwords."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy import UniqueConstraint as Unique

from agentmem.foundation.database.tables import SCHEMA, SEALED, Sealed, metadata


def _of_account() -> ForeignKeyConstraint:
    accounts = [f"{SCHEMA}.accounts.organization_id", f"{SCHEMA}.accounts.account_id"]
    return ForeignKeyConstraint(["organization_id", "account_id"], accounts, ondelete="CASCADE")


accounts = Table(
    "accounts",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("email_mac", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="account_id", version="version")}),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("verified_at", DateTime(timezone=True)),
    Column("disabled_at", DateTime(timezone=True)),
    Column("valid_after", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    Unique("organization_id", "email_mac"),
)

account_passwords = Table(
    "account_passwords",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("account_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="account_id", version="number")}),
    Column("set_at", DateTime(timezone=True), nullable=False),
    _of_account(),
)

account_mails = Table(
    "account_mails",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("mail_id", Uuid, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("account_id", Uuid),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="mail_id", version=1)}),
    Column("token_mac", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _of_account(),
    Index("account_mails_of_account", "organization_id", "account_id"),
    Index("account_mails_ended", "organization_id", "expires_at"),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("subject", LargeBinary, primary_key=True),
    Column("device", Uuid, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("consecutive", Integer, nullable=False),
    Column("tried_at", DateTime(timezone=True), nullable=False),
    Column("locked_until", DateTime(timezone=True)),
    Index("sign_in_failures_by_age", "organization_id", "tried_at"),
)
"""``subject`` is the keyed hash of the address that was tried, whether it has an account or not."""
