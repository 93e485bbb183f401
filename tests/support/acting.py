"""Running workflows on this machine by act; actions and the programs that they reach are stand-ins."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source_tree import ROOT
from tests.support.deployment import tool

WORKFLOWS = ROOT / ".github" / "workflows"
ACTION = re.compile(r"uses: ([\w-]+/[\w/-]+)@([0-9a-f]{40})")
DIGEST = f"sha256:{'d' * 64}"
HISTORY = [
    {"revision": 1, "status": "superseded", "app_version": "0.0.9"},
    {"revision": 2, "status": "deployed", "app_version": "0.1.0"},
]
NOTE = 'echo "{name} $*" >> "{notes}"\n'
PROGRAMS = {
    "make": "",
    "gh": "",
    "curl": """case "$*" in *audience*) echo '{"value": "a-token"}';; */ready) exit "$SMOKE";; *) echo '{}';; esac\n""",
    "docker": f"""case "$*" in *inspect*) echo {DIGEST};; *metadata-file*) """
    f"""echo '{{"containerimage.digest": "{DIGEST}"}}' > metadata.json;; esac\n""",
    "cosign": "",
    "syft": "echo '{}' > sbom.json\n",
    "trivy": "",
    "helm": f"""case "$*" in *history*) echo '{json.dumps(HISTORY)}';; *" push "*) echo 'Digest: {DIGEST}';; """
    """*" test "*) exit "$SMOKE";; *package*) mkdir -p charts; touch charts/agentmem-0.1.0.tgz;; esac\n""",
}
"""What stands for each program does after it has noted how it was called; `SMOKE` is how tests of a release end."""
RESULTS = "name: stand-in\nruns:\n  using: composite\n  steps:\n    - shell: bash\n      run: {run}\n"


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What became of a run: its status, what was said, and how programs were called, in order."""

    status: int
    said: str
    calls: list[str]

    def called(self, beginning: str) -> list[str]:
        """Give the calls that begin so."""
        return [call for call in self.calls if call.startswith(beginning)]


def act(workflow: str, event: str, folder: Path, payload: Mapping[str, object], *, smoke: int = 0) -> Acted:
    """Run a workflow as an event starts it."""
    notes, programs, actions = folder / "notes", folder / "bin", folder / "actions"
    for place in (programs, actions):
        place.mkdir(parents=True, exist_ok=True)
    notes.write_text("")
    for name, does in PROGRAMS.items():
        program = programs / name
        program.write_text(f"#!/usr/bin/env bash\n{NOTE.format(name=name, notes=notes)}{does}")
        program.chmod(0o755)
    (folder / "event.json").write_text(json.dumps(payload))
    command: list[str | Path] = [
        *(tool("act"), event, "--workflows", WORKFLOWS / workflow, "--eventpath", folder / "event.json"),
        *("--no-cache-server", "--action-offline-mode", "--rm", "--secret", "GITHUB_TOKEN=none"),
        *("--var", "KUBE_SERVER=https://cluster", "--var", "KUBE_CA=pem", "--var", "SMOKE_URL=https://agentmem"),
        *("--env", "ACTIONS_ID_TOKEN_REQUEST_URL=https://tokens?a=b", "--env", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=none"),
        *("--env", f"HELM={programs / 'helm'}", "--env", f"COSIGN={programs / 'cosign'}"),
        *("--env", f"TOOLS={programs}", "--env", f"SMOKE={smoke}", "--env", f"KUBECONFIG={folder / 'kubeconfig'}"),
        *(part for name in ("ubuntu-24.04", "ubuntu-24.04-arm") for part in ("--platform", f"{name}=-self-hosted")),
    ]
    for name, commit in sorted(
        {found for file in WORKFLOWS.glob("*.yml") for found in ACTION.findall(file.read_text())}
    ):
        action = actions / name.replace("/", "-")
        action.mkdir(exist_ok=True)
        run = f"mkdir -p digests && echo {DIGEST} > digests/amd64" if "download" in name else "true"
        (action / "action.yml").write_text(RESULTS.format(run=run))
        command += ["--local-repository", f"{name}@{commit}={action}"]
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return Acted(status=done.returncode, said=done.stdout + done.stderr, calls=notes.read_text().splitlines())
