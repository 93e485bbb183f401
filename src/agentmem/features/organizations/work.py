"""Jobs that organizations ask for."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.jobs.model import JobKind

INVITE: Final = JobKind(name="organization.invite", permissions=frozenset({Permission.MEMBER_WRITE}), at_once=4)
"""Its argument is ``invitation_id``: the secret is made when the mail is, and is in no job."""

SEAL_METADATA: Final = JobKind(name="organization.seal_metadata")
"""Seals the metadata that is stored already as the organization's policy says now."""

ALL: Final = "all"
"""The ``once`` of a job that does whatever is to be done: a second one would find nothing."""
