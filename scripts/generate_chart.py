"""Write what the chart tells of itself: values.schema.json and README.md, from values.yaml and from the settings.

A setting that is new in ``settings.py`` is in the schema by that alone; one that the chart itself sets, or that is a
secret, has its place in ``OWNED`` or in the secrets. ``--check`` says what is old.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from agentmem.kit.secret_files import is_secret
from agentmem.settings import Settings

CHART: Final = Path(__file__).resolve().parent.parent / "deploy" / "helm" / "agentmem"
GENERATED: Final = "<!-- Written by `make docs` from values.yaml; change it there. -->\n"
OWNED: Final = {
    "data_directory": "the image's, for scratch files: what is stored is in your PostgreSQL",
    "drain_seconds": "drainSeconds",
    "environment": "environment",
    "host": "the pod's",
    "key_file": "masterKey",
    "linger": "of the embedded PostgreSQL, which a pod does not have",
    "metrics_host": "the pod's",
    "metrics_port": "metrics.port",
    "migrate": "migration.enabled",
    "port": "the pod's, 8080; service.port is the Service's",
    "run_jobs": "worker.enabled",
    "shutdown_seconds": "shutdownSeconds",
}
"""Settings that the chart writes itself, and where they are set instead."""
FREE: Final = frozenset(
    {
        "commonLabels", "api.resources", "api.autoscaling.behavior", "worker.resources", "migration.resources",
        "cronJobResources", "metrics.prometheusRule.labels", "metrics.serviceMonitor.labels",
        "metrics.dashboards.labels", "postgresql.resources", "redis.resources",
    }
)  # fmt: skip
"""Objects that Kubernetes itself describes."""
PORT: Final = {"type": "integer", "minimum": 1, "maximum": 65535}
COUNT: Final = {"type": "integer", "minimum": 0}
DISRUPTION: Final = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]}
SPREAD: Final = {"enum": ["ScheduleAnyway", "DoNotSchedule"]}
RULES: Final[dict[str, dict[str, Any]]] = {
    "environment": {"enum": ["development", "staging", "production"]},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "secrets.externalSecret.store.kind": {"enum": ["ClusterSecretStore", "SecretStore"]},
    "api.replicas": COUNT,
    "api.autoscaling.minReplicas": {"type": "integer", "minimum": 1},
    "api.autoscaling.maxReplicas": {"type": "integer", "minimum": 1},
    "api.autoscaling.cpu": {"type": "integer", "minimum": 1, "maximum": 100},
    "api.autoscaling.inFlight": COUNT,
    "api.podDisruptionBudget.maxUnavailable": DISRUPTION,
    "worker.podDisruptionBudget.maxUnavailable": DISRUPTION,
    "worker.replicas": COUNT,
    "drainSeconds": {"type": "integer", "minimum": 0, "maximum": 600},
    "shutdownSeconds": {"type": "integer", "minimum": 0, "maximum": 3600},
    "topologySpread.zone": SPREAD,
    "topologySpread.node": SPREAD,
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "service.port": PORT,
    "metrics.port": PORT,
    "ingress.path": {"type": "string", "pattern": "^/"},
    "certificate.issuer.kind": {"enum": ["ClusterIssuer", "Issuer"]},
    "networkPolicy.egress": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            part: {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "to": {"type": "array", "items": {"type": "object"}},
                    "ports": {"type": "array", "minItems": 1, "items": PORT},
                },
            }
            for part in ("database", "redis", "outside")
        },
    },
    "cronJobs": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "required": ["enabled", "schedule", "args"],
            "properties": {
                "enabled": {"type": "boolean"},
                "schedule": {"type": "string", "pattern": "^(@[a-z]+|([^ ]+ ){4}[^ ]+)$"},
                "args": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            },
        },
    },
}
"""What a value's default does not say of it."""


def secrets() -> list[str]:
    """Name the secret settings."""
    return sorted(name for name, field in Settings.model_fields.items() if is_secret(field))


