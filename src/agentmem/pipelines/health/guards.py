"""What stands before each dependency of an application: made together, so that health can tell of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentmem.foundation.database.connect import DATABASE, KEY_DATABASE
from agentmem.foundation.database.replica import REPLICA
from agentmem.foundation.encryption.providers.guarded import KEY_PROVIDER
from agentmem.foundation.inference.endpoint import EMBEDDER, RERANKER
from agentmem.foundation.mail.smtp import SMTP
from agentmem.foundation.resilience.breaker import BreakerState
from agentmem.foundation.resilience.guarded import Guarded, Observer
from agentmem.foundation.state.fallback import REDIS
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Guards:
    """The guards of one application."""

    database: Guarded
    replica: Guarded
    redis: Guarded
    embedder: Guarded
    reranker: Guarded
    mail: Guarded
    key_provider: Guarded
    key_database: Guarded

    @classmethod
    def of(cls, settings: Settings, observer: Observer) -> Guards:
        """Make them for one application; ``observer`` is told how the dependencies are."""
        return cls(
            database=Guarded(DATABASE, observer),
            replica=Guarded(REPLICA, observer),
            redis=Guarded(REDIS, observer),
            embedder=Guarded(EMBEDDER, observer),
            mail=Guarded(SMTP, observer),
            reranker=Guarded(replace(RERANKER, seconds=settings.reranker_deadline), observer),
            key_provider=Guarded(KEY_PROVIDER, observer),
            key_database=Guarded(KEY_DATABASE, observer),
        )

    def states(self) -> Mapping[str, BreakerState]:
        """Say of each dependency whether it is asked."""
        every = (
            *(self.database, self.replica, self.redis, self.embedder, self.reranker),
            *(self.mail, self.key_provider, self.key_database),
        )
        return {guarded.name: guarded.state for guarded in every}
