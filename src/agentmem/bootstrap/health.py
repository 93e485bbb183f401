"""Composition of what tells how a store is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agentmem.bootstrap.opened import Opened
from agentmem.features.memories.checking import MemoryChecking
from agentmem.features.memories.mending import MemoryMending
from agentmem.features.memories.service import MemoryService
from agentmem.foundation.database.embedded.layout import Layout
from agentmem.pipelines.health.doctor import Doctor
from agentmem.pipelines.health.info import Information
from agentmem.pipelines.ingestion.upkeep import Upkeep
from agentmem.settings import Settings


def make_doctor(opened: Opened, upkeep: Upkeep) -> Doctor:
    """Make what examines and repairs a store."""
    return Doctor(
        checking=partial(MemoryChecking.over, opened.database),
        mending=MemoryMending(database=opened.database),
        upkeep=upkeep.memories,
        models=opened.models,
        prepare=upkeep.prepare,
        caretaker=opened.caretaker,
        locks=opened.locks,
        closed=_closed_paths(opened.settings),
        guarded=() if opened.settings.database_url is not None else (opened.settings.data_directory,),
    )


def make_information(opened: Opened, memories: MemoryService) -> Information:
    """Make what describes a store."""
    return Information(
        settings=opened.settings,
        server=opened.server,
        caretaker=opened.caretaker,
        provider=opened.database.provider,
        models=opened.models,
        memories=memories,
        checking=MemoryChecking.over(opened.database),
    )


def _closed_paths(settings: Settings) -> tuple[Path, ...]:
    """Name what nobody but its owner may reach: the master key and, of an embedded server, its files."""
    layout = Layout(directory=settings.data_directory)
    embedded = () if settings.database_url is not None else (layout.cluster, layout.log.parent)
    return settings.master_key_file, *embedded
