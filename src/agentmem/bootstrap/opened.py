"""What an application opens once and closes at its end; everything else is made over it."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.features.organizations.rules import Rules
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.connect import Server
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.mail.port import Mailer
from agentmem.foundation.outbound.port import Fetcher, Sender
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.foundation.state.lock import Locks
from agentmem.foundation.state.port import State
from agentmem.foundation.telemetry.watchers import Watchers
from agentmem.operations import Transactions
from agentmem.pipelines.health.guards import Guards
from agentmem.pipelines.retrieval.embeddings import QueryEmbeddings
from agentmem.pipelines.retrieval.rerank import Reranking
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What is opened once and closed at the end; everything else is made over it."""

    settings: Settings
    caller: Caller
    database: Database
    searches: Transactions
    server: Server
    models: Models
    state: State
    passwords: Passwords
    embeddings: QueryEmbeddings
    reranking: Reranking | None
    rules: Rules
    sender: Sender | None
    fetcher: Fetcher | None
    mailer: Mailer | None
    watchers: Watchers
    guards: Guards

    @property
    def locks(self) -> Locks:
        """Locks over the state, with their fences in the database."""
        return Locks(state=self.state, database=self.database)

    @property
    def caretaker(self) -> Caretaker:
        """What works on the database as its owner."""
        return Caretaker(server=self.server)
