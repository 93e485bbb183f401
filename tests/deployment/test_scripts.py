"""The scripts that people, make and the workflows call: versions, packaging, signing, verifying, promises of scans."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from scripts.bump_version import main as bump
from tests.architecture.source_tree import ROOT
from tests.support.containers import IMAGE, local, need_containers, podman
from tests.support.deployment import run, tool
from tests.support.embedded_server import wait_until
from tests.support.redis_server import free_port
from tests.support.servers import servers

SCRIPTS = ROOT / "scripts" / "deploy"
DIGEST = f"sha256:{'b' * 64}"


def release_check(tag: str, *, root: Path = ROOT, status: int = 0) -> str:
    done = run("python3", root / "scripts" / "deploy" / "release_check.py", tag, status=status)
    return done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What a release looks at, to be changed."""
    for name in (
        "pyproject.toml",
        "CHANGELOG.md",
        "deploy/helm/agentmem/Chart.yaml",
        "scripts/deploy/release_check.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_release_needs_one_version_everywhere_and_has_its_notes(copy: Path) -> None:
    bump(["7.1.0"], copy)

    notes = release_check("v7.1.0", root=copy)
    assert "### Added" in notes
    assert "## [" not in notes
    assert "9.9.9" in release_check("v9.9.9", root=copy, status=1)
    assert "usage" in release_check("7.1.0", root=copy, status=1)


@pytest.mark.parametrize("name", ["pyproject.toml", "deploy/helm/agentmem/Chart.yaml", "CHANGELOG.md"])
def test_one_file_with_another_version_stops_a_release(copy: Path, name: str) -> None:
    before = (copy / name).read_text()
    bump(["7.1.0"], copy)
    (copy / name).write_text(before)

    assert "The tag says 7.1.0, but" in release_check("v7.1.0", root=copy, status=1)


def test_packaged_chart_installs_the_image_that_it_was_packaged_for(tmp_path: Path) -> None:
    image = "registry.example.org/team/agentmem"
    run(SCRIPTS / "chart_package.sh", image, DIGEST, tmp_path, env={**os.environ, "HELM": str(tool("helm"))})
    (package,) = tmp_path.glob("agentmem-*.tgz")
    values = ROOT / "deploy" / "helm" / "agentmem" / "values-prod.yaml"
    made = run(tool("helm"), "template", "r", package, "--values", values).stdout

    images = {
        container["image"]
        for one in yaml.safe_load_all(made)
        if one and one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert images == {f"{image}@{DIGEST}"}
    with tarfile.open(package) as archive:
        assert "agentmem/values.schema.json" in archive.getnames()


@pytest.mark.parametrize("script", ["image_sign.sh", "image_verify.sh"])
def test_a_tag_is_neither_signed_nor_verified(script: str) -> None:
    assert "a tag may mean another image tomorrow" in run(SCRIPTS / script, "r/agentmem:1", "sbom", status=2).stderr


def test_scan_whose_list_of_faults_cannot_be_had_fails(tmp_path: Path) -> None:
    tool("trivy")
    empty = tmp_path / "nothing.tar"
    with tarfile.open(empty, "w"):
        pass
    environment = {**os.environ, "TRIVY_CACHE_DIR": str(tmp_path), "TRIVY_DB_REPOSITORY": "127.0.0.1:1/trivy-db"}
    done = subprocess.run(
        [SCRIPTS / "image_scan.sh", empty], env=environment, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode != 0


def test_smoke_test_adds_finds_and_forgets_and_fails_where_nobody_answers(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    with servers(tmp_path / "store", 1) as (server,):
        environment = {**os.environ, "SMOKE_URL": server.url, "SMOKE_KEY": server.key}
        assert "answers" in run(SCRIPTS / "smoke.sh", env=environment).stdout
        wrong = {**environment, "SMOKE_KEY": server.key[:-1] + "x"}
        assert run(SCRIPTS / "smoke.sh", env=wrong, status=1).stdout == ""
    done = subprocess.run([SCRIPTS / "smoke.sh"], env=environment, capture_output=True, check=False)
    assert done.returncode != 0


@pytest.fixture(scope="module")
def registry(full: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of images on this machine."""
    need_containers(full)
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(settings))
    command = [str(tool("docker-registry")), "serve", str(folder / "config.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:

            def answers() -> bool:
                try:
                    return httpx.get(f"http://127.0.0.1:{port}/v2/").status_code == 200
                except httpx.TransportError:
                    return False

            wait_until(answers)
            yield f"127.0.0.1:{port}"
        finally:
            running.terminate()


@pytest.mark.timeout(600)
def test_signed_image_is_verified_with_what_it_is_made_of_and_any_other_is_refused(
    registry: str, tmp_path: Path
) -> None:
    local("build")
    cosign = tool("cosign")
    name = f"{registry}/agentmem"

    def push(source: str, tag: str) -> str:
        podman("push", "--tls-verify=false", "--digestfile", tmp_path / "digest", source, f"{name}:{tag}")
        return f"{name}@{(tmp_path / 'digest').read_text().strip()}"

    archive, sbom = tmp_path / "image.tar", tmp_path / "sbom.json"
    podman("save", "--format=docker-archive", "--output", archive, IMAGE)
    run(SCRIPTS / "image_sbom.sh", f"docker-archive:{archive}", sbom)
    found = {one["name"] for one in json.loads(sbom.read_text())["components"]}
    assert {"fastapi", "onnxruntime", "agentmem"} <= found

    environment = {**os.environ, "COSIGN_PASSWORD": "", "HOME": str(tmp_path), "COSIGN": str(cosign)}
    run(cosign, "generate-key-pair", env=environment, cwd=tmp_path)
    signing = {
        **environment,
        "COSIGN_KEY": str(tmp_path / "cosign.key"),
        "COSIGN_FLAGS": "--tlog-upload=false --allow-http-registry",
    }
    verifying = {
        **environment,
        "COSIGN_PUBLIC_KEY": str(tmp_path / "cosign.pub"),
        "COSIGN_FLAGS": "--insecure-ignore-tlog --allow-http-registry",
    }
    image = push(IMAGE, "signed")
    run(SCRIPTS / "image_verify.sh", image, env=verifying, status=10)
    run(SCRIPTS / "image_sign.sh", image, sbom, env=signing)
    assert "is ours" in run(SCRIPTS / "image_verify.sh", image, env=verifying).stdout

    tampered = tmp_path / "Containerfile"
    tampered.write_text(f"FROM {IMAGE}\nENV TAMPERED=yes\n")
    podman("build", "--pull=never", "--isolation=chroot", "--tag=localhost/tampered:test", "--file", tampered, tmp_path)
    other = push("localhost/tampered:test", "signed")
    assert other != image
    run(SCRIPTS / "image_verify.sh", other, env=verifying, status=10)
