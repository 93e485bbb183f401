"""How calls are carried: one connection pool, attempts and pauses, asynchronously and synchronously."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from random import SystemRandom
from typing import TypeVar

import httpx

from agentmem.client.calls import Call
from agentmem.client.following import Follower
from agentmem.client.person import Person, auth_of
from agentmem.client.retries import Failed, Retries
from agentmem.client.signing import RequestSigner
from agentmem.client.streams import LineSplitter
from agentmem.client.transport import LIMITS, address_of, broken, headers_of, refused, request_of
from agentmem.errors import AgentMemError
from agentmem.schemas.events import Event

Result = TypeVar("Result")


class AsyncConnection:
    """Sends calls by asyncio."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        timeout: float,
        retries: int,
        signer: RequestSigner | None,
    ) -> None:
        self._http = http
        self._signer = signer
        self._timeout = timeout
        self._retries = Retries(most=retries, patience=timeout)
        self._random = SystemRandom()

    async def close(self) -> None:
        """Close the connections; closing twice is allowed."""
        await self._http.aclose()

    async def send(self, call: Call[Result]) -> Result:
        """Send a call, again where that is safe, and read its answer."""
        answer = await self._open(call, stream=False)
        return call.read(answer.content)

    async def upload(self, call: Call[Result], body: AsyncIterator[bytes]) -> Result:
        """Send a call whose body is a stream; it is sent once, for the stream is gone then."""
        outcome = await self._attempt(call, stream=False, body=body)
        if isinstance(outcome, Failed):
            raise outcome.error
        return call.read(outcome.content)

    async def lines(self, call: Call[None]) -> AsyncIterator[str]:
        """Give the lines of an answer while it arrives; what breaks off raises and never ends quietly."""
        answer = await self._open(call, stream=True)
        splitter = LineSplitter()
        try:
            async for data in answer.aiter_bytes():
                for line in splitter.feed(data):
                    yield line
            splitter.end()
        except httpx.TransportError as error:
            raise broken(error, answer.url).error from None
        finally:
            await answer.aclose()

    async def follow(self, follower: Follower) -> AsyncIterator[Event]:
        """Give the events of one stream after the other, for ever; raises what coming again would not mend."""
        while True:
            failed: AgentMemError | None = None
            try:
                answer = await self._open(follower.call(), stream=True)
                splitter = LineSplitter(empty=True)
                try:
                    async for data in answer.aiter_bytes():
                        for line in splitter.feed(data):
                            for event in follower.take(line):
                                yield event
                except httpx.TransportError as error:
                    failed = broken(error, answer.url).error
                finally:
                    await answer.aclose()
            except AgentMemError as error:
                failed = error
            await asyncio.sleep(follower.pause(failed))

    async def _open(self, call: Call[Result], *, stream: bool) -> httpx.Response:
        self._retries.began()
        attempt = 0
        while True:
            outcome = await self._attempt(call, stream=stream)
            if isinstance(outcome, httpx.Response):
                return outcome
            pause = self._retries.pause(attempt, outcome, self._random.random(), repeatable=call.repeatable)
            if pause is None:
                raise outcome.error
            await asyncio.sleep(pause)
            attempt += 1

    async def _attempt(
        self, call: Call[Result], *, stream: bool, body: AsyncIterator[bytes] | None = None
    ) -> httpx.Response | Failed:
        request = request_of(self._http, call, self._timeout, body, signer=self._signer)
        try:
            answer = await self._http.send(request, stream=stream)
            if answer.is_success:
                return answer
            await answer.aread()
            await answer.aclose()
        except httpx.TransportError as error:
            return broken(error, request.url)
        return refused(answer)


