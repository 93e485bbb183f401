"""A vendor of embeddings; its vectors are counts of words."""

from __future__ import annotations

import hashlib
import re
from contextlib import AbstractContextManager
from typing import Any

from tests.support import vendor

DIMENSIONS = 64
KEY = vendor.KEY


def words_vector(text: str) -> list[float]:
    vector = [0.01] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        vector[hashlib.sha256(word.encode()).digest()[0] % DIMENSIONS] += 1.0
    return vector


class Vendor(vendor.Vendor):
    """Answers ``/embeddings``."""

    route = "/embeddings"

    @property
    def batches(self) -> list[list[str]]:
        return [body["input"] for body in self.bodies]

    def reply(self, body: dict[str, Any]) -> object:
        # backwards: a client must go by the index, not by the order
        items = [{"index": number, "embedding": words_vector(text)} for number, text in enumerate(body["input"])]
        return {"object": "list", "data": items[::-1]}


def embedding_vendor() -> AbstractContextManager[Vendor]:
    return vendor.serving(Vendor())
