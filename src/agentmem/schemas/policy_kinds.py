"""What an organization can have a policy about."""

from __future__ import annotations

from enum import StrEnum


class PolicyKind(StrEnum):
    """What a policy is about."""

    PASSWORD = "password"  # noqa: S105  # the name of a kind
    SESSIONS = "sessions"
    LOCKOUT = "lockout"
    SIGNING = "signing"
    SSO = "sso"
    FACTORS = "factors"
    MASKING = "masking"
    AUDIT = "audit"
    PROVENANCE = "provenance"
    CLASSIFICATION = "classification"
    RETENTION = "retention"
