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
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
        entries = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]

        assert entries
        assert [entry for entry in entries if not re.match(r"[^=;]+==\S+ .*--hash=sha256:", entry)] == []


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    locks = {lock.stem: lock.read_text(encoding="utf-8") for lock in (ROOT / "requirements").glob("*.txt")}
    locked = {
        name: set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9, -]+\])?==", text, re.MULTILINE))
        for name, text in locks.items()
    }
    named = project["dependency-groups"]
    everything = [line for lines in project["project"]["optional-dependencies"].values() for line in lines]
    groups = {"dev": [*project["project"]["dependencies"], *everything, *named.pop("dev")], **named}
    lines = {name: [line for line in group if isinstance(line, str)] for name, group in groups.items()}  # else: a group
    declared = {name: {re.split(r"[^a-z0-9-]", line)[0] for line in those} for name, those in lines.items()}

    assert {name: those - locked[name] for name, those in declared.items() if those - locked[name]} == {}, (
        "run `make lock`"
    )


def test_continuous_integration_calls_make_test_and_nothing_else() -> None:
    commands = [
        line.removeprefix("exec ").strip()
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]

    assert commands == ["timeout --signal=INT --kill-after=20 1770 make test"]


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
