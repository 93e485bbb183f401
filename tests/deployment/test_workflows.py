"""The workflows: looked at by linters, and run on this machine with stand-ins for what they reach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.architecture.source_tree import ROOT
from tests.support.acting import DIGEST, HISTORY, WORKFLOWS, act
from tests.support.deployment import run, tool

FILES = sorted(WORKFLOWS.glob("*.yml"))
MAIN, TAG = {"ref": "refs/heads/main"}, {"ref": "refs/tags/v0.1.0"}


def test_actionlint_and_the_schema_find_nothing() -> None:
    run(tool("actionlint"), *FILES)
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *FILES)
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.dependabot", ROOT / ".github" / "dependabot.yml")


def test_zizmor_finds_nothing_and_what_it_is_told_to_pass_has_a_reason() -> None:
    run(tool("zizmor"), "--offline", "--no-progress", "--quiet", ROOT / ".github")
    passed = [line for file in FILES for line in re.findall(r"zizmor: ignore\[[\w-]+\](.*)", file.read_text())]

    assert all(len(reason) > 10 for reason in passed)


@pytest.mark.parametrize("file", FILES, ids=lambda path: Path(path).name)
def test_jobs_have_no_right_that_they_do_not_name_and_end_in_time(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())

    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "permissions" in job, name
        if "uses" not in job:
            most = 10 if "environment" in job else 20
            assert job["timeout-minutes"] <= most, name
        for step in job.get("steps", []):
            assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", step.get("uses", f"a@{'0' * 40}")), step
            assert len(step.get("run", "").splitlines()) <= 1, "what is longer belongs to a script"


def test_every_script_of_a_workflow_is_there_and_shellcheck_finds_nothing() -> None:
    named = {found for file in FILES for found in re.findall(r"scripts/deploy/\w+\.\w+", file.read_text())}
    scripts = sorted((ROOT / "scripts" / "deploy").glob("*.sh"))

    assert [name for name in named if not (ROOT / name).exists()] == []
    run(tool("shellcheck"), *scripts)


def test_push_to_main_builds_signs_and_deploys_to_staging_alone(tmp_path: Path) -> None:
    done = act("deploy.yml", "push", tmp_path, MAIN)

    assert done.status == 0, done.said
    (upgrade,) = [call for call in done.calls if call.startswith("helm") and " upgrade " in call]
    assert "values-staging.yaml" in upgrade
    assert f"image.digest={DIGEST}" in upgrade
    assert "--rollback-on-failure --wait --timeout 5m" in upgrade
    order = [call.split()[0] + " " + call.split()[1] for call in done.calls]
    assert order.index("trivy image") < order.index("cosign sign") < order.index("cosign verify")
    assert done.calls.index(upgrade) > max(number for number, call in enumerate(order) if call == "cosign verify")
    assert {call.split("--platform ")[1].split()[0] for call in done.calls if "--platform" in call} == {
        "linux/amd64",
        "linux/arm64",
    }


def test_tag_promotes_the_digest_of_its_commit_to_production_and_builds_nothing(tmp_path: Path) -> None:
    done = act("deploy.yml", "push", tmp_path, TAG)

    assert done.status == 0, done.said
    (upgrade,) = [call for call in done.calls if call.startswith("helm") and " upgrade " in call]
    assert "values-prod.yaml" in upgrade
    assert f"image.digest={DIGEST}" in upgrade
    assert not done.called("docker buildx build")
    (looked,) = done.called("docker buildx imagetools inspect")
    commit = run("git", "rev-parse", "HEAD").stdout.strip()
    assert f":sha-{commit} " in looked


def test_version_that_fails_its_smoke_test_goes_back_to_the_one_before(tmp_path: Path) -> None:
    done = act("deploy.yml", "push", tmp_path, MAIN, smoke=1)

    assert done.status != 0
    assert "back to revision 2" in done.said
    (rollback,) = [call for call in done.calls if call.startswith("helm") and " rollback " in call]
    assert f"rollback agentmem {HISTORY[-1]['revision']} --wait" in rollback


def test_tag_that_is_not_the_version_stops_the_release_and_the_deployment(tmp_path: Path) -> None:
    for workflow in ("release.yml", "deploy.yml"):
        done = act(workflow, "push", tmp_path / workflow, {"ref": "refs/tags/v9.9.9"})
        assert done.status != 0
        assert "The tag says 9.9.9, but pyproject.toml says 0.1.0" in done.said
        assert not [call for call in done.calls if call.startswith(("helm", "gh", "docker"))]


def test_rollback_by_hand_goes_to_the_revision_before_or_to_a_version(tmp_path: Path) -> None:
    for number, wanted in enumerate(("", "0.0.9", "v0.0.9", "1")):
        payload = {"inputs": {"environment": "staging", "to": wanted}}
        done = act("rollback.yml", "workflow_dispatch", tmp_path / str(number), payload)
        assert done.status == 0, done.said
        (rollback,) = [call for call in done.calls if call.startswith("helm") and " rollback " in call]
        assert "rollback agentmem 1 --wait" in rollback
    done = act(
        "rollback.yml", "workflow_dispatch", tmp_path / "none", {"inputs": {"environment": "staging", "to": "7.7.7"}}
    )
    assert done.status != 0
    assert "no revision to go back to that is or ran 7.7.7" in done.said
