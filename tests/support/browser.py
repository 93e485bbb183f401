"""Chromium without a screen, driven over its DevTools protocol, with an authenticator that holds passkeys."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.patience import PATIENCE

Json = dict[str, Any]
_LISTENS = re.compile(r"DevTools listening on (ws://\S+)")
_LOADED = "async () => { while (document.readyState != 'complete') await new Promise(r => setTimeout(r, 20)); }"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@dataclass(kw_only=True)
class Page:
    """One page of the browser."""

    connection: ClientConnection
    session: str | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def ask(self, method: str, **parameters: object) -> Json:
        """Send a command, and give its result; whatever else the browser tells meanwhile is dropped."""
        number = next(self._numbers)
        command: Json = {"id": number, "method": method, "params": parameters}
        if self.session is not None:
            command["sessionId"] = self.session
        self.connection.send(json.dumps(command))
        while (answer := json.loads(self.connection.recv(timeout=PATIENCE))).get("id") != number:
            pass
        assert "error" not in answer, answer
        result: Json = answer["result"]
        return result

    def run(self, script: str, *arguments: object) -> Any:
        """Call an asynchronous function of JavaScript with these arguments, and give what it returns."""
        expression = f"({script})(...{json.dumps(arguments)})"
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


@contextmanager
def page_at(url: str, profile: Path) -> Iterator[Page]:
    """Open a page in a browser of its own, whose device has an authenticator that verifies its user."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium: make services")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    command = [chromium, *options, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as browser:
        try:
            with connect(_address(browser), max_size=None, open_timeout=PATIENCE, proxy=None) as connection:
                whole = Page(connection=connection)
                target = whole.ask("Target.createTarget", url="about:blank")["targetId"]
                session = whole.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
                page = Page(connection=connection, session=session)
                page.ask("WebAuthn.enable")
                page.ask("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
                page.ask("Page.enable")
                page.ask("Page.navigate", url=url)
                page.run(_LOADED)
                yield page
        finally:
            browser.kill()


def _address(browser: subprocess.Popen[str]) -> str:
    assert browser.stderr is not None
    for line in browser.stderr:
        if found := _LISTENS.search(line):
            return found[1]
    raise AssertionError("the browser has ended before it listened")
