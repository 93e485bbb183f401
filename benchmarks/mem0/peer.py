"""mem0 as it ships, driven by lines of JSON: runs in a virtual environment of its own (``client.py``).

Each line on standard input is one command, each line on standard output its answer; times are milliseconds. The
embedder runs the model folder that AgentMem ships through onnxruntime in this process, so that both sides pay for the
same weights. Everything else is mem0's default: the local Qdrant on disk, the SQLite history, ``infer=False``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from mem0 import Memory  # type: ignore[import-not-found]
from mem0.embeddings.base import EmbeddingBase  # type: ignore[import-not-found]
from tokenizers import Tokenizer

Answer = dict[str, object]


class Weights(EmbeddingBase):  # type: ignore[misc]
    """mem0's port for embedders over a model folder of AgentMem; counts the time it takes."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(manifest["max_tokens"])
        self._query_prefix = manifest.get("query_prefix", "")
        self.spent = 0.0
        self.dimensions: int = manifest["dimensions"]

    def embed(self, text: str, memory_action: Literal["add", "search", "update"] | None = None) -> list[float]:
        """Embed one text, in mem0's own signature."""
        started = time.perf_counter()
        prefix = self._query_prefix if memory_action == "search" else ""
        ids = np.array([self._tokenizer.encode(prefix + text).ids], dtype=np.int64)
        lengths = np.array([ids.shape[1]], dtype=np.int32)
        vector: list[float] = self._session.run(["pooled"], {"input_ids": ids, "lengths": lengths})[0][0].tolist()
        self.spent += time.perf_counter() - started
        return vector


class Peer:
    """One open mem0 store and the commands that it takes."""

    def __init__(self) -> None:
        self._memory: Any = None
        self._weights: Weights | None = None

    def open(self, *, directory: str, model: str) -> Answer:
        """Open or make the store in a directory."""
        started = time.perf_counter()
        self._weights = Weights(Path(model))
        store = {"path": f"{directory}/qdrant", "embedding_model_dims": self._weights.dimensions}
        self._memory = Memory.from_config(
            {
                "vector_store": {"provider": "qdrant", "config": store},
                # Clients of both kinds are made at once and need a key; infer=False never calls them.
                "llm": {"provider": "openai", "config": {"api_key": "unused"}},
                "embedder": {"provider": "openai", "config": {"api_key": "unused"}},
                "history_db_path": f"{directory}/history.db",
            }
        )
        self._memory.embedding_model = self._weights
        return {"ms": (time.perf_counter() - started) * 1000}

    def add(self, *, turns: list[dict[str, str]], user: str) -> Answer:
        """Add one turn at a time through the public method."""
        return self._timed(_texts(turns), lambda text: self._memory.add(text, user_id=user, infer=False))

    def add_batch(self, *, turns: list[dict[str, str]], user: str) -> Answer:
        """Add many messages in one call of the public method, which is mem0's way to add a batch."""
        messages = [{"role": "user", "content": text} for text in _texts(turns)]
        return self._timed([""], lambda _: self._memory.add(messages, user_id=user, infer=False))

    def fill(self, *, turns: list[dict[str, str]], user: str) -> Answer:
        """Fill the store through its store class, only to reach a size in bounded time."""
        assert self._weights is not None
        now = datetime.now(UTC).isoformat()
        texts = _texts(turns)
        payloads = [
            {"user_id": user, "role": "user", "data": text, "hash": hashlib.md5(text.encode()).hexdigest(),  # noqa: S324
             "created_at": now, "updated_at": now, "text_lemmatized": text.lower()}
            for text in texts
        ]  # fmt: skip
        vectors = [self._weights.embed(text, "add") for text in texts]
        self._memory.vector_store.insert(vectors, payloads, [str(uuid.uuid4()) for _ in texts])
        return {}

    def search(self, *, queries: list[str], user: str, limit: int) -> Answer:
        """Search through the public method."""
        return self._timed(
            queries, lambda query: self._memory.search(query, filters={"user_id": user}, top_k=limit)["results"]
        )

    def usage(self) -> Answer:
        """Give the resident memory of this process, now and at its highest, in bytes."""
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        sizes = {
            line.split(":")[0]: int(line.split()[1]) * 1024 for line in status if line.startswith(("VmRSS", "VmHWM"))
        }
        return {"rss": sizes["VmRSS"], "peak": sizes["VmHWM"]}

    def _timed(self, items: list[str], action: Callable[[str], Any]) -> Answer:
        assert self._weights is not None
        took, embedding, found = [], [], 0
        for item in items:
            before, started = self._weights.spent, time.perf_counter()
            outcome = action(item)
            took.append((time.perf_counter() - started) * 1000)
            embedding.append((self._weights.spent - before) * 1000)
            found += len(outcome) if isinstance(outcome, list) else 0
        return {"ms": took, "embed_ms": embedding, "found": found}


def _texts(turns: list[dict[str, str]]) -> list[str]:
    return [f"{turn['speaker']}: {turn['text']}" for turn in turns]


def main() -> None:
    peer = Peer()
    commands: dict[str, Callable[..., Answer]] = {
        "open": peer.open,
        "add": peer.add,
        "add_batch": peer.add_batch,
        "fill": peer.fill,
        "search": peer.search,
        "usage": peer.usage,
    }
    answers = sys.stdout
    sys.stdout = sys.stderr  # what mem0 prints must not mix with the answers
    for line in sys.stdin:
        command = json.loads(line)
        answer = commands[command.pop("do")](**command)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
