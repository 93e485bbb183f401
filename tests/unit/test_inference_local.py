"""The local embedder: who waits for whom, and which folders are refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

import agentmem.foundation.inference
from agentmem.errors import AgentMemError, ConfigurationError, IntegrityError
from agentmem.foundation.inference.local import LocalEmbedder
from agentmem.foundation.inference.open import DEFAULT_MODEL, open_embedder
from agentmem.foundation.inference.port import Embedder

SHIPPED = Path(agentmem.foundation.inference.__file__).parent / "models" / DEFAULT_MODEL
TURN = "Melanie: we painted the fence on Saturday, and the children helped with the brushes and the paint. "


@pytest.fixture(scope="module")
async def embedder() -> AsyncIterator[Embedder]:
    opened = await open_embedder(threads=1)
    yield opened
    await opened.aclose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(SHIPPED, tmp_path / "model")


def rewrite(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


async def test_a_query_overtakes_a_running_batch(embedder: Embedder) -> None:
    batch = asyncio.create_task(embedder.embed_documents([TURN] * 400))
    await asyncio.sleep(0)
    await embedder.embed_query("What did they paint?")
    await embedder.embed_documents([TURN])
    assert not batch.done()
    assert len(await batch) == 400


async def test_a_small_batch_takes_turns_with_a_large_one(embedder: Embedder) -> None:
    large = asyncio.create_task(embedder.embed_documents([TURN] * 400))
    await asyncio.sleep(0)
    await embedder.embed_documents([TURN * 2] * 20)
    assert not large.done()
    await large


async def test_a_batch_that_nobody_waits_for_stops(embedder: Embedder) -> None:
    batch = asyncio.create_task(embedder.embed_documents([TURN] * 400))
    await asyncio.sleep(0.01)
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert len(await embedder.embed_documents([TURN] * 30)) == 30


async def test_closing_lets_what_runs_finish_and_stops_the_rest() -> None:
    opened = await open_embedder(threads=1)
    batch = asyncio.create_task(opened.embed_documents([TURN] * 400))
    query = asyncio.create_task(opened.embed_query("What did they paint?"))
    await asyncio.sleep(0)
    await opened.aclose()
    assert (await query).pooled.shape == (opened.dimensions,)
    with pytest.raises(AgentMemError, match="closed"):
        await batch


async def test_more_texts_than_a_window_keep_their_order(embedder: Embedder) -> None:
    texts = [f"number {number}" for number in range(1100)]
    embeddings = await embedder.embed_documents(texts)
    [last] = await embedder.embed_documents(texts[-1:])
    assert len(embeddings) == 1100
    assert np.array_equal(embeddings[-1].spans, last.spans)
    assert embeddings[-1].pooled @ last.pooled > 0.999


async def test_a_span_cuts_its_wordpiece_out_of_the_text(embedder: Embedder) -> None:
    text = "Zoë’s 猫 naps 🙂 quietly"
    embedding = await embedder.embed_query(text)
    pieces = [text[start:end] for start, end in embedding.spans.tolist()]
    assert [piece for piece in pieces if piece in {"Zoë", "猫", "quietly"}] == ["Zoë", "猫", "quietly"]


async def test_token_vectors_have_length_127(embedder: Embedder) -> None:
    tokens = (await embedder.embed_query(TURN)).tokens.astype(float)
    assert np.abs(np.linalg.norm(tokens, axis=1) - 127).max() < 3


async def test_a_long_text_has_the_mean_of_its_parts_and_its_first_token_vectors(embedder: Embedder) -> None:
    [long, first, other] = await embedder.embed_documents([TURN * 40, TURN, "Inflation rose in March."])
    assert long.tokens.shape == (256, embedder.token_dimensions)
    assert long.pooled @ first.pooled > 0.7 > long.pooled @ other.pooled
    assert long.spans[-1, 1] < len(TURN * 40)


async def test_a_prefix_that_the_model_wants_is_not_a_part_of_the_text(folder: Path) -> None:
    rewrite(folder, query_prefix="query: ")
    opened = await open_embedder(str(folder), threads=1)
    query, [document] = await opened.embed_query("the fence"), await opened.embed_documents(["the fence"])
    await opened.aclose()
    assert query.spans.tolist() == document.spans.tolist() == [[0, 3], [4, 9]]
    assert query.pooled @ document.pooled < 0.999


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
async def test_a_damaged_file_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=name):
        await LocalEmbedder.open(folder, threads=1)


async def test_another_manifest_than_the_shipped_one_is_refused(folder: Path) -> None:
    rewrite(folder, name="something-else")
    with pytest.raises(IntegrityError, match="manifest"):
        await LocalEmbedder.open(folder, threads=1, digest=hashlib.sha256(b"the shipped one").hexdigest())


async def test_a_graph_that_does_not_load_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    digests = json.loads((folder / "manifest.json").read_bytes())["files"]
    rewrite(folder, files=digests | {"model.onnx": hashlib.sha256(b"not a graph").hexdigest()})
    with pytest.raises(IntegrityError, match="cannot be loaded"):
        await LocalEmbedder.open(folder, threads=1)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "manifest.json"])
async def test_a_folder_that_lacks_a_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigurationError, match=name):
        await LocalEmbedder.open(folder, threads=1)


@pytest.mark.parametrize("change", [{"format": 2}, {"dimensions": 0}, {"pooling": "max"}, {"surprise": 1}])
async def test_a_manifest_of_another_format_is_refused(folder: Path, change: dict[str, object]) -> None:
    rewrite(folder, **change)
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        await LocalEmbedder.open(folder, threads=1)


def test_loading_a_model_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    program = (
        "import asyncio; from agentmem.foundation.inference.open import open_embedder; "
        "e = asyncio.run(open_embedder(threads=1)); asyncio.run(e.embed_query('tea'))"
    )
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": "", "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)
    assert not list(home.rglob("*"))
    assert not list(temporary.rglob("*"))
