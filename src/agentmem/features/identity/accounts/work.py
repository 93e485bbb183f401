"""The job that sends a mail to a person."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.jobs.model import JobKind

MAIL: Final = JobKind(name="account.mail", at_once=4)
"""Its argument is ``mail_id``: the secret is made when the mail is, and is in no job."""
