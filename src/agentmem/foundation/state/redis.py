"""State in Redis: what several server processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from importlib.resources import files
from math import ceil
from typing import Final

from agentmem.errors import Closed, ConfigurationError, StateUnavailable
from agentmem.foundation.state.gcra import level_of, rate_of
from agentmem.foundation.state.memory import GAP
from agentmem.foundation.state.port import Admission, Quota

try:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when a state in Redis is asked for
    _INSTALLED = False

_TIMEOUT: Final = 0.25
"""Seconds that a call may take: a request waits for it, and there is a fallback."""
_SILENCE: Final = 1.0
"""Seconds without a message after which a subscription asks whether anybody is there."""
_PAUSE: Final = 0.2
"""Seconds between two attempts to subscribe again."""


class RedisState:
    """State in one Redis (7.0 or newer), or in one that speaks as it does; the keys of a call share a hash slot."""

    def __init__(self, url: str, *, timeout: float = _TIMEOUT) -> None:
        """Connect when first used; ``timeout`` is the seconds that Redis has for an answer.

        Raises :class:`ConfigurationError` if the URL is not one of Redis.
        """
        if not _INSTALLED:
            raise ConfigurationError(
                "State in Redis needs the package redis.", hint="Install agentmem[server], which brings it."
            )
        try:
            self._redis = Redis.from_url(
                url,
                protocol=3,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                health_check_interval=30,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise ConfigurationError(
                "The URL of Redis is malformed.", hint="It looks like redis://127.0.0.1:6379/0, rediss:// or unix://."
            ) from None
        script = files("agentmem.foundation.state").joinpath("rates.lua").read_text(encoding="utf-8")
        self._rates = self._redis.register_script(script)
        self._timeout = timeout
        self._closed = False

    async def take(self, tag: str, quotas: Sequence[Quota], cost: int) -> Admission:
        """Charge all quotas with one call of a script, or none; see :meth:`State.take`."""
        if not quotas:
            return Admission(allowed=True, levels=())
        rates = [rate_of(quota) for quota in quotas]
        keys = [f"agentmem:{{{tag}}}:rate:{quota.name}:{quota.subject}" for quota in quotas]
        arguments = [cost, *(number for rate in rates for number in (rate.limit, rate.interval))]
        with self._translated():
            allowed, *numbers = await self._rates(keys=keys, args=arguments)
        levels = map(level_of, quotas, rates, numbers[::2], numbers[1::2])
        return Admission(allowed=bool(allowed), levels=tuple(levels))

    async def publish(self, channel: str, message: str) -> None:
        """Send a message to the listeners of every process."""
        with self._translated():
            await self._redis.publish(_channel(channel), message)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        """Listen to a channel; see :meth:`State.subscribe`."""
        self._require_open()
        listening = await self._listen(channel)
        async with AsyncExitStack() as stack:
            if listening is not None:
                stack.push_async_callback(listening.aclose)
            yield await stack.enter_async_context(aclosing(self._read(channel, listening)))

    async def get(self, tag: str, key: str) -> bytes | None:
        """Give a kept value; see :meth:`State.get`."""
        with self._translated():
            value = await self._redis.get(_key(tag, key))
        return value.encode() if isinstance(value, str) else value

    async def put(self, tag: str, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value; see :meth:`State.put`."""
        with self._translated():
            await self._redis.set(_key(tag, key), value, px=max(1, ceil(seconds * 1000)))

    async def ping(self) -> None:
        """Raise :class:`StateUnavailable` unless Redis answers."""
        with self._translated():
            await self._redis.ping()

    async def aclose(self) -> None:
        """Close every connection and end every subscription."""
        self._closed = True
        await self._redis.aclose()

    async def _listen(self, channel: str) -> PubSub | None:
        """Subscribe, and wait until Redis says so; nothing if it does not answer."""
        listening = self._redis.pubsub()
        try:
            await listening.subscribe(_channel(channel))
            confirmed = await listening.get_message(timeout=self._timeout)
        except (RedisError, OSError):
            confirmed = None
        if confirmed is None:
            await listening.aclose()  # type: ignore[no-untyped-call]  # redis gives it no types
            return None
        return listening

    async def _read(self, channel: str, listening: PubSub | None) -> AsyncGenerator[str, None]:
        while not self._closed:
            if listening is None:
                await asyncio.sleep(_PAUSE)
                listening = await self._listen(channel)
                if listening is not None:
                    yield GAP
                continue
            try:
                async with aclosing(_messages(listening)) as messages:
                    async for message in messages:
                        yield message
            finally:
                await listening.aclose()  # type: ignore[no-untyped-call]  # redis gives it no types
            listening = None

    def _require_open(self) -> None:
        if self._closed:
            raise Closed("The shared state was closed.")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        self._require_open()
        try:
            yield
        except (RedisError, OSError) as error:
            raise StateUnavailable(f"Redis does not answer: {type(error).__name__}.", hint="Retry.") from error


async def _messages(listening: PubSub) -> AsyncGenerator[str, None]:
    """Give the messages of a subscription until it is lost; after a silence, ask whether it is."""
    asked = False
    with suppress(RedisError, OSError):
        while True:
            message = await listening.get_message(timeout=_SILENCE)
            if message is None:
                if asked:
                    return
                await listening.ping()
            elif message["type"] == "message":
                yield message["data"].decode()
            asked = message is None


def _channel(channel: str) -> str:
    return f"agentmem:{channel}"


def _key(tag: str, key: str) -> str:
    return f"agentmem:{{{tag}}}:{key}"
