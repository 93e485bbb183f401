"""The chart as Helm renders it: each environment, each switch on and off, and values that are refused."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentmem.foundation.encryption.providers import masterfile
from tests.support.deployment import (
    CHART,
    EVERYTHING,
    MINIMAL,
    NAMESPACE,
    Rendered,
    environment,
    rendered,
    run,
    tool,
    with_values,
)

ENVIRONMENTS = ("dev", "staging", "prod")
NAME = "memory-agentmem"


@pytest.fixture(scope="module", params=[*ENVIRONMENTS, "everything"])
def each(request: pytest.FixtureRequest) -> Rendered:
    """The chart of each environment, and with everything on."""
    return rendered(EVERYTHING) if request.param == "everything" else environment(request.param)


@pytest.fixture(scope="module")
def everything() -> Rendered:
    return rendered(EVERYTHING)


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env", [])}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_chart_has_no_fault_that_helm_finds(name: str) -> None:
    run(tool("helm"), "lint", "--strict", CHART, "--values", CHART / f"values-{name}.yaml")


def test_every_resource_is_in_the_namespace_and_has_the_labels_of_the_release(each: Rendered) -> None:
    own = [one for one in each.resources if not one["metadata"]["name"].endswith("-more")]

    assert {one["metadata"]["namespace"] for one in own} == {NAMESPACE}
    assert {one["metadata"]["labels"]["app.kubernetes.io/instance"] for one in own} == {"memory"}
    kinds = [(one["kind"], one["metadata"]["name"]) for one in each.resources]
    assert len(kinds) == len(set(kinds))


def test_every_pod_keeps_to_the_restricted_profile(each: Rendered) -> None:
    for name, pod in each.pods():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 10000, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume], name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_every_container_says_what_it_needs_and_how_much_it_may_have(each: Rendered) -> None:
    for name, pod in each.pods():
        for container in pod["spec"]["containers"]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


def test_every_secret_is_a_file_and_no_value_of_one_is_in_an_environment(each: Rendered) -> None:
    for name, pod in each.pods():
        for container in pod["spec"]["containers"]:
            for variable in container.get("env", []):
                assert "secretKeyRef" not in json.dumps(variable), (name, variable)
                assert "postgresql://" not in json.dumps(variable), (name, variable)
    for config in each.all("ConfigMap"):
        assert "postgresql://" not in json.dumps(config)


def test_every_selector_finds_pods_of_the_release_and_of_no_other_component(each: Rendered) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in each.pods()}
    for service in each.all("Service"):
        selector = service["spec"]["selector"].items()
        found = {name.rpartition("-")[2] for name, those in labels.items() if selector <= those.items()}
        suffix = service["metadata"]["name"].removeprefix(f"{NAME}").lstrip("-")
        expected = {"": {"api"}, "headless": {"api"}, "metrics": {"api", "worker"}}.get(suffix, {suffix})
        assert found == expected, service["metadata"]["name"]
    for kind in ("Deployment", "StatefulSet"):
        for one in each.all(kind):
            selector = one["spec"]["selector"]["matchLabels"].items()
            assert selector <= one["spec"]["template"]["metadata"]["labels"].items()


def test_servers_are_asked_on_three_paths_and_stop_slower_than_balancers_notice(each: Rendered) -> None:
    deployment = each.one("Deployment", "-api")
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    config = each.one("ConfigMap")["data"]
    probes = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}

    assert {name: probe["httpGet"]["path"] for name, probe in probes.items()} == {
        "startup": "/health",
        "liveness": "/health/live",
        "readiness": "/health/ready",
    }
    noticed = probes["readiness"]["periodSeconds"] * probes["readiness"]["failureThreshold"]
    drain, shutdown = int(config["AGENTMEM_DRAIN_SECONDS"]), int(config["AGENTMEM_SHUTDOWN_SECONDS"])
    assert drain >= min(noticed, 5)
    assert spec["terminationGracePeriodSeconds"] > drain + shutdown
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_change_of_the_configuration_restarts_the_pods() -> None:
    def checksum(level: str) -> str:
        made = rendered(with_values(config={"log_level": level})).one("Deployment", "-api")
        return str(made["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert checksum("info") == checksum("info")
    assert checksum("info") != checksum("debug")


def test_settings_become_variables_as_the_program_reads_them() -> None:
    config = {
        "trusted_proxies": ["10.0.0.0/8"],
        "max_body_bytes": 4194304,
        "reranker_deadline": 0.5,
        "docs": False,
        "log_level": "info",
    }
    data = rendered(with_values(config=config)).one("ConfigMap")["data"]

    assert data["AGENTMEM_TRUSTED_PROXIES"] == '["10.0.0.0/8"]'
    assert data["AGENTMEM_MAX_BODY_BYTES"] == "4194304"
    assert data["AGENTMEM_RERANKER_DEADLINE"] == "0.5"
    assert data["AGENTMEM_DOCS"] == "false"
    assert data["AGENTMEM_LOG_LEVEL"] == "info"


def test_secret_settings_of_a_secret_are_named_by_their_files() -> None:
    values = with_values(secrets={"existingSecret": "mine", "keys": ["database_url", "redis_url", "embedding_key"]})
    (container,) = rendered(values).one("Deployment", "-api")["spec"]["template"]["spec"]["containers"]

    assert environment_of(container)["AGENTMEM_EMBEDDING_KEY_FILE"] == "/etc/agentmem/settings/embedding_key"
    assert environment_of(container)["AGENTMEM_DATABASE_URL_FILE"] == "/etc/agentmem/settings/database_url"


def test_secret_settings_of_the_values_become_a_secret_that_the_migration_has_earlier() -> None:
    urls = {"database_url": "postgresql://u:p@db/agentmem", "redis_url": "redis://r"}
    made = rendered(with_values(secrets={"values": urls}))
    secrets = {one["metadata"]["name"]: one for one in made.all("Secret")}
    decoded = {name: base64.b64decode(value).decode() for name, value in secrets[f"{NAME}-settings"]["data"].items()}

    assert decoded == urls
    assert secrets[f"{NAME}-migrate"]["data"] == secrets[f"{NAME}-settings"]["data"]
    job = made.one("Job", "-migrate")
    assert job["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"] == f"{NAME}-migrate"
    order = [one["metadata"]["annotations"]["helm.sh/hook-weight"] for one in (secrets[f"{NAME}-migrate"], job)]
    assert order == ["-10", "0"]


def test_migration_runs_before_an_installation_and_an_upgrade_and_servers_do_not_migrate() -> None:
    made = rendered(MINIMAL)
    job = made.one("Job", "-migrate")

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]
    assert made.one("ConfigMap")["data"]["AGENTMEM_MIGRATE"] == "false"
    # Nothing that comes with the release is there before it: neither its configuration nor its account.
    assert "configMapRef" not in json.dumps(job)
    assert job["spec"]["template"]["spec"]["serviceAccountName"] in {
        one["metadata"]["name"] for one in made.all("ServiceAccount") if "annotations" in one["metadata"]
    }


@pytest.mark.parametrize(
    "values",
    [
        {"migration": {"enabled": False}},
        {
            "environment": "development",
            "postgresql": {"enabled": True},
            "secrets": {"values": {"redis_url": "redis://r"}},
        },
    ],
)
def test_without_a_migration_job_servers_migrate(values: dict[str, Any]) -> None:
    made = rendered(with_values(**values))

    assert made.all("Job") == []
    assert made.one("ConfigMap")["data"]["AGENTMEM_MIGRATE"] == "true"


def test_master_key_that_is_made_can_be_read_and_outlives_the_release(tmp_path: Path) -> None:
    secret = environment("dev").one("Secret", "-master-key")
    path = tmp_path / "master.json"
    path.write_bytes(base64.b64decode(secret["data"]["master.json"]))
    path.chmod(0o600)

    assert len(masterfile.read(path).active.key.reveal()) == 32
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_database_of_the_release_has_the_password_that_servers_use() -> None:
    made = environment("dev")
    password = base64.b64decode(made.one("Secret", "-postgresql")["data"]["password"]).decode()
    url = base64.b64decode(made.one("Secret", "-settings")["data"]["database_url"]).decode()

    assert len(password) == 32
    assert url == f"postgresql://agentmem:{password}@{NAME}-postgresql:5432/agentmem"


def test_workers_take_the_jobs_from_the_servers_or_there_are_none() -> None:
    def jobs(made: Rendered) -> str:
        (container,) = made.one("Deployment", "-api")["spec"]["template"]["spec"]["containers"]
        return environment_of(container)["AGENTMEM_RUN_JOBS"]

    assert jobs(rendered(MINIMAL)) == "false"
    without = rendered(with_values(worker={"enabled": False}))
    assert jobs(without) == "true"
    assert without.names("Deployment") == {f"{NAME}-api"}


def test_nobody_says_how_many_where_something_scales(everything: Rendered) -> None:
    assert "replicas" not in everything.one("Deployment", "-api")["spec"]
    assert "replicas" not in everything.one("Deployment", "-worker")["spec"]
    scaler = everything.one("HorizontalPodAutoscaler", "-api")["spec"]
    assert [metric["type"] for metric in scaler["metrics"]] == ["Resource", "Pods"]
    assert {"scaleUp", "scaleDown"} == scaler["behavior"].keys()
    trigger = everything.one("ScaledObject", "-worker")["spec"]["triggers"][0]["metadata"]
    assert f'agentmem_jobs_due_organizations{{namespace="{NAMESPACE}"}}' in trigger["query"]

    fixed = rendered(with_values(api={"replicas": 4}, worker={"replicas": 3}))
    assert fixed.one("Deployment", "-api")["spec"]["replicas"] == 4
    assert fixed.one("Deployment", "-worker")["spec"]["replicas"] == 3
    assert fixed.all("HorizontalPodAutoscaler") == fixed.all("ScaledObject") == []


def test_external_secrets_are_there_before_the_migration_and_name_every_setting() -> None:
    data = {"database_url": {"key": "db", "property": "url"}, "redis_url": {"key": "r"}, "master_key": {"key": "mk"}}
    values = {"secrets": {"externalSecret": {"enabled": True, "store": {"name": "vault"}, "data": data}}}
    made = rendered(values)
    settings, key = made.one("ExternalSecret", "-settings"), made.one("ExternalSecret", "-master-key")

    assert settings["metadata"]["annotations"]["helm.sh/hook-weight"] == "-20"
    assert [one["secretKey"] for one in settings["spec"]["data"]] == ["database_url", "redis_url"]
    assert settings["spec"]["data"][0]["remoteRef"] == {"key": "db", "property": "url"}
    assert [one["secretKey"] for one in key["spec"]["data"]] == ["master.json"]
    names = {key["spec"]["target"]["name"], settings["spec"]["target"]["name"]}
    volumes = made.one("Deployment", "-api")["spec"]["template"]["spec"]["volumes"]
    assert {one["secret"]["secretName"] for one in volumes if "secret" in one} == names


def test_traffic_that_nobody_asked_for_is_refused_both_ways() -> None:
    made = rendered(with_values(networkPolicy={"egress": {"database": {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}}}))
    policy = made.one("NetworkPolicy")["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = {port["port"]: rule.get("to") for rule in policy["egress"] for port in rule.get("ports", [])}
    assert set(ports) == {53, 5432, 6379, 443}
    assert ports[5432] == [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
    clients = made.one("NetworkPolicy", "-clients")["spec"]
    assert clients["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "api"
    assert clients["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 8080}]
    metrics = made.one("NetworkPolicy", "-metrics")["spec"]["ingress"][0]
    assert metrics["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def test_pods_are_spread_over_zones_and_nodes(each: Rendered) -> None:
    for suffix in ("-api", "-worker"):
        spread = each.one("Deployment", suffix)["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        assert {one["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in spread} == {suffix[1:]}


def test_jobs_have_no_sidecar_that_would_outlive_them(everything: Rendered) -> None:
    for name, pod in everything.pods():
        meta, ends = pod["metadata"], not name.startswith("Deployment")
        if name.endswith("-test"):
            continue
        assert meta["labels"]["sidecar.istio.io/inject"] == ("false" if ends else "true"), name
        assert meta["annotations"]["linkerd.io/inject"] == ("disabled" if ends else "enabled"), name


def test_what_is_added_is_where_it_belongs(everything: Rendered) -> None:
    spec = everything.one("Deployment", "-worker")["spec"]["template"]["spec"]
    (container,) = spec["containers"]

    assert environment_of(container)["AGENTMEM_OTLP_ENDPOINT"] == "http://otel:4318"
    assert {"name": "ca", "mountPath": "/etc/ca", "readOnly": True} in container["volumeMounts"]
    assert {"name": "ca", "configMap": {"name": "ca"}} in spec["volumes"]
    assert "memory-more" in everything.names("ConfigMap")


def test_a_digest_goes_before_a_tag_and_the_version_of_the_chart_is_the_default() -> None:
    def image(**given: str) -> str:
        made = rendered(with_values(image={"repository": "r.example/agentmem", **given}))
        return str(made.one("Deployment", "-api")["spec"]["template"]["spec"]["containers"][0]["image"])

    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    digest = f"sha256:{'0' * 64}"
    assert image() == f"r.example/agentmem:{version}"
    assert image(tag="edge") == "r.example/agentmem:edge"
    assert image(tag="edge", digest=digest) == f"r.example/agentmem@{digest}"


def test_the_test_of_a_release_asks_its_service(each: Rendered) -> None:
    pod = each.one("Pod", "-test")
    (container,) = pod["spec"]["containers"]

    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container["args"] == ["health"]
    assert environment_of(container) == {"AGENTMEM_HOST": NAME, "AGENTMEM_PORT": "80"}


def test_names_of_any_release_fit_into_a_label() -> None:
    command = (tool("helm"), "template", "r" * 53, CHART, "--values", CHART / "values-prod.yaml")
    names = {one["metadata"]["name"] for one in yaml.safe_load_all(run(*command).stdout) if one}

    assert max(map(len, names)) <= 63
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) for name in names)
