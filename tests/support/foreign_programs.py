"""Programs of others that the tests speak to, from npm (`make foreign`)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.redis_server import free_port

FOLDER = Path(__file__).parent.parent / "npm"
needs_npm = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(), reason="needs node and `make foreign`"
)


def run_script(name: str, given: Mapping[str, object]) -> dict[str, str]:
    """Run a script to its end with a JSON document on its standard input, and read the one it writes."""
    done = subprocess.run(
        ["node", FOLDER / name], input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


class Provider:
    """An OpenID provider, which signs in whom the test says."""

    def __init__(self, issuer: str, redirect: str) -> None:
        self.issuer = issuer
        self._redirect = redirect

    def says(self, subject: str, *groups: str, **more: object) -> None:
        """Say who signs in next."""
        who = {"sub": subject, "name": f"{subject} of the provider", "groups": groups, **more}
        httpx.post(f"{self.issuer}/control", json=who, timeout=30).raise_for_status()

    def visit(self, address: str) -> httpx.QueryParams:
        """Go where a browser is sent, as a new browser, and give with what the provider sends it back."""
        with httpx.Client(timeout=30) as browser:
            while not address.startswith(self._redirect):
                answer = browser.get(address)
                assert answer.is_redirect, answer.text
                address = str(answer.url.join(answer.headers["Location"]))
        return httpx.URL(address).params


@contextmanager
def provider(redirect: str) -> Iterator[Provider]:
    """Start a provider that sends people back to one address."""
    port = free_port()
    process = subprocess.Popen(
        ["node", FOLDER / "provider.mjs", str(port), redirect],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield Provider(f"http://127.0.0.1:{port}", redirect)
    finally:
        process.kill()
        process.communicate()
