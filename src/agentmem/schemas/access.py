"""Who may do what: the roles of members, and the permissions that operations ask for."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """What an operation may ask for, named ``resource:action``."""

    ACCOUNT_MANAGE = "account:manage"
    ACCOUNT_USE = "account:use"
    AUDIT_READ = "audit:read"
    AUDIT_VERIFY = "audit:verify"
    ENCRYPTION_READ = "encryption:read"
    ENCRYPTION_ROTATE = "encryption:rotate"
    JOB_READ = "job:read"
    JOB_WRITE = "job:write"
    EVENT_READ = "event:read"
    KEY_READ = "key:read"
    KEY_WRITE = "key:write"
    MEMBER_READ = "member:read"
    MEMBER_WRITE = "member:write"
    MEMORY_DECLASSIFY = "memory:declassify"
    MEMORY_DELETE = "memory:delete"
    MEMORY_MAINTAIN = "memory:maintain"
    MEMORY_PROMOTE = "memory:promote"
    MEMORY_READ = "memory:read"
    MEMORY_WRITE = "memory:write"
    METRICS_READ = "metrics:read"
    ORGANIZATION_DELETE = "organization:delete"
    ORGANIZATION_READ = "organization:read"
    ORGANIZATION_WRITE = "organization:write"
    PII_READ = "pii:read"
    PLATFORM_MANAGE = "platform:manage"
    PRIVACY_MANAGE = "privacy:manage"
    PRIVACY_READ = "privacy:read"
    SSO_USE = "sso:use"
    USAGE_READ = "usage:read"
    WEBHOOK_READ = "webhook:read"
    WEBHOOK_WRITE = "webhook:write"


class Role(StrEnum):
    """What a member is in its organization; operators are members of the platform's organization alone."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"
    SERVICE = "service"
    OPERATOR = "operator"
