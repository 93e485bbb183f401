"""The documentation page needs nobody but the server: no foreign address, no inline script, no evaluation."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import agentmem
from agentmem import AsyncMemory
from tests.support.embedded_server import is_down, wait_until
from tests.support.served import client
from tests.support.servers import servers

ASSETS = Path(agentmem.__file__).parent / "entrypoints" / "api" / "assets"
REFERENCE = re.compile(r"(?:src|href)=\"([^\"]+)\"")


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
async def test_page_asks_its_own_server_only(memory: AsyncMemory, path: str) -> None:
    async with client(memory.app, None) as opened:
        page = await opened.get(path)
        assert page.status_code == 200
        assert "'unsafe" not in page.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", page.text)
        named = REFERENCE.findall(page.text)
        assert len(named) >= 2
        for reference in named:
            if reference != "data:,":
                assert reference.startswith("/docs/assets/")
                asset = await opened.get(reference)
                assert asset.status_code == 200
                assert asset.headers["content-type"].split(";")[0] in {"text/css", "text/javascript"}


async def test_files_of_the_page_are_given_compressed_to_those_who_read_that(memory: AsyncMemory) -> None:
    async with client(memory.app, None) as opened:
        plain = await opened.get("/docs/assets/swagger-ui.css", headers={"Accept-Encoding": "identity"})
        packed = await opened.get("/docs/assets/swagger-ui.css", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.text == packed.text
    assert int(packed.headers["content-length"]) < len(plain.content) / 4


async def test_page_validates_nothing_at_somebody_elses_server(memory: AsyncMemory) -> None:
    async with client(memory.app, None) as opened:
        start = await opened.get("/docs/assets/start.js")
        document = await opened.get("/openapi.json")
    assert "validatorUrl: null" in start.text
    assert '"/openapi.json"' in start.text
    assert document.json()["openapi"].startswith("3.1")


async def test_every_error_has_its_place_on_the_page_of_errors(memory: AsyncMemory) -> None:
    async with client(memory.app, None) as opened:
        problem = (await opened.get("/nowhere")).json()
        path, _, anchor = problem["type"].partition("#")
        assert f'id="{anchor}"' in (await opened.get(path)).text


async def test_docs_can_be_switched_off(memory: AsyncMemory) -> None:
    settings = memory.app.settings.model_copy(update={"docs": False})
    async with client(replace(memory.app, settings=settings), None) as opened:
        assert (await opened.get("/docs")).status_code == 404


def test_browser_shows_the_page_and_refuses_nothing_of_it(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium: make services")
    with servers(tmp_path / "data", 1, drain_seconds="0") as (server,):
        seen = subprocess.run(
            [
                chromium,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--enable-logging=stderr",
                "--virtual-time-budget=10000",
                "--dump-dom",
                f"{server.url}/docs",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "/v1/memories/search" in seen.stdout.replace("\u200b", "").replace("<wbr>", "")
        assert "CONSOLE" not in seen.stderr
    wait_until(lambda: is_down(tmp_path / "data"))


def test_scripts_of_the_page_carry_no_source_maps() -> None:
    for name in ("swagger-ui-bundle.js.gz", "swagger-ui.css.gz"):
        assert b"sourceMappingURL" not in gzip.decompress((ASSETS / name).read_bytes())[-500:]
