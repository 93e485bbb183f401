"""A running AgentMem: everything that an entrypoint calls."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.bootstrap.keys import Custody
from agentmem.features.audit.service import AuditService
from agentmem.features.identity.service import ApiKeyService
from agentmem.features.identity.usage import KeyUsage
from agentmem.features.jobs.service import JobService
from agentmem.features.memories.batches import MemoryBatches
from agentmem.features.memories.entities import Entities
from agentmem.features.memories.quota import Usage
from agentmem.features.memories.rolling_back import MemoryRollback
from agentmem.features.memories.service import MemoryService
from agentmem.features.memories.trust import MemoryTrust
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.networks import NetworkService
from agentmem.features.organizations.rules import Rules
from agentmem.features.organizations.service import OrganizationService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.connect import Server
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.database.probe import DatabaseProbe
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.jobs.worker import Worker
from agentmem.foundation.ledger.requests import IdempotentRequests
from agentmem.foundation.state.lock import Locks
from agentmem.foundation.state.port import State
from agentmem.pipelines.accounts.parts import Accounts
from agentmem.pipelines.administration.instances import Instances
from agentmem.pipelines.administration.platform import Platform
from agentmem.pipelines.administration.sweeper import Sweeper
from agentmem.pipelines.admission.admission import Admission
from agentmem.pipelines.admission.issuing import Issuing
from agentmem.pipelines.admission.signatures import Signatures
from agentmem.pipelines.consolidation.duplicates import Duplicates
from agentmem.pipelines.disclosure.disclosure import Disclosure
from agentmem.pipelines.events.parts import Events
from agentmem.pipelines.health.doctor import Doctor
from agentmem.pipelines.health.guards import Guards
from agentmem.pipelines.health.info import Information
from agentmem.pipelines.ingestion.batches import Batches
from agentmem.pipelines.ingestion.pipeline import Ingestion
from agentmem.pipelines.ingestion.transfer import Transfer
from agentmem.pipelines.ingestion.trusting import Trusting
from agentmem.pipelines.ingestion.upkeep import Upkeep
from agentmem.pipelines.retrieval.pipeline import Retrieval
from agentmem.pipelines.signing_in.by_factor import FactorFlows
from agentmem.pipelines.signing_in.pipeline import SigningIn
from agentmem.pipelines.signing_in.single import SingleSignOn
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True)
class App:
    """A running AgentMem: what an entrypoint calls."""

    settings: Settings
    caller: Caller
    database: Database
    server: Server
    probe: DatabaseProbe
    models: Models
    state: State
    guards: Guards
    members: MemberService
    accounts: Accounts
    single: SingleSignOn
    factors: FactorFlows
    platform: Platform
    issuing: Issuing
    admission: Admission
    signatures: Signatures
    requests: IdempotentRequests
    audit: AuditService
    disclosure: Disclosure
    entities: Entities
    memories: MemoryService
    batches: Batches
    duplicates: Duplicates
    ingestion: Ingestion
    transfer: Transfer
    retrieval: Retrieval
    upkeep: Upkeep
    doctor: Doctor
    information: Information
    events: Events
    sweeper: Sweeper
    jobs: JobService
    instances: Instances
    worker: Worker
    custody: Custody

    @property
    def signing_in(self) -> SigningIn:
        """What opens sessions, refreshes and ends them."""
        return self.factors.signing_in

    @property
    def keys(self) -> ApiKeyService:
        """Operations on API keys."""
        return self.issuing.keys

    @property
    def caretaker(self) -> Caretaker:
        """What looks after the database itself."""
        return Caretaker(server=self.server)

    @property
    def key_usage(self) -> KeyUsage:
        """Operations on what API keys were used for."""
        return KeyUsage(database=self.database)

    @property
    def usage(self) -> Usage:
        """Operations on what organizations have stored."""
        return Usage(database=self.database)

    @property
    def networks(self) -> NetworkService:
        """Operations on the networks that requests may come from."""
        return NetworkService(database=self.database)

    @property
    def locks(self) -> Locks:
        """Locks over the shared state."""
        return Locks(state=self.state, database=self.database)

    @property
    def organizations(self) -> OrganizationService:
        """Operations on the caller's organization."""
        return self.platform.organizations

    @property
    def rules(self) -> Rules:
        """The policies of organizations about texts, reads and origins."""
        return self.disclosure.rules

    @property
    def trusting(self) -> Trusting:
        """Everything about how far memories are trusted."""
        trust, stored = MemoryTrust(database=self.database), MemoryRollback(database=self.database)
        batches = MemoryBatches(database=self.database)
        return Trusting(trust=trust, stored=stored, batches=batches, ingestion=self.ingestion)
