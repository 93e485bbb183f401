"""Services that hold master keys: moto's KMS, a token of SoftHSM, and a fake of Vault."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pkcs11
import pytest
from pydantic import SecretStr

from agentmem.foundation.encryption.providers.pkcs11 import HsmKeyProvider
from tests.support.embedded_server import wait_until

SOFTHSM = next(
    (path for path in map(Path, (
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    )) if path.exists()),
    None,
)  # fmt: skip
TOKEN, PIN, LABEL = "agentmem-test", "1234-of-this-test", "agentmem"


def hsm() -> HsmKeyProvider:
    """A provider over the token of SoftHSM."""
    assert SOFTHSM is not None
    return HsmKeyProvider.open(SOFTHSM, token=TOKEN, pin=SecretStr(PIN), label=LABEL)


@pytest.fixture(scope="session")
def hsm_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A token of SoftHSM; one for a whole run, for a program loads the library once, with the tokens of that moment."""
    if SOFTHSM is None or shutil.which("softhsm2-util") is None:
        pytest.skip("needs SoftHSM: make services")
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "0000"],
        check=True,
        capture_output=True,
    )
    yield
    del os.environ["SOFTHSM2_CONF"]


@contextmanager
def master_key_disabled() -> Iterator[None]:
    """The master keys of the token, of no use for a while, as an operator would see to at the module."""
    _allow(use=False)
    try:
        yield
    finally:
        _allow(use=True)


def _allow(*, use: bool) -> None:
    with pkcs11.lib(str(SOFTHSM)).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN) as session:
        for key in session.get_objects({pkcs11.Attribute.LABEL: LABEL}):
            key[pkcs11.Attribute.DECRYPT] = use


@contextmanager
def serving_aws() -> Iterator[str]:
    """Moto's server, which speaks as AWS does, and credentials that it takes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    given = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ.update(given)
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: _answers(url), seconds=60)
            yield url
        finally:
            server.terminate()
            for name in given:
                del os.environ[name]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
