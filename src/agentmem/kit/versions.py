"""What a change expects of the version of what it changes."""

from __future__ import annotations

from agentmem.errors import VersionConflict


def require_version(what: str, found: int, expected: int | None) -> None:
    """Raise :class:`VersionConflict` unless something is at the version that a change expects, if it expects one."""
    if expected is not None and found != expected:
        raise VersionConflict(f"{what} has version {found}, not {expected}.", hint="Read it again, then decide.")
