"""Install the programs that tests use beside PostgreSQL: Redis, HAProxy, nginx, Chromium, others (`make services`).

They come from where the system's packages come from. The tests run processes of their own on free ports and touch no
service that a package may set up. Where they cannot be installed the script says so and succeeds: the tests that need
a program are skipped where it is absent, and counted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {
    "redis-server": "redis-server",
    "haproxy": "haproxy",
    "nginx": "nginx-light",
    "faketime": "faketime",
    "chromium": "chromium",
    "node": "nodejs",
    "npm": "npm",
    "oathtool": "oathtool",
    "softhsm2-util": "softhsm2",
    "age": "age",
}
"""The package of each program."""
SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"


def missing() -> list[str]:
    """Name the packages whose programs are not installed."""
    path = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"
    return [package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None]


def install(packages: list[str]) -> None:
    """Install packages with apt-get, without a question, each by itself: one that is not to be had stops none."""
    apt = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    apt += ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
    subprocess.run([*apt, "update"], check=False)  # an index that is out of date may still do
    for package in packages:
        subprocess.run([*apt, "install", "--yes", "--no-install-recommends", package], check=False)


def main() -> None:
    """Install what is missing, or say what stays absent."""
    packages = missing()
    if not packages:
        return
    names = " ".join(packages)
    if shutil.which("apt-get") is None or (os.geteuid() != 0 and shutil.which("sudo") is None):
        print(f"Please install: {names}. Tests that need them are skipped until then.", file=sys.stderr)
        return
    print(f"Installing {names} ...", file=sys.stderr)
    install(packages)
    if left := " ".join(missing()):
        print(f"Could not install {left}. Tests that need them are skipped until they are there.", file=sys.stderr)


if __name__ == "__main__":
    main()
