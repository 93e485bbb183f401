"""State in Redis: what several server processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from importlib.resources import files
from math import ceil
from typing import Final

from agentmem.errors import Closed, StateUnavailable
from agentmem.foundation.resilience.retry import backoff
from agentmem.foundation.state.gcra import level_of, rate_of
from agentmem.foundation.state.memory import GAP
from agentmem.foundation.state.port import Admission, Quota
from agentmem.foundation.state.redis_client import open_client

try:
    from redis.asyncio.client import PubSub
    from redis.exceptions import RedisError
except ModuleNotFoundError:  # the extra is not installed: said when a client is opened
    pass

_TIMEOUT: Final = 0.25
"""Seconds that a call may take: a request waits for it, and there is a fallback."""
_SILENCE: Final = 1.0
"""Seconds without a message after which a subscription asks whether anybody is there."""
_PAUSE: Final = 0.2
"""Seconds, at most, before the first attempt to subscribe again; later ones are up to a second apart."""


class RedisState:
    """State in Redis (7.0 or newer), or in what speaks as it does; the keys of a call share a hash slot."""

    def __init__(self, url: str, *, timeout: float = _TIMEOUT) -> None:
        """Connect when first used; ``timeout`` is the seconds that Redis has for an answer.

        Raises :class:`ConfigurationError` if the URL is not one of Redis; its shapes are those of ``open_client``.
        """
        opened = open_client(url, timeout=timeout)
        self._redis, self._close = opened.client, opened.close
        self._rates, self._lock, self._unlock = (
            self._redis.register_script(_script(name)) for name in ("rates", "lock", "unlock")
        )
        self._timeout = timeout
        self._closed = False

    async def take(self, tag: str, quotas: Sequence[Quota], cost: int) -> Admission:
        """Charge all quotas with one call of a script, or none; see :meth:`State.take`."""
        if not quotas:
            return Admission(allowed=True, levels=())
        rates = [rate_of(quota) for quota in quotas]
        keys = [f"agentmem:{{{tag}}}:rate:{quota.name}:{quota.subject}" for quota in quotas]
        arguments = [cost, *(number for rate in rates for number in (rate.limit, rate.interval))]
        async with self._asking():
            allowed, *numbers = await self._rates(keys=keys, args=arguments)
        levels = map(level_of, quotas, rates, numbers[::2], numbers[1::2])
        return Admission(allowed=bool(allowed), levels=tuple(levels))

    async def publish(self, channel: str, message: str) -> None:
        """Send a message to the listeners of every process."""
        async with self._asking():
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
        async with self._asking():
            value = await self._redis.get(_key(tag, key))
        return value.encode() if isinstance(value, str) else value

    async def pop(self, tag: str, key: str) -> bytes | None:
        """Give a kept value and forget it; see :meth:`State.pop`."""
        async with self._asking():
            value = await self._redis.getdel(_key(tag, key))
        return value.encode() if isinstance(value, str) else value

    async def put(self, tag: str, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value; see :meth:`State.put`."""
        async with self._asking():
            await self._redis.set(_key(tag, key), value, px=max(1, ceil(seconds * 1000)))

    async def once(self, tag: str, key: str, value: bytes, *, seconds: float) -> bytes | None:
        """Keep a value unless there is one, and give that; see :meth:`State.once`."""
        async with self._asking():
            kept = await self._redis.set(
                _key(tag, f"once:{key}"), value, nx=True, get=True, px=max(1, ceil(seconds * 1000))
            )
        if isinstance(kept, str):
            return kept.encode()
        return kept if isinstance(kept, bytes) else None

    async def lock(self, tag: str, name: str, token: str, *, seconds: float) -> bool:
        """Take a lock, or extend it; see :meth:`State.lock`."""
        async with self._asking():
            return bool(await self._lock(keys=[_key(tag, f"lock:{name}")], args=[token, ceil(seconds * 1000)]))

    async def unlock(self, tag: str, name: str, token: str) -> bool:
        """Release a lock; see :meth:`State.unlock`."""
        async with self._asking():
            return bool(await self._unlock(keys=[_key(tag, f"lock:{name}")], args=[token]))

    async def ping(self) -> None:
        """Raise :class:`StateUnavailable` unless Redis answers."""
        async with self._asking():
            await self._redis.ping()

    async def aclose(self) -> None:
        """Close every connection and end every subscription."""
        self._closed = True
        await self._close()

    async def _listen(self, channel: str) -> PubSub | None:
        """Subscribe, and wait until Redis says so; nothing if it does not answer."""
        try:
            await self._redis.initialize()
            listening = self._redis.pubsub()
        except (RedisError, OSError):
            return None
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
        failures = 0
        while not self._closed:
            if listening is None:
                failures += 1
                await asyncio.sleep(backoff(failures, base=_PAUSE, cap=_SILENCE))
                listening = await self._listen(channel)
                if listening is not None:
                    failures = 0
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

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        self._require_open()
        try:
            # The client of a cluster learns its nodes once; when many calls at once make it do so, it breaks some.
            await self._redis.initialize()
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


def _script(name: str) -> str:
    return files("agentmem.foundation.state").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _channel(channel: str) -> str:
    return f"agentmem:{channel}"


def _key(tag: str, key: str) -> str:
    return f"agentmem:{{{tag}}}:{key}"
