"""Commands that administer an installation: they open it beside a running server, as its local operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from agentmem.entrypoints.cli.session import invocation
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.telemetry.logs import set_up_logs
from agentmem.kit.ids import OrganizationId
from agentmem.settings import Settings

if TYPE_CHECKING:
    from agentmem.bootstrap import App

Result = TypeVar("Result")

Organization = Annotated[
    UUID | None,
    typer.Option("--organization", metavar="ID", help="Of this organization; else that of AGENTMEM_ORGANIZATION."),
]


def administer(context: typer.Context, work: Callable[[App], Awaitable[Result]]) -> Result:
    """Open the installation, do the work, and close it; errors end the program as :meth:`Invocation.guarded` says."""
    run = invocation(context)
    with run.guarded():
        settings = Settings.load(**run.given)
        set_up_logs(settings.log_level)
        return asyncio.run(_open(settings, work))


def acting_for(app: App, organization: UUID | None) -> Caller:
    """Give the local operator of an organization, by default of the one that the settings name."""
    return app.caller if organization is None else replace(app.caller, organization_id=OrganizationId(organization))


async def _open(settings: Settings, work: Callable[[App], Awaitable[Result]]) -> Result:
    # Loaded only here, so that help and completion load no model and no database.
    async with import_module("agentmem.bootstrap").open_app(settings, background=False) as app:
        return await work(app)
