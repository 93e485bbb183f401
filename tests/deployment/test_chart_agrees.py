"""The chart and the program agree: settings, commands, metrics, versions; what one gains, the other must know."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

from agentmem.entrypoints.cli.main import app
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.settings import Settings
from scripts.generate_chart import OWNED, described, secrets
from scripts.generate_reference import command_names
from tests.architecture.source_tree import ROOT
from tests.support.deployment import CHART, EVERYTHING, Rendered, environment, rendered, run, tool
from tests.support.redis_server import free_port
from tests.support.servers import servers

ALERTS = CHART / "files" / "alerts.yaml"
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs" / "how-to" / "answer-an-alert.md"
# Labels that Prometheus itself gives.
GIVEN = {"le", "namespace", "pod"}


def variables(made: Rendered) -> set[str]:
    """Name the settings that a rendered chart gives to the program."""
    found = {
        name for config in made.all("ConfigMap") for name in config.get("data", {}) if name.startswith("AGENTMEM_")
    }
    for _, pod in made.pods():
        for container in pod["spec"]["containers"]:
            found |= {one["name"].removesuffix("_FILE") for one in container.get("env", [])}
    return {name.removeprefix("AGENTMEM_").lower() for name in found if name.startswith("AGENTMEM_")}


def test_every_variable_of_the_chart_is_a_setting_and_every_setting_can_be_set() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    free = set(schema["properties"]["config"]["properties"])
    secret = set(schema["properties"]["secrets"]["properties"]["keys"]["items"]["enum"])
    settings = set(Settings.model_fields)

    # `key_file` ends as the variable of a secret's file does.
    named = {name for made in (environment("dev"), rendered(EVERYTHING)) for name in variables(made)}
    assert {"key_file" if name == "key" else name for name in named} <= settings
    assert free | secret | OWNED.keys() == settings, "run `make docs`, or give the setting a place in OWNED"
    assert not free & OWNED.keys()


def test_what_the_chart_owns_is_given_to_every_server() -> None:
    elsewhere = {"data_directory", "linger"}  # of the image
    named = variables(environment("prod"))

    assert {name for name in OWNED if name not in named} - {"key_file"} == elsewhere


def test_every_secret_setting_is_known_to_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    assert list(schema["properties"]["secrets"]["properties"]["values"]["properties"]) == secrets()


def test_every_value_but_the_smallest_is_described() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    paths = [path for path, _ in described()]

    assert {path.split(".")[0] for path in paths} == set(values)
    assert len(paths) == len(set(paths))


def commands_of(made: Rendered) -> Iterator[tuple[str, ...]]:
    for _, pod in made.pods():
        for container in pod["spec"]["containers"]:
            if "registry.example.com/agentmem" in container["image"]:
                yield tuple(container["args"])


def test_every_command_of_the_chart_is_one_of_the_program() -> None:
    known = set(command_names(get_command(app)))
    used = {tuple(arg for arg in args if not arg.startswith("--")) for args in commands_of(rendered(EVERYTHING))}

    assert used - known == set()
    assert {("serve",), ("worker",), ("migrate",), ("health",), ("backup", "create"), ("backup", "drill")} <= used


def test_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_manifests_for_those_without_helm_are_what_the_chart_renders() -> None:
    told = run(ROOT / "scripts" / "deploy" / "manifests.sh", env={**os.environ, "HELM": str(tool("helm"))}).stdout

    assert (ROOT / "deploy" / "kubernetes" / "agentmem.yaml").read_text() == told, "run `make manifests`"
    assert {one["kind"] for one in yaml.safe_load_all(told)} >= {"Deployment", "Job", "NetworkPolicy", "Service"}
    assert "Secret" not in {one["kind"] for one in yaml.safe_load_all(told)}


def queries() -> Iterator[str]:
    """Give every query of the alerts and the dashboards."""
    for rule in yaml.safe_load(ALERTS.read_text())["rules"]:
        yield rule["expr"]
    for dashboard in DASHBOARDS:
        for panel in json.loads(dashboard.read_text())["panels"]:
            yield from (target["expr"] for target in panel["targets"])
    yield rendered(EVERYTHING).one("ScaledObject", "-worker")["spec"]["triggers"][0]["metadata"]["query"]


def metrics_of(query: str) -> set[str]:
    return set(re.findall(r"\bagentmem_[a-z_]+\b", query))


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a running server tells on the port of its metrics."""
    port = free_port()
    with servers(tmp_path_factory.mktemp("scraped"), 1, metrics_port=str(port)):
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text


def test_every_metric_of_an_alert_and_a_dashboard_is_told_by_a_running_server(scrape: str) -> None:
    told = set()
    for family in text_string_to_metric_families(scrape):
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        told |= {f"{family.name}{end}" for end in ends}
    asked = {name for query in queries() for name in metrics_of(query)}

    assert len(asked) > 10
    assert asked - told == set()


def labels_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Give the labels of every metric."""
    found = {name: set(getattr(one, "_labelnames", ())) for name, one in registry._names_to_collectors.items()}
    return {name: labels | GIVEN for name, labels in found.items()}


def test_every_label_that_is_asked_for_is_one_of_its_metric() -> None:
    known = labels_of(Metrics().registry)
    for query in queries():
        for name, selector in re.findall(r"\b(agentmem_[a-z_]+)\{([^}]*)\}", query):
            assert set(re.findall(r"([a-z_]+)\s*(?:=|!=|=~|!~)\"", selector)) <= known[name], query
        grouped = {label.strip() for by in re.findall(r"\bby \(([^)]*)\)", query) for label in by.split(",")}
        assert all(grouped <= known[name] for name in metrics_of(query)), query


def test_every_alert_has_a_summary_a_severity_and_a_runbook() -> None:
    rules = yaml.safe_load(ALERTS.read_text())["rules"]
    headings = re.findall(r"^## (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    made = rendered(EVERYTHING).one("PrometheusRule")["spec"]["groups"][0]["rules"]

    assert [rule["alert"] for rule in rules] == headings
    assert [rule["annotations"]["runbook_url"] for rule in made] == [
        f"docs/how-to/answer-an-alert.md#{name.lower()}" for name in headings
    ]
    assert all(
        rule["labels"]["severity"] in {"critical", "warning"} and rule["annotations"]["summary"] for rule in rules
    )


@pytest.mark.parametrize("page", DASHBOARDS, ids=lambda page: Path(page).name)
def test_dashboards_are_what_grafana_reads_and_their_panels_lie_beside_each_other(page: Path) -> None:
    dashboard = json.loads(page.read_text())
    places = [tuple(panel["gridPos"][side] for side in ("x", "y")) for panel in dashboard["panels"]]

    assert len(places) == len(set(places))
    assert [panel["id"] for panel in dashboard["panels"]] == list(range(1, len(places) + 1))
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "namespace"}
    config = rendered(EVERYTHING).one("ConfigMap", f"-dashboard-{page.stem}")
    assert json.loads(config["data"][page.name]) == dashboard
