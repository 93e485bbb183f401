"""Query embeddings in the state that processes share, sealed with the keys of the organization that asked."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np

from agentmem.errors import DecryptionFailed
from agentmem.foundation.encryption.keyring import OrganizationKeys
from agentmem.foundation.inference.port import Embedder, Embedding
from agentmem.foundation.state.port import State
from agentmem.kit.ids import OrganizationId

KEPT_SECONDS: Final = 3600.0
"""How long a query's embedding is shared after it was made."""

_HEADER: Final = struct.Struct("<BHHI")  # version, dimensions, token dimensions, token rows
_VERSION: Final = 1
_TABLE, _COLUMN = "query_cache", "embedding"


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedQueries:
    """Embeddings of queries, shared by the processes of one installation and by no two organizations.

    The state sees neither the query nor its vectors: the key is a keyed hash of model and text, and the value is
    sealed and bound to that hash.
    """

    state: State
    keys: Callable[[OrganizationId], Awaitable[OrganizationKeys]]

    async def find(self, organization_id: OrganizationId, embedder: Embedder, text: str) -> Embedding | None:
        """Give a query's embedding that one of the processes has put, if there is one that opens."""
        keys = await self.keys(organization_id)
        digest = _digest(keys, embedder, text)
        sealed = await self.state.get(str(organization_id), _key(digest))
        if sealed is None:
            return None
        try:
            data = keys.keyring.opener(_TABLE, _COLUMN)(UUID(bytes=digest), 0, sealed)
        except DecryptionFailed:  # somebody else wrote it, or the key that sealed it is gone: made anew
            return None
        return unpack(data, embedder)

    async def put(self, organization_id: OrganizationId, embedder: Embedder, text: str, embedding: Embedding) -> None:
        """Keep a query's embedding for the other processes."""
        keys = await self.keys(organization_id)
        digest = _digest(keys, embedder, text)
        sealed = keys.keyring.sealer(_TABLE, _COLUMN)(UUID(bytes=digest), 0, pack(embedding))
        await self.state.put(str(organization_id), _key(digest), sealed, seconds=KEPT_SECONDS)


def pack(embedding: Embedding) -> bytes:
    """Write an embedding as bytes: a header, the pooled vector, the token vectors and their spans, little endian."""
    rows, token_dimensions = embedding.tokens.shape
    return b"".join(
        (
            _HEADER.pack(_VERSION, len(embedding.pooled), token_dimensions, rows),
            embedding.pooled.astype("<f4").tobytes(),
            embedding.tokens.astype("i1").tobytes(),
            embedding.spans.astype("<i4").tobytes(),
        )
    )


def unpack(data: bytes, embedder: Embedder) -> Embedding | None:
    """Read what :func:`pack` wrote; nothing if another version wrote it, or for vectors of another length."""
    if len(data) < _HEADER.size:
        return None
    version, dimensions, token_dimensions, rows = _HEADER.unpack_from(data)
    if (version, dimensions, token_dimensions) != (_VERSION, embedder.dimensions, embedder.token_dimensions):
        return None
    tokens_at = _HEADER.size + 4 * dimensions
    spans_at = tokens_at + rows * token_dimensions
    if len(data) != spans_at + 8 * rows:
        return None
    return Embedding(
        pooled=np.frombuffer(data, "<f4", dimensions, _HEADER.size).astype(np.float32),
        tokens=np.frombuffer(data, "i1", rows * token_dimensions, tokens_at).reshape(rows, token_dimensions),
        spans=np.frombuffer(data, "<i4", 2 * rows, spans_at).astype(np.int32).reshape(rows, 2),
    )


def _digest(keys: OrganizationKeys, embedder: Embedder, text: str) -> bytes:
    return keys.index.content_digest(("query", embedder.model), text)


def _key(digest: bytes) -> str:
    return f"query:{digest.hex()}"
