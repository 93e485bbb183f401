"""Embeddings kept in a file, so that a store of 100,000 memories can be filled again without embedding again."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentmem.foundation.inference.port import Embedder, Embedding


class CachedDocuments:
    """An embedder that reads the vectors of texts it has seen before from a file; queries are never kept."""

    def __init__(self, embedder: Embedder, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._embedder = embedder
        self._file = sqlite3.connect(path)
        self._file.execute("PRAGMA synchronous = OFF")
        columns = "digest BLOB PRIMARY KEY, pooled BLOB, tokens BLOB, spans BLOB"
        self._file.execute(f"CREATE TABLE IF NOT EXISTS embeddings ({columns}) WITHOUT ROWID")

    @property
    def model(self) -> str:
        """The model's stable id."""
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        """The length of a pooled vector."""
        return self._embedder.dimensions

    @property
    def token_dimensions(self) -> int:
        """The length of a token vector."""
        return self._embedder.token_dimensions

    @property
    def sends_texts(self) -> bool:
        """Whether texts leave this machine."""
        return self._embedder.sends_texts

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Read what is kept, embed the rest, and keep it."""
        digests = [hashlib.sha256(f"{self.model}\0{text}".encode()).digest() for text in texts]
        found = [self._read(digest) for digest in digests]
        missing = [place for place, embedding in enumerate(found) if embedding is None]
        made = await self._embedder.embed_documents([texts[place] for place in missing]) if missing else []
        rows = [
            (digests[place], one.pooled.tobytes(), one.tokens.tobytes(), one.spans.tobytes())
            for place, one in zip(missing, made, strict=True)
        ]
        self._file.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", rows)
        self._file.commit()
        fresh = iter(made)
        return [embedding if embedding is not None else next(fresh) for embedding in found]

    async def embed_query(self, text: str) -> Embedding:
        """Embed a query."""
        return await self._embedder.embed_query(text)

    async def aclose(self) -> None:
        """Close the file; the embedder stays open."""
        self._file.close()

    def _read(self, digest: bytes) -> Embedding | None:
        row = self._file.execute("SELECT pooled, tokens, spans FROM embeddings WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        return Embedding(
            pooled=np.frombuffer(row[0], np.float32),
            tokens=np.frombuffer(row[1], np.int8).reshape(-1, self.token_dimensions),
            spans=np.frombuffer(row[2], np.int32).reshape(-1, 2),
        )
