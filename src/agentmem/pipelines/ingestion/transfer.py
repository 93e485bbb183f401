"""Export and import as JSON Lines: a memory a line, with its history, without loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR
from itertools import islice
from typing import Final

from agentmem.errors import AgentMemError, ContentTooLarge, ImportFailed, InvalidInput
from agentmem.features.memories.model import texts_of
from agentmem.features.memories.transfer import MemoryTransfer
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.masking.classifier import Classifier
from agentmem.foundation.masking.rule import MaskingRule
from agentmem.kit.sound_json import read_json
from agentmem.pipelines.ingestion.drafts import DraftReader
from agentmem.pipelines.ingestion.masking import masked
from agentmem.pipelines.ingestion.pipeline import Draft, Ingestion, batches
from agentmem.schemas.base import check_json, parse
from agentmem.schemas.classification import highest
from agentmem.schemas.items import Attributes
from agentmem.schemas.memories import ExportedMemory, Imported, MemoryRecord, NewMemory, OnDuplicate, Origin, Scope

Progress = Callable[[int], None]
HINT: Final = "The batches before it are stored: mend the line and import again."
_ROOM: Final = 16
"""Contents of the longest sort that a line from a client has room for: an exported memory has all its versions."""
_FRAME: Final = 64 * 1024
_READ_IN_A_THREAD: Final = 256 * 1024

EXPORTED_TOGETHER: Final = 32
"""Memories of an export that are read together; each may be a megabyte, and have many versions."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Carries memories out of a store and into one."""

    stored: MemoryTransfer
    ingestion: Ingestion

    @property
    def longest_line(self) -> int:
        """How many bytes a line from a client may have; one that this process reads itself may be of any length."""
        return _ROOM * self.ingestion.content_limit + _FRAME

    async def export(self, caller: Caller, scope: Scope) -> AsyncIterator[ExportedMemory]:
        """Give the scope's memories in the order of their places, each read as it is when its batch is read."""
        after = -1
        while batch := await self.stored.read(caller, scope, after, EXPORTED_TOGETHER):
            for memory in batch:
                yield memory.exported
            after = batch[-1].place

    async def import_lines(
        self, caller: Caller, lines: AsyncIterator[str], attributes: Attributes, progress: Progress | None = None
    ) -> Imported:
        """Store what the lines hold, in batches; memories that are there already are passed over.

        What is no whole memory with its history has the origin ``import``. Raises :class:`ImportFailed` or
        :class:`ContentTooLarge` that names the line at fault; the batches before it are stored.
        """
        reader = DraftReader(attributes)
        importer = replace(caller, origin=Origin.IMPORT)
        imported = skipped = 0
        async for batch in batches(self._parsed(lines, reader)):
            drafts = [item for item in batch if isinstance(item, Draft)]
            exported = [item for item in batch if isinstance(item, ExportedMemory)]
            if drafts:
                added = await self.ingestion.add(importer, drafts)
                imported += len(added.memories) - len(added.duplicates)
                skipped += len(added.duplicates)
            if exported:
                stored = await self._restore(caller, exported)
                imported += stored
                skipped += len(exported) - stored
            if progress is not None:
                progress(len(batch))
        return Imported(imported=imported, skipped=skipped)

    async def _restore(self, caller: Caller, exported: Sequence[ExportedMemory]) -> int:
        by_id = {memory.versions[-1].memory.id: memory for memory in exported}
        unknown = await self.stored.unknown(caller, list(by_id))
        wanted = [memory for memory_id, memory in by_id.items() if memory_id in unknown]
        rule = await self.ingestion.rules.masking(caller.organization_id)
        if rule.policy.stored:
            wanted = [_masked(memory, rule) for memory in wanted]
        classifier = await self.ingestion.rules.classification(caller.organization_id)
        wanted = [_classified(memory, classifier) for memory in wanted]
        texts = [_texts(memory) for memory in wanted]
        drafts = [draft for some in texts for draft in some]
        prepared = iter(await self.ingestion.prepare_or_defer(caller, drafts) if drafts else [])
        return await self.stored.write(
            caller, [(memory, list(islice(prepared, len(some)))) for memory, some in zip(wanted, texts, strict=True)]
        )

    async def _parsed(self, lines: AsyncIterator[str], reader: DraftReader) -> AsyncIterator[Draft | ExportedMemory]:
        number = 0
        async for line in lines:
            number += 1
            if not isinstance(line, str):
                raise ImportFailed(f"Line {number} is not text but {type(line).__name__}.", hint=HINT)
            if len(line) >= _READ_IN_A_THREAD:  # a long line must not hold up the requests beside it
                yield await asyncio.to_thread(self._parse_line, number, line, reader)
            elif line.strip():
                yield self._parse_line(number, line, reader)

    def _parse_line(self, number: int, line: str, reader: DraftReader) -> Draft | ExportedMemory:
        try:
            return self._checked(_read_value(read_json(line, "line"), reader))
        except ContentTooLarge as error:
            raise ContentTooLarge(f"Line {number}: {error.message}", hint=HINT) from None
        except (AgentMemError, ValueError) as error:
            reason = error.message if isinstance(error, AgentMemError) else str(error)
            raise ImportFailed(f"Line {number}: {reason}", hint=HINT) from None

    def _checked(self, item: Draft | ExportedMemory) -> Draft | ExportedMemory:
        if isinstance(item, Draft):
            self.ingestion.check_size(item.new.content)
            self.ingestion.check_expiry(item.new.expires_at)
        else:
            for version in item.versions:
                self.ingestion.check_size(version.memory.content)
        return item


