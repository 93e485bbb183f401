"""A whole installation, as an operator runs it: servers behind nginx, workers, Redis and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.balancer import nginx
from tests.support.postgres_nodes import PostgresNode, postgres_nodes, url_of
from tests.support.redis_server import redis_server
from tests.support.servers import ServerProcess, servers

_QUICK = {"drain_seconds": "1", "request_timeout": "6", "webhook_http": "true", "webhook_networks": '["127.0.0.0/8"]'}
"""So that a claim of an idempotency key whose server was killed is soon given to the next attempt; and webhooks may go
to this machine."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What runs, and where a client finds it."""

    url: str
    key: str
    folder: Path
    settings: Mapping[str, str]
    """The folder and the settings of every process."""
    servers: Sequence[ServerProcess]
    workers: Sequence[ServerProcess]
    primary: PostgresNode
    standbys: Sequence[PostgresNode]


@contextmanager
def fleet(
    folder: Path, *, size: int, workers: int = 0, standbys: Sequence[str] = (), redis_url: str | None = None
) -> Iterator[Fleet]:
    """Start an installation of ``size`` servers; with a Redis of its own unless one is named."""
    with ExitStack() as stack:
        redis_url = redis_url or stack.enter_context(redis_server(folder)).url
        primary, followers = stack.enter_context(postgres_nodes(*standbys))
        settings = {"database_url": url_of(primary, *followers), "redis_url": redis_url, **_QUICK}
        running = stack.enter_context(servers(folder / "data", size, **settings))
        working = stack.enter_context(servers(folder / "data", workers, command="worker", **settings))
        url = stack.enter_context(nginx(folder, [server.port for server in running]))
        yield Fleet(
            url=url,
            key=running[0].key,
            folder=folder / "data",
            settings=settings,
            servers=running,
            workers=working,
            primary=primary,
            standbys=followers,
        )
