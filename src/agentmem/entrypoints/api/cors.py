"""Cross-origin requests: an exact list of origins, told on every response, errors included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_METHODS: Final = b"GET, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS: Final = b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
_EXPOSED: Final = b"ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
_MAX_AGE: Final = b"600"

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class Cors:
    """Says which pages may read our answers. It is no guard against requests: they carry keys, not cookies."""

    origins: frozenset[bytes]
    credentials: bool

    @classmethod
    def of(cls, origins: tuple[str, ...], *, credentials: bool) -> Cors:
        """Make the rules from the settings."""
        return cls(origins=frozenset(origin.encode() for origin in origins), credentials=credentials)

    def headers(self, origin: bytes | None) -> RawHeaders:
        """Give the headers of a response to a page of this origin; a stranger's page gets none that opens it."""
        found: RawHeaders = [(b"vary", b"Origin")]
        if origin is None or not self._admits(origin):
            return found
        found.append((b"access-control-allow-origin", b"*" if b"*" in self.origins else origin))
        found.append((b"access-control-expose-headers", _EXPOSED))
        if self.credentials:
            found.append((b"access-control-allow-credentials", b"true"))
        return found

    def preflight(self, origin: bytes) -> RawHeaders:
        """Give what the answer to a preflight says besides :meth:`headers`."""
        if not self._admits(origin):
            return []
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE),
        ]

    def _admits(self, origin: bytes) -> bool:
        return origin in self.origins or b"*" in self.origins
