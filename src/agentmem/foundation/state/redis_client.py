"""Clients of Redis: one server, a master that Sentinels watch over, or a cluster; told apart by the URL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from agentmem.errors import ConfigurationError

try:
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.cluster import ClusterNode
    from redis.asyncio.connection import SSLConnection, parse_url
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when a state in Redis is asked for
    _INSTALLED = False

Client: TypeAlias = "Redis | RedisCluster"
_Options: TypeAlias = dict[str, Any]  # redis-py's keywords, which it checks itself
_PORT: Final = {"sentinel": 26379, "cluster": 6379}
_SENTINELS_OWN: Final = "sentinel_"
"""Options of the URL that are for the Sentinels, and not for the servers that they watch over."""
_SHAPES: Final = (
    "It looks like redis://127.0.0.1:6379/0, rediss://, unix://, redis+sentinel://host:26379,host:26379/mymaster/0 or "
    "redis+cluster://host:7000,host:7001; with TLS, rediss+sentinel:// or rediss+cluster://."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A client, which connects when first used, and what closes it."""

    client: Client
    close: Callable[[], Awaitable[None]]


def open_client(url: str, *, timeout: float) -> Opened:
    """Make a client of what a URL names; ``timeout`` is the seconds for a connection, and for an answer.

    What follows a ``?`` are options of redis-py, such as ``ssl_ca_certs=/path``; Sentinels with a password of their own
    get ``sentinel_username`` and ``sentinel_password``. Raises :class:`ConfigurationError` for a URL of another shape,
    or without the extra ``server``.
    """
    if not _INSTALLED:
        raise ConfigurationError(
            "State in Redis needs the package redis.", hint="Install agentmem[server], which brings it."
        )
    # What is tried again is decided in one place, and not here.
    common: _Options = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 30,
        "protocol": 3,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        if not kind:
            single: Redis = Redis.from_url(url, **common)
            return Opened(client=single, close=single.aclose)
        hosts = _hosts(parts, _PORT[kind])
        given = _options(parts, scheme)
        if kind == "cluster":
            return _open_cluster(hosts, {**given, **common})
        return _open_sentinel(parts, hosts, given, common)
    except (ValueError, KeyError):
        raise ConfigurationError("The URL of Redis is malformed.", hint=_SHAPES) from None


def _open_cluster(hosts: list[tuple[str, int]], options: _Options) -> Opened:
    nodes = [ClusterNode(host, port) for host, port in hosts]
    cluster = RedisCluster(startup_nodes=nodes, **options)
    return Opened(client=cluster, close=cluster.aclose)


def _open_sentinel(parts: SplitResult, hosts: list[tuple[str, int]], given: _Options, common: _Options) -> Opened:
    service, _, database = unquote(parts.path).strip("/").partition("/")
    if not service:
        raise ValueError("no name of a master")
    own = {name.removeprefix(_SENTINELS_OWN): value for name, value in given.items() if name.startswith(_SENTINELS_OWN)}
    options = {name: value for name, value in given.items() if not name.startswith(_SENTINELS_OWN)}
    encrypted = {name: value for name, value in options.items() if name.startswith("ssl")}
    sentinel = Sentinel(hosts, sentinel_kwargs={**common, **encrypted, **own})  # type: ignore[no-untyped-call]
    master: Redis = sentinel.master_for(service, **{**options, **common, "db": int(database or 0)})

    async def close() -> None:
        await master.aclose()
        await sentinel.aclose()

    return Opened(client=master, close=close)


def _hosts(parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Read the hosts of a URL that names several, each perhaps with a port."""
    hosts = [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]
    found = [(host.hostname or "", host.port or port) for host in hosts]
    if not all(host for host, _ in found):
        raise ValueError("no host")
    return found


def _options(parts: SplitResult, scheme: str) -> _Options:
    """Read name, password and options as redis-py does, in the way of a URL that names one host."""
    credentials, at, _ = parts.netloc.rpartition("@")
    query = f"?{urlencode(parse_qsl(parts.query))}" if parts.query else ""
    options: _Options = dict(parse_url(f"{scheme}://{credentials}{at}host{query}"))
    del options["host"]
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    return options
