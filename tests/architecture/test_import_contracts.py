"""Each import contract of pyproject.toml is proved once: a file that breaks it is seeded, and the linter says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, SOURCE

# Contract -> the file to seed, and its text.
VIOLATIONS = {
    "layers": ("kit/seeded.py", "from agentmem.features import memories\n"),
    "translate": ("entrypoints/seeded.py", "from agentmem.foundation import database\n"),
    "client": ("client/seeded.py", "from agentmem import settings\n"),
    "no-models": ("features/memories/seeded.py", "from agentmem.foundation import inference\n"),
    "features": ("features/memories/seeded.py", "from agentmem.features import organizations\n"),
    "pipelines": ("pipelines/retrieval/seeded.py", "from agentmem.pipelines import ingestion\n"),
    "vendors": ("pipelines/retrieval/seeded.py", "import onnxruntime\n"),
    "sql": ("features/seeded_feature/service.py", "import sqlalchemy\n"),
    "cycles": ("kit/seeded_cycle/one.py", "from agentmem.kit.seeded_cycle import two\n"),
}
COMPANIONS = {
    "features/seeded_feature/__init__.py": "",
    "kit/seeded_cycle/__init__.py": "",
    "kit/seeded_cycle/two.py": "from agentmem.kit.seeded_cycle import one\n",
}


def lint_imports(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    command: list[str | Path] = [
        program,
        "--no-cache",
        "--no-logo",
        "--config",
        tree / "pyproject.toml",
        "--contract",
        contract,
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        SOURCE,
        tmp_path / "src" / "agentmem",
        ignore=lambda _, names: [n for n in names if "." in n and not n.endswith(".py")],
    )
    return tmp_path


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_seeded_violation_breaks_its_contract(contract: str, tree: Path) -> None:
    name, text = VIOLATIONS[contract]
    for path, content in {**COMPANIONS, name: text}.items():
        (tree / "src" / "agentmem" / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / "src" / "agentmem" / path).write_text(content)

    outcome = lint_imports(tree, contract)

    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "BROKEN" in outcome.stdout
    assert "seeded" in outcome.stdout


def test_room_that_the_layers_do_not_name_breaks_them(tree: Path) -> None:
    (tree / "src" / "agentmem" / "seeded.py").write_text("")

    outcome = lint_imports(tree, "layers")

    assert outcome.returncode == 1
    assert "seeded" in outcome.stdout


def test_every_contract_is_proved_by_a_seeded_violation() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {contract["id"] for contract in configuration["tool"]["importlinter"]["contracts"]}

    assert declared == set(VIOLATIONS)
