"""A vendor of rerankers; to it a text is the more relevant the more of the query's words it holds."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tests.support import vendor

KEY = vendor.KEY


def relevance(query: str, text: str) -> float:
    wanted, held = (set(re.findall(r"\w+", each.lower())) for each in (query, text))
    return len(wanted & held) / max(len(wanted), 1)


@dataclass
class RerankVendor(vendor.Vendor):
    """Answers ``/rerank`` as Cohere, Jina and vLLM do: the most relevant first, with the texts."""

    route = "/rerank"
    scale: float = 1.0
    prefers: str | None = None
    """A text that is more relevant than any other."""

    def reply(self, body: dict[str, Any]) -> object:
        texts: list[str] = body["documents"]
        scores = [self._score(body["query"], text) for text in texts]
        best = sorted(range(len(texts)), key=lambda index: -scores[index])
        results = [
            {"index": index, "relevance_score": scores[index], "document": {"text": texts[index]}} for index in best
        ]
        return {"id": "rerank-1", "model": body["model"], "results": results[: body["top_n"]]}

    def _score(self, query: str, text: str) -> float:
        return 2.0 if text == self.prefers else self.scale * relevance(query, text)


def rerank_vendor() -> AbstractContextManager[RerankVendor]:
    return vendor.serving(RerankVendor())
