"""The programs that look at a deployment, and the chart as Helm renders it."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.source_tree import ROOT

PLACE = ROOT / ".cache" / "deploy"
CHART = ROOT / "deploy" / "helm" / "agentmem"
RELEASE, NAMESPACE = "memory", "agents"
PROGRAMS = {
    "checkov": PLACE / "checkov" / "bin" / "checkov",
    "cosign": PLACE / "cosign" / "usr" / "bin" / "cosign",
    "helm": PLACE / "helm" / "helm" / "helm",
}
MINIMAL = {
    "secrets": {"existingSecret": "settings"},
    "masterKey": {"existingSecret": "key"},
}
"""Values without which nothing can be installed."""
EVERYTHING: dict[str, Any] = {
    **MINIMAL,
    "commonLabels": {"team": "memory"},
    "image": {"digest": f"sha256:{'a' * 64}"},
    "api": {
        "autoscaling": {"enabled": True, "inFlight": 20},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "agents", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "high",
        "podAnnotations": {"example.com/note": "1"},
        "podLabels": {"tier": "front"},
    },
    "worker": {"keda": {"enabled": True}},
    "config": {
        "backup_location": "s3://backups/agentmem",
        "backup_recipients": ["age1hpyprca4rnd5xcjxgtj8crf9u9lyecvc7kp6xe7guqhkhg38u5qqt9v3tc"],
        "backup_signing_key": "/etc/agentmem/backups/signing.pem",
    },
    "secrets": {"existingSecret": "settings", "keys": ["database_url", "redis_url", "backup_identity"]},
    "cronJobs": {name: {"enabled": True} for name in ("doctor", "vacuum", "backup", "backupKeys", "drill")},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "annotations": {"example.com/a": "1"}},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["agentmem.example.com"]},
    "certificate": {"enabled": True, "issuer": {"name": "letsencrypt"}},
    "metrics": {part: {"enabled": True} for part in ("serviceMonitor", "prometheusRule", "dashboards")},
    "mesh": {"istio": {"enabled": True}, "linkerd": {"enabled": True}},
    "serviceAccount": {"annotations": {"example.com/role": "memory"}},
    "extraEnv": [{"name": "AGENTMEM_OTLP_ENDPOINT", "value": "http://otel:4318"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    "extraObjects": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "{{ .Release.Name }}-more", "namespace": NAMESPACE},
        }
    ],
}
"""Every switch that production may turn on."""


def tool(name: str) -> Path:
    """Find a program; the test is skipped where it is not installed."""
    path = PROGRAMS.get(name, PLACE / "tools" / "bin" / name)
    if path.exists():
        return path
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {name}: make deploy-tools IMAGES=1")
    return Path(found)


def run(*command: str | Path, status: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; it must end with this status."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **{"timeout": 300, "cwd": ROOT, **more})
    assert done.returncode == status, (command, done.returncode, done.stdout[-4000:], done.stderr[-4000:])
    return done


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What the chart becomes with some values."""

    text: str

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """Every resource."""
        return [one for one in yaml.safe_load_all(self.text) if one is not None]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Give the resources of a kind."""
        return [one for one in self.resources if one["kind"] == kind]

    def names(self, kind: str) -> set[str]:
        """Name the resources of a kind."""
        return {one["metadata"]["name"] for one in self.all(kind)}

    def one(self, kind: str, suffix: str = "") -> dict[str, Any]:
        """Give the resource of a kind whose name is the release's with this suffix."""
        name = f"{RELEASE}-agentmem{suffix}"
        (found,) = (one for one in self.all(kind) if one["metadata"]["name"] == name)
        return found

    def pods(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """Give the name and the description of every pod that a resource makes, or is."""
        for one in self.resources:
            spec = one.get("spec", {})
            spec = spec.get("jobTemplate", {}).get("spec", spec)
            pod = one if one["kind"] == "Pod" else spec.get("template")
            if pod is not None:
                yield f"{one['kind']} {one['metadata']['name']}", pod


def values_file(values: Mapping[str, Any]) -> Path:
    """Write values to a file of their own, which stays."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False, encoding="utf-8") as file:
        file.write(json.dumps(values))
    return Path(file.name)


def helm_template(values: Mapping[str, Any], *files: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with these values, on top of those of some files."""
    given = values_file(values)
    try:
        arguments = [part for file in (*files, given) for part in ("--values", file)]
        command = (tool("helm"), "template", RELEASE, CHART, "--namespace", NAMESPACE, *arguments)
        return run(*command, status=status)
    finally:
        given.unlink()


def rendered(values: Mapping[str, Any], *files: Path) -> Rendered:
    """Render the chart."""
    return Rendered(text=helm_template(values, *files).stdout)


def with_values(**values: Any) -> dict[str, Any]:
    """Give the least values and some more."""
    return {**copy.deepcopy(MINIMAL), **values}


def environment(name: str) -> Rendered:
    """Render the chart as the values of an environment say."""
    return rendered({}, CHART / f"values-{name}.yaml")


def refused(values: Mapping[str, Any], *files: Path) -> str:
    """Give what Helm says of values that it refuses."""
    return helm_template(values, *files, status=1).stderr
