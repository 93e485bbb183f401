"""Sending to receivers: to what a name stands for at that moment, and to nothing that is not public."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from agentmem.foundation.outbound.guard import Destinations
from agentmem.foundation.outbound.guarded import GuardedSender, Resolver
from agentmem.foundation.outbound.port import Message
from agentmem.kit.networks import parse_network
from tests.support.receiver import LOOPBACK, Receiver, receiving
from tests.support.redis_server import free_port

ALLOWED = Destinations(http=True, networks=tuple(map(parse_network, LOOPBACK)))
PUBLIC_ALONE = Destinations(http=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def message(url: str) -> Message:
    return Message(url=url, headers={"Content-Type": "application/json", "webhook-id": "m1"}, body=b'{"a":1}')


def named(receiver: Receiver, host: str = "hooks.example") -> str:
    return receiver.url.replace("127.0.0.1", host)


class Names:
    """A name server that answers with one list of addresses after the other, the last again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@asynccontextmanager
async def sender(
    destinations: Destinations, resolve: Resolver | None = None, *, seconds: float = 15.0
) -> AsyncIterator[GuardedSender]:
    sending = GuardedSender(destinations, resolve=resolve, timeout=seconds)
    yield sending
    await sending.aclose()


async def test_message_is_sent_to_what_the_name_stands_for(receiver: Receiver) -> None:
    async with sender(ALLOWED, Names(["127.0.0.1"])) as sending:
        outcome = await sending.send(message(named(receiver)))

    assert (outcome.status, outcome.error, outcome.taken) == (204, None, True)
    (taken,) = receiver.taken
    assert taken.body == '{"a":1}'
    assert taken.headers["host"] == named(receiver).split("/")[2]


async def test_name_of_an_address_that_is_not_public_is_not_connected_to(receiver: Receiver) -> None:
    async with sender(PUBLIC_ALONE, Names(["127.0.0.1"])) as sending:
        outcome = await sending.send(message(named(receiver)))

    assert (outcome.status, outcome.error) == (None, "address_refused")
    assert receiver.taken == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001"])
async def test_no_spelling_of_this_machine_is_connected_to(receiver: Receiver, host: str) -> None:
    async with sender(PUBLIC_ALONE) as sending:
        outcome = await sending.send(message(named(receiver, host)))

    assert outcome.error in {"address_refused", "host_not_found"}
    assert receiver.taken == []


async def test_name_with_one_public_and_one_inner_address_is_not_connected_to(receiver: Receiver) -> None:
    async with sender(PUBLIC_ALONE, Names(["8.8.8.8", "127.0.0.1"])) as sending:
        assert (await sending.send(message(named(receiver)))).error == "address_refused"
    assert receiver.taken == []


async def test_name_that_answers_differently_a_moment_later_gains_nothing(receiver: Receiver) -> None:
    # Looked up once for each message: the address that was checked is the one that is connected to.
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with sender(ALLOWED, names) as sending:
        first = await sending.send(message(named(receiver)))
        second = await sending.send(message(named(receiver)))

    assert (first.status, second.error, names.asked) == (204, "address_refused", 2)
    assert len(receiver.taken) == 1


async def test_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.statuses, receiver.location = [307], receiver.url + "/elsewhere"
    async with sender(ALLOWED) as sending:
        outcome = await sending.send(message(receiver.url))

    assert (outcome.status, outcome.taken) == (307, False)
    assert len(receiver.taken) == 1


async def test_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    async with sender(ALLOWED) as sending:
        assert (await sending.send(message(receiver.url))).status == 204


async def test_receiver_that_does_not_answer_is_given_up(receiver: Receiver) -> None:
    receiver.hold.clear()
    async with sender(ALLOWED, seconds=0.2) as sending:
        outcome = await sending.send(message(receiver.url))

    assert (outcome.status, outcome.error) == (None, "timed_out")
    assert outcome.duration_ms >= 200


async def test_name_server_that_does_not_answer_is_given_up() -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with sender(ALLOWED, never, seconds=0.2) as sending:
        assert (await sending.send(message("https://hooks.example/"))).error == "timed_out"


async def test_each_trouble_of_the_network_has_a_word() -> None:
    closed = f"http://127.0.0.1:{free_port()}/"
    async with sender(ALLOWED) as sending:
        assert (await sending.send(message(closed))).error == "not_connected"
    async with sender(ALLOWED, Names([])) as sending:
        assert (await sending.send(message(closed.replace("127.0.0.1", "hooks.example")))).error == "host_not_found"


async def test_answer_in_clear_where_tls_is_expected_is_said(receiver: Receiver) -> None:
    async with sender(ALLOWED) as sending:
        outcome = await sending.send(message(receiver.url.replace("http://", "https://")))

    assert outcome.error == "tls_failed"


async def test_answer_without_end_is_not_read() -> None:
    sent = 0
    closed = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                await writer.drain()
                sent += 0x10000
        except ConnectionError:
            closed.set()
        finally:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, sender(ALLOWED) as sending:
        assert (await sending.send(message(f"http://127.0.0.1:{port}/"))).status == 200
        async with asyncio.timeout(10):
            await closed.wait()
