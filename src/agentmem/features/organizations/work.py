"""The job that sends an invitation."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.jobs.model import JobKind

INVITE: Final = JobKind(name="organization.invite", permissions=frozenset({Permission.MEMBER_WRITE}), at_once=4)
"""Its argument is ``invitation_id``: the secret is made when the mail is, and is in no job."""
