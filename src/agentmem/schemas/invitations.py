"""Invitations of people to an organization."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from agentmem.schemas.access import Role
from agentmem.schemas.accounts import EmailAddress
from agentmem.schemas.base import Schema


class NewInvitation(Schema):
    """An invitation to send: to whom, and what they become."""

    email: EmailAddress = Field(repr=False)
    role: Role = Role.MEMBER


class Invitation(Schema):
    """An invitation that nobody has accepted yet."""

    id: UUID
    email: str = Field(repr=False)
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime
