"""Sending over HTTP, to addresses that were checked after they were looked up."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Final

from agentmem.errors import Unavailable
from agentmem.foundation.outbound.guard import Destinations
from agentmem.foundation.outbound.port import Message, Outcome
from agentmem.kit.networks import Address, parse_address

try:
    import httpcore

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: what is to be sent waits for a process that has it
    _INSTALLED = False

TIMEOUT: Final = 15.0
"""Seconds for all of a request: finding the address, connecting, sending, and the head of the answer."""
_LONGEST_ANSWER: Final = 256 * 1024
_LOOKING: Final = 8
"""Names that are looked up at once: in threads of their own, so that a slow name server holds up nothing else."""

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


def can_send() -> bool:
    """Tell whether this process has what sending takes: ``agentmem[server]`` brings it."""
    return _INSTALLED


class CheckedBackend:
    """Connects to addresses that were checked, whatever the host is called."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002  # the signature is httpcore's
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # as above
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers."""
        failed: Exception = httpcore.ConnectError("there is no address")
        for address in self._addresses:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts to connect, of which there are none here."""
        await self._network.sleep(seconds)


class GuardedSender:
    """Sends each message over a connection of its own; follows no redirect, and reads nothing of an answer's body."""

    def __init__(
        self, destinations: Destinations, *, resolve: Resolver | None = None, timeout: float = TIMEOUT
    ) -> None:
        """Prepare to send; ``resolve`` gives the addresses of a host, by default as the system does."""
        self._threads = ThreadPoolExecutor(_LOOKING, thread_name_prefix="webhook-names")
        self._destinations = destinations
        self._resolve = resolve or self._look_up
        self._timeout = timeout

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made when first needed: reading the certificates takes longer than opening a store."""
        return httpcore.default_ssl_context()

    async def send(self, message: Message) -> Outcome:
        """Send a message, and say how it ended; see :meth:`Sender.send`."""
        started = time.perf_counter()
        ended: int | str
        try:
            async with asyncio.timeout(self._timeout):
                ended = await self._send(message)
        except TimeoutError:
            ended = "timed_out"
        except httpcore.ConnectError as failure:
            cause = failure.__cause__ or failure.__context__
            ended = "tls_failed" if isinstance(cause, ssl.SSLError) else "not_connected"
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            ended = "broken_off"
        duration_ms = round((time.perf_counter() - started) * 1000)
        if isinstance(ended, str):
            return Outcome(error=ended, duration_ms=duration_ms)
        return Outcome(status=ended, duration_ms=duration_ms)

    async def fetch(self, method: str, message: Message) -> tuple[int, bytes]:
        """Ask something, and give the status and the body of the answer.

        Raises :class:`Unavailable` when there is no answer in time, or one of more than 256 KiB.
        """
        try:
            async with asyncio.timeout(self._timeout):
                addresses = await self._addresses(message.url)
                if not isinstance(addresses, str):
                    return await self._ask(method, message, addresses)
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            addresses = "no answer"
        raise Unavailable(f"The other server cannot be asked: {addresses.replace('_', ' ')}.", hint="Try again later.")

    async def aclose(self) -> None:
        """Let the threads go; what they look up is no longer waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _send(self, message: Message) -> int | str:
        """Send to the addresses of the host: gives the status, or what was wrong."""
        addresses = await self._addresses(message.url)
        return addresses if isinstance(addresses, str) else await self._post(message, addresses)

    async def _addresses(self, address: str) -> Sequence[Address] | str:
        """Look a host up, and check every address that it has: gives them, or what was wrong."""
        url = httpcore.URL(address)
        try:
            found = await self._resolve(url.host.decode("ascii").strip("[]"), url.port or 443)
        except (OSError, UnicodeError):
            return "host_not_found"
        try:
            addresses = list(map(parse_address, found))
        except ValueError:  # an address of this link alone
            return "address_refused"
        if not addresses:
            return "host_not_found"
        if not all(map(self._destinations.admits, addresses)):
            return "address_refused"
        return list(dict.fromkeys(addresses))

    async def _post(self, message: Message, addresses: Sequence[Address]) -> int:
        async with self._pool(addresses) as pool:
            headers = [(name.encode(), value.encode()) for name, value in message.headers.items()]
            async with pool.stream("POST", message.url, headers=headers, content=message.body) as answer:
                return answer.status

    async def _ask(self, method: str, message: Message, addresses: Sequence[Address]) -> tuple[int, bytes]:
        async with self._pool(addresses) as pool:
            headers = [(name.encode(), value.encode()) for name, value in message.headers.items()]
            async with pool.stream(method, message.url, headers=headers, content=message.body) as answer:
                body = b""
                async for part in answer.aiter_stream():
                    body += part
                    if len(body) > _LONGEST_ANSWER:
                        raise Unavailable("The answer of the other server is too long.")
                return answer.status, body

    def _pool(self, addresses: Sequence[Address]) -> httpcore.AsyncConnectionPool:
        # Not a shared one: a connection that is kept would be used for a name whose addresses have changed since.
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=CheckedBackend(addresses),  # type: ignore[arg-type]  # it has the methods that are used
        )

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]