def _masked(exported: ExportedMemory, rule: MaskingRule) -> ExportedMemory:
    versions = [version.model_copy(update={"memory": masked(version.memory, rule)}) for version in exported.versions]
    return exported.model_copy(update={"versions": versions})


def _classified(exported: ExportedMemory, classifier: Classifier) -> ExportedMemory:
    """Give all versions of a memory the highest of their classes, and of what the rules say."""
    records = [version.memory for version in exported.versions]
    wanted = {"classification": highest(classifier.ruled(record, record.origin) for record in records)}
    versions = [
        version.model_copy(update={"memory": version.memory.model_copy(update=wanted)}) for version in exported.versions
    ]
    return exported.model_copy(update={"versions": versions})


def _texts(exported: ExportedMemory) -> list[Draft]:
    """Make drafts of all that a memory has said, oldest first: what its index needs."""
    texts = texts_of(version.memory for version in exported.versions)
    return [_draft(versions[-1], exported.thread) for versions in texts]


def _read_value(value: object, reader: DraftReader) -> Draft | ExportedMemory:
    if isinstance(value, dict) and "versions" in value:
        check_json(value)
        return _sound(parse(ExportedMemory, value))
    if not isinstance(value, dict | str):
        raise InvalidInput("it is neither an object nor a string.")
    return reader.read(value)


def _sound(exported: ExportedMemory) -> ExportedMemory:
    """Check what the types do not say: one memory, versions 1 to n, content that may be stored."""
    records = [version.memory for version in exported.versions]
    if len({record.id for record in records}) != 1:
        raise InvalidInput("its versions belong to several memories.")
    if [record.version for record in records] != list(range(1, len(records) + 1)):
        raise InvalidInput("its versions are not numbered from 1.")
    if any(record.updated_at.year == MAXYEAR for record in records):
        raise InvalidInput(f"its versions are of the year {MAXYEAR}: none could follow them.")
    for record in records:
        _draft(record, 0)
    return exported


def _draft(record: MemoryRecord, thread: int) -> Draft:
    fields = record.model_dump(include=set(NewMemory.model_fields), exclude={"expires_at"})
    return Draft(new=parse(NewMemory, fields), thread=thread, on_duplicate=OnDuplicate.KEEP)
