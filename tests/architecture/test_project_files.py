"""The files around the code keep their promises."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

from tests.architecture.source_tree import ROOT

LEAST_COVERAGE = 90


def test_coverage_floor_is_no_lower_than_promised_nor_than_it_ever_was() -> None:
    command = ["git", "log", "--format=", "--patch", "--unified=0", "--", "tests/coverage-floor"]
    history = ""
    if shutil.which("git") is not None:  # outside of a clone, or with a part of the history, the promise alone holds
        history = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    floors = [int(floor) for floor in re.findall(r"^\+(\d+)$", history, re.MULTILINE)]

    assert int((ROOT / "tests" / "coverage-floor").read_text()) >= max(LEAST_COVERAGE, *floors), "it only rises"


def test_every_locked_requirement_is_pinned_and_hashed() -> None:
    for lock in ("runtime.txt", "dev.txt"):
        text = (ROOT / "requirements" / lock).read_text(encoding="utf-8").replace("\\\n", " ")
        entries = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]

        assert entries
        assert [entry for entry in entries if not re.match(r"[^=;]+==\S+ .*--hash=sha256:", entry)] == []


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    locked = set(
        re.findall(
            r"^([a-z0-9-]+)(?:\[[a-z0-9, -]+\])?==", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE
        )
    )
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    lines = [line for group in groups for line in group if isinstance(line, str)]  # others name a group
    declared = {match[0] for line in lines if (match := re.match(r"[a-z0-9-]+", line))}

    assert declared - locked == set(), "run `make lock`"


def test_continuous_integration_calls_make_test_and_nothing_else() -> None:
    commands = [
        line.removeprefix("exec ").strip()
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]

    assert commands == ["timeout --signal=INT --kill-after=60 1700 make test"]


def test_every_target_of_the_makefile_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = set(re.findall(r"^\.PHONY: (\S+)$", text, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))

    assert declared == explained


def test_changelog_has_an_entry_for_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert f"## [{project['project']['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_module_chosen_for_mutants_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert [pattern for pattern in project["tool"]["mutmut"]["only_mutate"] if not any(ROOT.glob(pattern))] == []