def config_schema() -> dict[str, Any]:
    """Describe the settings that `config` may have, with their bounds."""
    known = Settings.model_json_schema()["properties"]
    left = {name: rule for name, rule in known.items() if name not in {*OWNED, *secrets()}}
    for rule in left.values():
        rule.pop("title", None)
        rule.pop("default", None)
    return {"type": "object", "additionalProperties": False, "properties": left}


def secrets_schema(values: dict[str, Any]) -> dict[str, Any]:
    """Describe where secret settings come from."""
    found = closed(values, "secrets")
    properties = found["properties"]
    names = {"enum": secrets()}
    properties["values"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"type": "string"} for name in secrets()},
    }
    properties["keys"] = {"type": "array", "uniqueItems": True, "items": names}
    remote = {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}}
    properties["externalSecret"]["properties"]["data"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": dict.fromkeys((*secrets(), "master_key"), remote),
    }
    return found


def rule_of(value: object, path: str) -> dict[str, Any]:
    """Describe a value by its default, and by what the table above says of it."""
    if path in RULES:
        return RULES[path]
    if path == "config":
        return config_schema()
    if isinstance(value, dict):
        if path == "secrets":
            return secrets_schema(value)
        return closed(value, path) if value and path not in FREE else {"type": "object"}
    kinds: dict[type, str] = {bool: "boolean", int: "integer", list: "array", str: "string"}
    return {"type": kinds[type(value)]}


def closed(values: dict[str, Any], path: str) -> dict[str, Any]:
    """Describe an object that has these keys and no others."""
    inside = {name: rule_of(value, f"{path}.{name}".lstrip(".")) for name, value in values.items()}
    return {"type": "object", "additionalProperties": False, "properties": inside}


def schema_page() -> str:
    """Write values.schema.json."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = closed(values, "")
    # Helm adds it where a chart is part of another.
    schema["properties"]["global"] = {"type": "object"}
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **schema}, indent=1) + "\n"


def described() -> Iterator[tuple[str, str]]:
    """Give the path of each value that has a description, and the description."""
    path: list[str] = []
    said: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        comment = re.fullmatch(r"\s*# (-- )?(.*)", line)
        if comment is not None:
            said = [comment[2]] if comment[1] else [*said, comment[2]] if said else []
            continue
        key = re.match(r"( *)([A-Za-z][A-Za-z0-9]*):", line)
        if key is not None:
            path = [*path[: len(key[1]) // 2], key[2]]
            if said:
                yield ".".join(path), " ".join(said)
        said = []


def readme_page() -> str:
    """Write README.md."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = []
    for path, meaning in described():
        value = values
        for name in path.split("."):
            value = value[name]
        shown = f"`{json.dumps(value)}`" if not isinstance(value, dict) or not value else ""
        rows.append(f"| `{path}` | {shown} | {meaning} |\n".replace("||", "| |"))
    owned = "".join(f"| `{name}` | {where} |\n" for name, where in OWNED.items())
    return (
        f"# AgentMem on Kubernetes\n\n{GENERATED}\n"
        "A chart for Helm 3.14 or newer, and Kubernetes 1.29 or newer. How to use it:\n"
        "[run on Kubernetes](../../../docs/how-to/run-on-kubernetes.md). `values-dev.yaml`, `values-staging.yaml` and\n"
        "`values-prod.yaml` are to begin with.\n\n"
        "## Values\n\n| Value | Default | Meaning |\n| --- | --- | --- |\n" + "".join(rows) + "\n## Settings\n\n"
        "`config` takes every [setting](../../../docs/reference/settings.md) by its name. Secret ones: see `secrets`:\n"
        f"{', '.join(f'`{name}`' for name in secrets())}.\nThe chart sets these itself:\n\n"
        "| Setting | By |\n| --- | --- |\n" + owned
    )


PAGES: Final = {"values.schema.json": schema_page, "README.md": readme_page}


def main(arguments: list[str]) -> None:
    """Write the pages, or check them."""
    stale = []
    for name, page in PAGES.items():
        path, text = CHART / name, page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(f"deploy/helm/agentmem/{name}")
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.exit(f"out of date: {', '.join(stale)}; run `make docs`")


if __name__ == "__main__":
    main(sys.argv[1:])
