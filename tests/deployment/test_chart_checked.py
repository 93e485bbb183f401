"""The chart under the eyes of others: Kubernetes' schemas, the makers of custom resources, trivy, checkov."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.source_tree import ROOT
from tests.support.deployment import CHART, EVERYTHING, PLACE, Rendered, rendered, run, tool, values_file

OLDEST, NEWEST = "1.29", "1.37"
EXTERNAL = {
    "image": EVERYTHING["image"],
    "secrets": {
        "externalSecret": {
            "enabled": True,
            "store": {"name": "vault"},
            "data": {"database_url": {"key": "db"}, "redis_url": {"key": "redis"}, "master_key": {"key": "key"}},
        }
    },
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart in every form, as one file."""
    path = tmp_path_factory.mktemp("chart") / "all.yaml"
    parts = [rendered(EVERYTHING).text, rendered(EXTERNAL).text, *(digested(name) for name in ("dev", "prod"))]
    path.write_text("\n---\n".join(parts), encoding="utf-8")
    return path


def digested(name: str) -> str:
    """Render an environment with the image by its digest, as a deployment names it."""
    return rendered({"image": EVERYTHING["image"]}, CHART / f"values-{name}.yaml").text


def is_custom(resource: dict[str, Any]) -> bool:
    group = resource["apiVersion"].rpartition("/")[0]
    return ("." in group and not re.fullmatch(r"[a-z.]*\.k8s\.io", group)) or group.startswith("gateway.")


def models_say(resources: list[dict[str, Any]]) -> str:
    """Give what the models say of custom resources; nothing when they are right."""
    if shutil.which("node") is None or not (PLACE / "models" / "node_modules").is_dir():
        pytest.skip("needs Node.js and the models: make deploy-tools")
    command = ["node", str(ROOT / "deploy" / "tools" / "validate.mjs")]
    done = subprocess.run(
        command, cwd=PLACE / "models", input=json.dumps(resources), capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_every_resource_without_an_unknown_field(everything: Path, version: str) -> None:
    done = run(tool("kubernetes-validate"), "--strict", "--kubernetes-version", version, everything)
    unknown = set(re.findall(r"schema for kind (\S+)", done.stdout + done.stderr))
    custom = {one["kind"] for one in Rendered(text=everything.read_text()).resources if is_custom(one)}

    assert unknown == custom, "a resource that nobody checks"


def test_oldest_version_is_the_one_that_the_chart_asks_for() -> None:
    asked = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]

    assert asked == f">={OLDEST}.0-0"


def test_custom_resources_are_as_their_makers_describe_them(everything: Path) -> None:
    custom = [one for one in Rendered(text=everything.read_text()).resources if is_custom(one)]

    assert {one["kind"] for one in custom} == {
        *("Certificate", "DestinationRule", "ExternalSecret", "HTTPRoute"),
        *("PeerAuthentication", "PrometheusRule", "ScaledObject", "ServiceMonitor"),
    }
    assert models_say(custom) == ""


@pytest.mark.parametrize("kind", ["ScaledObject", "HTTPRoute", "PrometheusRule", "Certificate"])
def test_a_custom_resource_that_is_wrong_is_noticed(everything: Path, kind: str) -> None:
    wrong = next(one for one in Rendered(text=everything.read_text()).resources if one["kind"] == kind)

    assert models_say([{**wrong, "spec": {"triggers": 3, "rules": 3, "groups": 3, "secretName": 3}}]) != ""


def test_trivy_finds_nothing_in_the_chart_and_the_dockerfiles(full: bool) -> None:
    given = values_file(EVERYTHING)
    targets = [CHART, *(sorted(ROOT.glob("Dockerfile*")) if full else ())]
    try:
        for target in targets:
            done = run(
                *(tool("trivy"), "config", "--skip-check-update", "--quiet", "--format", "json"),
                *("--ignorefile", ROOT / "deploy" / "trivyignore.yaml", "--helm-kube-version", f"{NEWEST}.0"),
                *("--helm-values", given, target),
            )
            results = json.loads(done.stdout)["Results"]
            found = [one for each in results for one in each.get("Misconfigurations", []) if one["Status"] == "FAIL"]
            assert [(one["ID"], one["Message"]) for one in found] == []
            assert sum(each["MisconfSummary"]["Successes"] for each in results) > 20
    finally:
        given.unlink()


def test_checkov_finds_nothing(everything: Path, full: bool) -> None:
    if not full:
        pytest.skip("takes half a minute: make test-deploy")
    done = run(tool("checkov"), "--config-file", ROOT / "deploy" / "checkov.yaml", "--file", everything, "-o", "json")
    report = json.loads(done.stdout)

    assert [(one["check_id"], one["resource"]) for one in report["results"]["failed_checks"]] == []
    assert report["summary"]["passed"] > 400


def test_every_finding_that_is_let_pass_has_its_reason() -> None:
    ignored = yaml.safe_load((ROOT / "deploy" / "trivyignore.yaml").read_text())["misconfigurations"]
    skipped = re.findall(r"^  - CKV\S+(.*)$", (ROOT / "deploy" / "checkov.yaml").read_text(), re.MULTILINE)

    assert all(len(one["statement"]) > 20 for one in ignored)
    assert skipped
    assert all(len(reason) > 20 for reason in skipped)
