"""The page on the Python client lists every method that the library does not have, with its arguments."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from agentmem import AsyncClient, AsyncMemory
from agentmem.client import namespaces_async as parts
from agentmem.client.privacy_async import AsyncPrivacy
from agentmem.client.webhooks_async import AsyncWebhooks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "client.md"
ROW = re.compile(r"^\| `([\w.]+)\((.*?)\)` \|", re.MULTILINE)
PARTS = {
    "audit": parts.AsyncAudit,
    "jobs": parts.AsyncJobs,
    "keys": parts.AsyncKeys,
    "members": parts.AsyncMembers,
    "organization": parts.AsyncOwnOrganization,
    "platform": parts.AsyncPlatform,
    "privacy": AsyncPrivacy,
    "webhooks": AsyncWebhooks,
}


def arguments(method: object) -> str:
    """Write a method's parameters as the page does: their names, with the stars."""
    written: list[str] = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:  # type: ignore[arg-type]
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in written:
            written.append("*")
        written.append(f"**{parameter.name}" if parameter.kind is parameter.VAR_KEYWORD else parameter.name)
    return ", ".join(written)


def methods(face: type) -> dict[str, str]:
    """Give the public methods of a class with their arguments."""
    return {
        name: arguments(value)
        for name, value in vars(face).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_every_method_of_the_client_alone_is_listed_with_its_arguments() -> None:
    own = {name: taken for name, taken in methods(AsyncClient).items() if not hasattr(AsyncMemory, name)}
    theirs = {f"{part}.{name}": taken for part, face in PARTS.items() for name, taken in methods(face).items()}

    assert dict(ROW.findall(PAGE.read_text(encoding="utf-8"))) == {**own, **theirs}


def test_every_argument_of_the_client_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert listed == list(inspect.signature(AsyncClient).parameters)
