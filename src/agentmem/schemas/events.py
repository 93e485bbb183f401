"""Events: what was done in an organization, told in order, by ids and never by content."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, WithJsonSchema

from agentmem.schemas.base import Schema

EVENT_TYPES: Final = (
    "account.created",
    "account.deleted",
    "account.disabled",
    "account.enabled",
    "account.mail_prepared",
    "account.mail_requested",
    "account.password_accepted",
    "account.password_changed",
    "account.password_reset",
    "account.renamed",
    "account.sign_in_tried",
    "account.unlocked",
    "encryption.key_removed",
    "encryption.master_key_destroyed",
    "encryption.master_key_rotated",
    "encryption.rewrapped",
    "encryption.rotated",
    "factor.added",
    "factor.code_sent",
    "factor.codes_made",
    "factor.enrolled",
    "factor.removed",
    "factor.reset",
    "factor.verified",
    "invitation.accepted",
    "invitation.created",
    "invitation.mailed",
    "invitation.revoked",
    "job.discarded",
    "job.retried",
    "key.created",
    "key.revoked",
    "key.rotated",
    "key.updated",
    "member.created",
    "member.disabled",
    "member.updated",
    "memory.added",
    "memory.deleted",
    "memory.erased",
    "memory.imported",
    "memory.model_change_ordered",
    "memory.model_changed",
    "memory.model_dropped",
    "memory.promoted",
    "memory.purged",
    "memory.read",
    "memory.repaired",
    "memory.restored",
    "memory.retention_ordered",
    "memory.retired",
    "memory.rolled_back",
    "memory.tainted",
    "memory.updated",
    "network.added",
    "network.removed",
    "organization.creation_ordered",
    "organization.deletion_cancelled",
    "organization.deletion_scheduled",
    "organization.limited",
    "organization.registered",
    "organization.resumed",
    "organization.suspended",
    "organization.updated",
    "passkey.added",
    "passkey.removed",
    "passkey.used",
    "policy.updated",
    "privacy.erased",
    "privacy.erasure_ordered",
    "privacy.exported",
    "privacy.subject_marked",
    "request_key.created",
    "request_key.revoked",
    "session.ended",
    "session.opened",
    "session.refreshed",
    "session.reuse_detected",
    "signing_key.created",
    "signing_key.rotated",
    "sso.identity_linked",
    "sso.secret_set",
    "webhook.created",
    "webhook.deleted",
    "webhook.disabled",
    "webhook.replayed",
    "webhook.rotated",
    "webhook.tested",
    "webhook.updated",
)
"""Every type of event: the names of the audit entries of what was done."""

LARGEST_SEQUENCE: Final = 2**63 - 1
EVENT_PATTERNS: Final = ("*", *dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in EVENT_TYPES), *EVENT_TYPES)
"""What may be asked for: everything, a group of types, or a type."""
MOST_TARGETS: Final = 1000
"""How many ids one event names; of more it says how many were left out."""


def check_types(text: str) -> str:
    """Refuse a type that no event has, so that a slip of the pen is not waited for in vain."""
    if text not in EVENT_PATTERNS:
        raise ValueError("is the type of no event, nor a group of them such as memory.*")
    return text


def fits(patterns: Iterable[str], kind: str) -> bool:
    """Tell whether a type is one of these: named whole, by its group (``memory.*``), or by ``*``."""
    return any(pattern in {"*", kind, f"{kind.partition('.')[0]}.*"} for pattern in patterns)


EventPattern = Annotated[
    str, AfterValidator(check_types), WithJsonSchema({"type": "string", "enum": list(EVENT_PATTERNS)})
]


class Event(Schema):
    """One thing that was done: ``sequence`` is its place in the organization's order, which has no gaps.

    ``id`` is that of its audit entry. ``targets`` are the first 1,000 ids that it touched; ``more_targets`` says how
    many were left out.
    """

    id: UUID
    sequence: int
    type: str
    at: datetime
    actor: str
    targets: list[UUID]
    more_targets: int = 0