class Connection:
    """Sends calls and waits for them; threads may share it."""

    def __init__(
        self,
        http: httpx.Client,
        *,
        timeout: float,
        retries: int,
        signer: RequestSigner | None,
    ) -> None:
        self._http = http
        self._signer = signer
        self._timeout = timeout
        self._retries = Retries(most=retries, patience=timeout)
        self._random = SystemRandom()

    def close(self) -> None:
        """Close the connections; closing twice is allowed."""
        self._http.close()

    def send(self, call: Call[Result]) -> Result:
        """Send a call, again where that is safe, and read its answer."""
        answer = self._open(call, stream=False)
        return call.read(answer.content)

    def upload(self, call: Call[Result], body: Iterator[bytes]) -> Result:
        """Send a call whose body is a stream; it is sent once, for the stream is gone then."""
        outcome = self._attempt(call, stream=False, body=body)
        if isinstance(outcome, Failed):
            raise outcome.error
        return call.read(outcome.content)

    def lines(self, call: Call[None]) -> Iterator[str]:
        """Give the lines of an answer while it arrives; what breaks off raises and never ends quietly."""
        answer = self._open(call, stream=True)
        splitter = LineSplitter()
        try:
            for data in answer.iter_bytes():
                yield from splitter.feed(data)
            splitter.end()
        except httpx.TransportError as error:
            raise broken(error, answer.url).error from None
        finally:
            answer.close()

    def follow(self, follower: Follower) -> Iterator[Event]:
        """Give the events of one stream after the other, for ever; raises what coming again would not mend."""
        while True:
            failed: AgentMemError | None = None
            try:
                answer = self._open(follower.call(), stream=True)
                splitter = LineSplitter(empty=True)
                try:
                    for data in answer.iter_bytes():
                        for line in splitter.feed(data):
                            yield from follower.take(line)
                except httpx.TransportError as error:
                    failed = broken(error, answer.url).error
                finally:
                    answer.close()
            except AgentMemError as error:
                failed = error
            time.sleep(follower.pause(failed))

    def _open(self, call: Call[Result], *, stream: bool) -> httpx.Response:
        self._retries.began()
        attempt = 0
        while True:
            outcome = self._attempt(call, stream=stream)
            if isinstance(outcome, httpx.Response):
                return outcome
            pause = self._retries.pause(attempt, outcome, self._random.random(), repeatable=call.repeatable)
            if pause is None:
                raise outcome.error
            time.sleep(pause)
            attempt += 1

    def _attempt(
        self, call: Call[Result], *, stream: bool, body: Iterator[bytes] | None = None
    ) -> httpx.Response | Failed:
        request = request_of(self._http, call, self._timeout, body, signer=self._signer)
        try:
            answer = self._http.send(request, stream=stream)
            if answer.is_success:
                return answer
            answer.read()
            answer.close()
        except httpx.TransportError as error:
            return broken(error, request.url)
        return refused(answer)


def connect_async(
    api_key: str | None,
    base_url: str,
    *,
    timeout: float,
    retries: int,
    insecure: bool,
    signing_key: str | None,
    person: Person | None,
    transport: httpx.AsyncBaseTransport | None,
) -> AsyncConnection:
    """Make a connection; nothing is sent yet."""
    signer = None if signing_key is None else RequestSigner(signing_key)
    url = address_of(base_url, insecure=insecure)
    http = httpx.AsyncClient(
        base_url=url,
        headers=headers_of(api_key),
        auth=auth_of(api_key, person, url),
        limits=LIMITS,
        transport=transport,
        trust_env=False,
    )
    return AsyncConnection(http, timeout=timeout, retries=retries, signer=signer)


def connect(
    api_key: str | None,
    base_url: str,
    *,
    timeout: float,
    retries: int,
    insecure: bool,
    signing_key: str | None,
    person: Person | None,
    transport: httpx.BaseTransport | None,
) -> Connection:
    """Make a connection; nothing is sent yet."""
    signer = None if signing_key is None else RequestSigner(signing_key)
    url = address_of(base_url, insecure=insecure)
    http = httpx.Client(
        base_url=url,
        headers=headers_of(api_key),
        auth=auth_of(api_key, person, url),
        limits=LIMITS,
        transport=transport,
        trust_env=False,
    )
    return Connection(http, timeout=timeout, retries=retries, signer=signer)
