"""The composition root: from settings to a running application; the only module that picks adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Protocol, TypeVar

from agentmem.bootstrap.app import App
from agentmem.bootstrap.care import open_doctor, open_information
from agentmem.bootstrap.keys import open_custody, open_database
from agentmem.bootstrap.models import first_model, open_reranking
from agentmem.bootstrap.opened import Opened
from agentmem.bootstrap.people import open_accounts, open_factors, open_people, open_single
from agentmem.bootstrap.stores import attach, open_replica
from agentmem.features.audit.service import AuditService
from agentmem.features.identity.request_keys.service import RequestKeyService
from agentmem.features.identity.service import ApiKeyService
from agentmem.features.identity.usage import KeyUsage
from agentmem.features.jobs.service import JobService
from agentmem.features.memories.batches import MemoryBatches
from agentmem.features.memories.entities import Entities
from agentmem.features.memories.graph import VectorGraph
from agentmem.features.memories.near_duplicates import NearDuplicates
from agentmem.features.memories.searching import MemorySearch
from agentmem.features.memories.service import MemoryService
from agentmem.features.memories.transfer import MemoryTransfer
from agentmem.features.memories.upkeep import MemoryUpkeep
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.networks import NetworkService
from agentmem.features.organizations.platform import PlatformService
from agentmem.features.organizations.policies import PolicyService
from agentmem.features.organizations.rules import Rules
from agentmem.features.organizations.service import OrganizationService
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import organization_id_of
from agentmem.foundation.database.probe import DatabaseProbe
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.inference.open import open_model
from agentmem.foundation.inference.shared import SharedQueries
from agentmem.foundation.jobs.drain import Drains
from agentmem.foundation.jobs.model import Work
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.foundation.jobs.worker import Worker
from agentmem.foundation.ledger.requests import IdempotentRequests
from agentmem.foundation.mail.open import open_mailer
from agentmem.foundation.outbound.open import open_fetcher, open_sender
from agentmem.foundation.state.open import open_state
from agentmem.foundation.telemetry.watchers import Watchers
from agentmem.kit.clock import utc_now
from agentmem.pipelines.accounts.parts import open_passwords
from agentmem.pipelines.administration.instances import Instances
from agentmem.pipelines.administration.platform import Platform
from agentmem.pipelines.administration.sweeper import Step, Sweeper
from agentmem.pipelines.admission.acting import Acting
from agentmem.pipelines.admission.admission import Admission
from agentmem.pipelines.admission.installation import InstallationNetworks
from agentmem.pipelines.admission.issuing import Issuing
from agentmem.pipelines.admission.metering import Meter
from agentmem.pipelines.admission.quotas import RateLimits
from agentmem.pipelines.admission.signatures import Signatures
from agentmem.pipelines.consolidation.duplicates import Duplicates
from agentmem.pipelines.disclosure.disclosure import Disclosure
from agentmem.pipelines.events.parts import Events
from agentmem.pipelines.health.guards import Guards
from agentmem.pipelines.ingestion.batches import Batches
from agentmem.pipelines.ingestion.pipeline import Ingestion
from agentmem.pipelines.ingestion.transfer import Transfer
from agentmem.pipelines.ingestion.upkeep import FIRST_LOOK, NEXT_LOOK, Upkeep
from agentmem.pipelines.retrieval.embeddings import QueryEmbeddings
from agentmem.pipelines.retrieval.pipeline import Retrieval
from agentmem.settings import Settings

__all__ = ["App", "open_app"]

Result = TypeVar("Result")


class HasWorks(Protocol):
    """Has kinds of jobs, and what does them."""

    def works(self) -> Sequence[Work]:
        """Give them."""
        ...


class HasSchedules(Protocol):
    """Has rounds that are made again and again."""

    def schedules(self) -> Sequence[Schedule]:
        """Give them."""
        ...


@asynccontextmanager
async def open_app(
    settings: Settings, *, background: bool = True, watchers: Watchers | None = None
) -> AsyncIterator[App]:
    """Open everything that the settings name, and close it at the end; several may be open in one process.

    ``background`` work is done for the settings' organization; a server, which has many, runs ``App.worker``.
    """
    async with AsyncExitStack() as stack:
        app = _assemble(await _open(stack, settings, watchers or Watchers()))
        stack.push_async_callback(app.admission.aclose)
        await app.upkeep.follow(app.caller)
        if background:
            stack.push_async_callback(_discard, asyncio.create_task(_work_behind(app)))
        yield app


async def _open(stack: AsyncExitStack, settings: Settings, watchers: Watchers) -> Opened:
    """Open what has to be closed again; the stack closes it."""
    guards = Guards.of(settings, watchers.dependencies)
    reranking = open_reranking(settings, guards.reranker)
    if reranking is not None:
        stack.push_async_callback(reranking.reranker.aclose)
    loading = asyncio.create_task(open_model(settings, guards.embedder, settings.embedding_model))
    stack.push_async_callback(_discard, loading)
    server = await asyncio.to_thread(attach, settings)
    stack.push_async_callback(asyncio.to_thread, server.detach)
    database = await open_database(stack, settings, guards, server)
    replica = open_replica(settings, database, guards.replica)
    if replica is not None:
        stack.push_async_callback(replica.close)
    caller = local_operator(organization_id_of(settings.organization))
    await OrganizationService(database=database).register(caller, settings.organization)
    first = await first_model(loading, MemoryUpkeep(database=database), caller)
    models = Models(first, partial(open_model, settings, guards.embedder))
    stack.push_async_callback(models.aclose)
    state = open_state(settings, guards.redis, fell_back=watchers.fell_back)
    stack.push_async_callback(state.aclose)
    passwords = open_passwords(settings)
    stack.push_async_callback(passwords.aclose)
    sender, fetcher = open_sender(settings), open_fetcher(settings)
    for outbound in (sender, fetcher):
        if outbound is not None:
            stack.push_async_callback(outbound.aclose)
    shared = None if settings.redis_url is None else SharedQueries(state=state, keys=database.keys)
    embeddings = QueryEmbeddings(shared=shared, embedded=partial(watchers.embedded, "query"))
    stack.push_async_callback(embeddings.aclose)
    return Opened(
        settings=settings,
        caller=caller,
        database=database,
        searches=replica or database,
        server=server,
        models=models,
        state=state,
        passwords=passwords,
        embeddings=embeddings,
        reranking=reranking,
        rules=Rules(PolicyService(database=database)),
        sender=sender,
        fetcher=fetcher,
        mailer=open_mailer(settings, guards.mail),
        watchers=watchers,
        guards=guards,
    )


def _assemble(opened: Opened) -> App:
    settings, database, models = opened.settings, opened.database, opened.models
    kept = timedelta(hours=settings.idempotency_hours)
    requests, upkeep = IdempotentRequests(database=database, kept=kept), _upkeep(opened, kept)
    members, audit = MemberService(database=database), AuditService(database=database)
    platform, issuing = _platform(opened, members, upkeep), _issuing(opened, members)
    accounts, custody = open_accounts(opened), open_custody(opened, requests)
    factors = open_factors(opened, members, issuing.admission.people, accounts)
    jobs = JobService(database=database, kept=timedelta(days=settings.job_days))
    events = Events.over(database, opened.state, opened.sender, settings)
    steps: tuple[Step, ...] = (custody.rotation.look_after, upkeep.look_after, audit.seal, issuing.expire_unused)
    steps += (requests.sweep, jobs.sweep, events.sweep, accounts.keeping.forget_traces, factors.signing_in.sweep)
    sweeper = Sweeper(steps=steps, platform=platform, seconds=settings.sweep_seconds)
    return App(
        settings=settings,
        caller=opened.caller,
        database=database,
        server=opened.server,
        probe=DatabaseProbe.of(database),
        models=models,
        state=opened.state,
        guards=opened.guards,
        members=members,
        accounts=accounts,
        single=open_single(opened, members, accounts, factors.signing_in),
        factors=factors,
        platform=platform,
        issuing=issuing,
        admission=issuing.admission,
        signatures=Signatures(state=opened.state),
        requests=requests,
        audit=audit,
        disclosure=Disclosure(rules=opened.rules, audit=audit),
        entities=Entities(database=database),
        memories=upkeep.ingestion.memories,
        batches=Batches(stored=MemoryBatches(database=database), ingestion=upkeep.ingestion),
        duplicates=Duplicates(stored=NearDuplicates(database=database)),
        ingestion=upkeep.ingestion,
        transfer=Transfer(stored=MemoryTransfer(database=database), ingestion=upkeep.ingestion),
        retrieval=_retrieval(opened),
        upkeep=upkeep,
        doctor=open_doctor(opened, upkeep),
        information=open_information(opened, upkeep.ingestion.memories),
        events=events,
        sweeper=sweeper,
        jobs=jobs,
        instances=Instances.over(database),
        worker=_worker(opened, members, (upkeep, events, accounts, custody), (sweeper, custody)),
        custody=custody,
    )


def _upkeep(opened: Opened, kept: timedelta) -> Upkeep:
    return Upkeep(
        memories=MemoryUpkeep(database=opened.database, kept=kept),
        graph=VectorGraph(database=opened.database),
        models=opened.models,
        ingestion=_ingestion(opened, MemoryService(database=opened.database, kept=kept)),
        caretaker=opened.caretaker,
        database=opened.database,
    )


def _ingestion(opened: Opened, memories: MemoryService) -> Ingestion:
    return Ingestion(
        memories=memories,
        models=opened.models,
        rules=opened.rules,
        clock=utc_now,
        content_limit=opened.settings.content_limit,
        embedded=partial(opened.watchers.embedded, "documents"),
    )


def _retrieval(opened: Opened) -> Retrieval:
    return Retrieval(
        search_operation=MemorySearch(database=opened.searches),
        models=opened.models,
        rules=opened.rules,
        clock=utc_now,
        embeddings=opened.embeddings,
        reranking=opened.reranking,
    )


def _worker(
    opened: Opened, members: MemberService, working: Sequence[HasWorks], planned: Sequence[HasSchedules]
) -> Worker:
    works = [work for each in working for work in each.works()]
    drains = Drains(
        database=opened.database,
        works={work.kind.name: work for work in works},
        authorize=Acting(members=members).authorize,
        ended=opened.watchers.job_ended,
    )
    return Worker(
        database=opened.database,
        drains=drains,
        schedules=[schedule for each in planned for schedule in each.schedules()],
        due=opened.watchers.jobs_due,
        at_once=opened.settings.jobs_at_once,
        grace=opened.settings.shutdown_seconds,
    )


def _platform(opened: Opened, members: MemberService, upkeep: Upkeep) -> Platform:
    return Platform(
        service=PlatformService(database=opened.database),
        organizations=OrganizationService(database=opened.database),
        members=members,
        upkeep=upkeep.memories,
        models=opened.models,
        caretaker=opened.caretaker,
        database=opened.database,
    )


def _issuing(opened: Opened, members: MemberService) -> Issuing:
    keys, signers = ApiKeyService(database=opened.database), RequestKeyService(database=opened.database)
    admission = Admission(
        keys=keys,
        signers=signers,
        members=members,
        database=opened.database,
        state=opened.state,
        limits=RateLimits.of(opened.settings),
        meter=Meter(KeyUsage(database=opened.database), opened.state),
        installation=InstallationNetworks(NetworkService(database=opened.database)),
        people=open_people(opened, members),
        lookups=max(1, opened.settings.pool_size // 2),
        failed=opened.watchers.failed,
        limited=opened.watchers.rate_limited,
    )
    return Issuing(
        keys=keys,
        signers=signers,
        members=members,
        admission=admission,
        state=opened.state,
        default_days=opened.settings.key_days,
    )


async def _work_behind(app: App) -> None:
    """Do the jobs of one organization, and keep its store in shape; what is cut off at the end goes on elsewhere."""
    await asyncio.sleep(FIRST_LOOK)
    queue = str(app.caller.organization_id)
    look_after = partial(app.upkeep.look_after, app.caller)
    own = Schedule(name=f"upkeep of {queue}", seconds=NEXT_LOOK, run=look_after, queue=queue)
    worker = replace(app.worker, queues=[queue], schedules=(own,), grace=0.0)
    async with asyncio.TaskGroup() as together:
        together.create_task(app.upkeep.keep_following(app.caller))
        together.create_task(worker.run())


async def _discard(task: asyncio.Task[Result]) -> None:
    """Do not leave a task behind: the loading of a model when opening fails elsewhere, or work in the background."""
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
