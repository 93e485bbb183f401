"""The kind of background job that erases a person."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.jobs.model import JobKind

ERASE: Final = JobKind(name="privacy.erase")
"""Removes everything about a user and destroys their key; its argument is the ``erasure``."""
