"""Write docs/reference/{errors,settings,cli,rest}.md and openapi.json from the code; --check says what is old."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.main import get_command
from typer.testing import CliRunner

from agentmem import errors
from agentmem.entrypoints.api.application import create_routes
from agentmem.entrypoints.api.openapi import operations
from agentmem.entrypoints.api.serving import Served
from agentmem.entrypoints.cli.main import app
from agentmem.settings import Settings

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
GENERATED = "<!-- Written by `make docs` from the code; change it there. -->\n"
BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def cell(text: str) -> str:
    """Make a text fit into one cell of a table."""
    return " ".join(text.replace("|", "\\|").split()) or " "


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Draw a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell(text) for text in line) + " |\n" for line in lines)


def error_rows() -> Iterator[tuple[str, ...]]:
    """Give a row for each error, in the order of their declaration."""
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.AgentMemError):
            retry = "yes" if value.retryable else "no"
            base = value.__base__.__name__ if value.__base__ is not None else ""
            yield f"`{name}`", f"`{value.code}`", str(value.status), retry, f"`{base}`", inspect.getdoc(value) or ""


def errors_page() -> str:
    """Describe the error tree."""
    return (
        f"# Errors\n\n{GENERATED}\n"
        "All errors are classes of `agentmem.errors`. Catch `AgentMemError` to catch them all, or a class above the\n"
        "one you mean to catch its kind. `code` is stable; `status` is the HTTP status it becomes; *retry* says\n"
        "whether the same call may succeed later without a change.\n\n"
        + table(("Error", "`code`", "`status`", "Retry", "Is a", "When"), error_rows())
    )


def type_name(field: FieldInfo) -> str:
    """Say what a setting holds, with its bounds."""
    kind = inspect.formatannotation(field.annotation).replace("pathlib.", "").replace("pydantic.types.", "")
    kind = kind.replace("typing.", "").replace(SecretStr.__name__, "secret").replace("'", "`")
    bounds = [
        f"{words} {getattr(rule, name)}"
        for rule in field.metadata
        for name, words in BOUNDS.items()
        if hasattr(rule, name)
    ]
    return ", ".join([kind, *bounds])


def default_of(field: FieldInfo) -> str:
    """Say what holds when nothing is set."""
    if field.default_factory is not None:
        return "depends on the system"
    if field.default is None or field.default is PydanticUndefined:
        return "required" if field.is_required() else "not set"
    return f"`{field.default}`"


def settings_rows() -> Iterator[tuple[str, ...]]:
    """Give a row for each setting, in the order of their declaration."""
    prefix = Settings.model_config.get("env_prefix", "")
    for name, field in Settings.model_fields.items():
        yield f"`{name}`", f"`{prefix}{name.upper()}`", type_name(field), default_of(field), field.description or ""


def settings_page() -> str:
    """Describe every setting."""
    return (
        f"# Settings\n\n{GENERATED}\n"
        "Every setting is read from its environment variable once, when a store is opened; a keyword argument of\n"
        "`Memory` or `AsyncMemory` with the setting's name goes before it. A secret may stand in a file instead:\n"
        "then its variable with `_FILE` behind it names the file (`AGENTMEM_REDIS_URL_FILE=/run/secrets/redis`).\n\n"
        + table(("Setting", "Variable", "Holds", "Default", "Meaning"), settings_rows())
    )


def command_names(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give the path of every command: a group first, then what is in it."""
    yield path
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        if not inner.hidden:
            yield from command_names(inner, (*path, name))


def cli_page() -> str:
    """Show the help of every command."""
    app.rich_markup_mode = None  # plain text, without boxes
    sections = []
    for path in command_names(get_command(app)):
        shown = CliRunner().invoke(
            app, [*path, "--help"], prog_name="agentmem", env={"COLUMNS": "100", "NO_COLOR": "1"}
        )
        text = "\n".join(line.rstrip() for line in shown.output.strip().splitlines())
        sections.append(f"## {' '.join(['agentmem', *path])}\n\n```text\n{text}\n```\n")
    return f"# Command line\n\n{GENERATED}\n" + "\n".join(sections)


def api_document() -> dict[str, Any]:
    """Write the OpenAPI document; it needs the settings of a server, and nothing that runs."""
    served = SimpleNamespace(app=SimpleNamespace(settings=Settings.model_construct()))
    return create_routes(cast("Served", served)).openapi()


def openapi_page() -> str:
    """Give the OpenAPI document as it is kept."""
    return json.dumps(api_document(), indent=1, ensure_ascii=False) + "\n"


def operation_rows(document: dict[str, Any], tag: str) -> Iterator[tuple[str, ...]]:
    """Give a row for each operation of a group."""
    for method, path, operation in operations(document):
        if tag in operation["tags"]:
            permission = operation.get("x-agentmem-permission") or "no key"
            cost = str(operation.get("x-agentmem-cost", 0))
            yield f"`{method.upper()} {path}`", f"`{operation['operationId']}`", permission, cost, operation["summary"]


def rest_page() -> str:
    """List every operation of the server."""
    document = api_document()
    head = ("Request", "Operation", "Permission", "Cost", "What it does")
    sections = [
        f"## {tag['name'].capitalize()}\n\n{tag['description']}\n\n{table(head, operation_rows(document, tag['name']))}"
        for tag in document["tags"]
    ]
    return (
        f"# REST\n\n{GENERATED}\n{document['info']['description']}\n"
        "The whole document, with every field, is [openapi.json](openapi.json); a server gives it at `/openapi.json`.\n"
        "*Permission* is what the key must hold (`any`: every valid key may), *cost* what a request takes of the rate\n"
        "limits.\n\n" + "\n".join(sections)
    )


PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors_page,
    "settings.md": settings_page,
    "cli.md": cli_page,
    "rest.md": rest_page,
    "openapi.json": openapi_page,
}


def main(arguments: list[str]) -> None:
    """Write the pages, or check them."""
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(f"docs/reference/{name}")
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.exit(f"out of date: {', '.join(stale)}; run `make docs`")


if __name__ == "__main__":
    main(sys.argv[1:])
