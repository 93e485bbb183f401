"""The kind of background job that seals anew."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.jobs.model import JobKind

RESEAL: Final = JobKind(name="encryption.reseal")
"""Seals anew what retired data keys have sealed, and removes them."""
