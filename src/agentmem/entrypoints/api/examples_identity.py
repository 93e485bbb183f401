"""Examples of what concerns people: accounts, invitations, policies."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

from agentmem.entrypoints.api.examples_common import ID, NOW, OTHER_ID, page

ACCOUNT: Final[dict[str, JsonValue]] = {
    "id": ID,
    "email": "ada@example.com",
    "name": "Ada",
    "created_by": f"member:{OTHER_ID}",
    "created_at": NOW,
    "verified_at": NOW,
    "disabled_at": None,
    "valid_after": NOW,
    "version": 1,
}
INVITATION: Final[dict[str, JsonValue]] = {
    "id": ID,
    "email": "ada@example.com",
    "role": "member",
    "invited_by": f"member:{OTHER_ID}",
    "created_at": NOW,
    "expires_at": "2026-11-29T09:30:00Z",
}
PASSWORD: Final = "seven herons at the weir"  # noqa: S105  # an example
MAILED: Final = "amt_<id>_<secret>"
POLICY: Final[dict[str, JsonValue]] = {
    "kind": "sessions",
    "idle_seconds": 3600,
    "absolute_seconds": 86_400,
    "max_sessions": 10,
    "at_cap": "evict_oldest",
}

OF_IDENTITY: Final[dict[str, dict[str, JsonValue]]] = {
    "Acceptance": {"secret": "ami_<ids>_<secret>"},
    "Accepted": {"accepted": True},
    "Account": ACCOUNT,
    "AddressRequest": {"email": "ada@example.com"},
    "Invitation": INVITATION,
    "NewInvitation": {"email": "ada@example.com", "role": "member"},
    "NewPolicy": {"policy": {"kind": "password", "preset": "nist", "min_length": 16}},
    "OwnAccountPatch": {"name": "Ada Lovelace"},
    "Page_Account_": page(ACCOUNT),
    "Page_Invitation_": page(INVITATION),
    "PasswordChange": {"present": PASSWORD, "password": "nine owls behind the mill"},
    "PasswordReset": {"secret": MAILED, "password": PASSWORD},
    "PasswordRules": {
        "min_length": 15,
        "min_score": 3,
        "min_classes": 1,
        "refuse_common": True,
        "refuse_context": True,
        "refuse_breached": True,
        "history": 0,
        "max_age_days": None,
        "min_age_hours": 0,
    },
    "PolicyInForce": {"policy": POLICY, "updated_at": NOW, "version": 2},
    "Registration": {"secret": MAILED, "name": "Ada", "password": PASSWORD},
    "Unlocking": {"secret": MAILED},
}
"""By the name of the schema."""
