"""Kinds of background jobs on memories."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.jobs.model import JobKind

EMBED: Final = JobKind(name="memory.embed")
"""Makes the vectors of texts that were stored while the embedding model did not answer."""

ALL: Final = "all"
"""The ``once`` of a job that does whatever is to be done: a second one would find nothing."""
