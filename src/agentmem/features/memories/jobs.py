"""Kinds of background jobs on memories."""

from __future__ import annotations

from typing import Final

from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.jobs.model import JobKind

EMBED: Final = JobKind(name="memory.embed")
"""Makes the vectors of texts that were stored while the embedding model did not answer."""

REEMBED: Final = JobKind(name="memory.reembed", permissions=frozenset({Permission.MEMORY_MAINTAIN}))
"""Puts another embedding model in force; its argument is the ``model``."""

RETAIN: Final = JobKind(name="memory.retain")
"""Removes for good what the organization's rules keep no longer."""

ALL: Final = "all"
"""The ``once`` of a job that does whatever is to be done: a second one would find nothing."""
