"""Events and webhooks of several servers on one store and one Redis: nothing is lost, whichever of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from agentmem import AsyncClient, Client
from agentmem.errors import Unauthenticated
from agentmem.schemas.events import Event
from agentmem.schemas.webhooks import DeliveryState
from scripts.run_document import blocks
from tests.support.embedded_server import store_folder, wait_until
from tests.support.receiver import LOOPBACK, Receiver, receiving
from tests.support.redis_server import redis_server
from tests.support.servers import ServerProcess, servers
from tests.support.traffic import bearer

ROOT: Final = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    allowed = {"webhook_http": "true", "webhook_networks": f'["{LOOPBACK[0]}"]'}
    with (
        store_folder() as directory,
        redis_server(tmp_path_factory.mktemp("redis")) as redis,
        servers(directory, 2, redis_url=redis.url, drain_seconds="0.5", **allowed) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def key(pair: list[ServerProcess]) -> str:
    return pair[0].key


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@contextmanager
def connected(server: ServerProcess, key: str) -> Iterator[Client]:
    client = Client(key, base_url=server.url)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def stream(server: ServerProcess, key: str, *, after: int | None = None, **asked: str) -> Iterator[Iterator[str]]:
    """Open a stream, and give its lines."""
    headers = {**bearer(key), **({} if after is None else {"Last-Event-ID": str(after)})}
    request = httpx.stream("GET", f"{server.url}/v1/events", params=asked, headers=headers, timeout=60)
    with request as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.iter_lines()


def place_of(server: ServerProcess, key: str) -> int:
    """Say how far the events go."""
    with stream(server, key, seconds="0") as lines:
        return int([line for line in lines if line.startswith("id: ")][-1].removeprefix("id: "))


def added_after(server: ServerProcess, key: str, after: int, count: int) -> list[Event]:
    """Read so many events of added memories after a place, from one stream."""
    found: list[Event] = []
    with stream(server, key, after=after, types="memory.added") as lines:
        for line in lines:
            if line.startswith("data: "):
                found.append(Event.model_validate_json(line.removeprefix("data: ")))
                if len(found) == count:
                    break
    return found


def kill(server: ServerProcess) -> None:
    """End a server as a crash does."""
    os.kill(server.process_id, signal.SIGKILL)
    server.ends()


def test_what_is_written_through_one_server_is_streamed_by_the_other(pair: list[ServerProcess], key: str) -> None:
    with connected(pair[0], key) as writer, stream(pair[1], key, types="memory.added") as lines:
        assert next(lines) == "retry: 1000"
        wait_for = next(line for line in lines if line.startswith("id: "))
        added = writer.add("Ada likes green tea").memories[0]
        sequence, kind, data = [next(line for line in lines if line) for _ in range(3)]

    event = Event.model_validate_json(data.removeprefix("data: "))
    assert (sequence, kind) == (f"id: {event.sequence}", "event: memory.added")
    assert event.sequence > int(wait_for.removeprefix("id: "))
    assert event.targets == [added.id]
    assert "tea" not in data


def test_reader_who_changes_servers_again_and_again_has_each_event_once(pair: list[ServerProcess], key: str) -> None:
    place, found = place_of(pair[0], key), list[Event]()
    with connected(pair[0], key) as first, connected(pair[1], key) as second:

        def write() -> None:
            for number in range(20):
                (first, second)[number % 2].add(f"turn {number}")

        writing = threading.Thread(target=write)
        writing.start()
        while len(found) < 20:
            found += added_after(pair[len(found) % 2], key, found[-1].sequence if found else place, 3 if found else 2)
        writing.join()

    assert [event.sequence for event in found][:20] == list(range(place + 1, place + 21))
    assert len({event.id for event in found}) == len(found)


def test_stream_ends_when_its_key_is_revoked_through_another_server(pair: list[ServerProcess], key: str) -> None:
    with connected(pair[0], key) as owner:
        issued = owner.keys.create("reader", scopes=["event:read"])
        assert issued.key is not None
        with stream(pair[1], issued.key) as lines:
            next(lines)
            owner.keys.revoke(issued.api_key.id)
            for _ in lines:  # ends by itself
                pass

        with connected(pair[1], issued.key) as reader, pytest.raises(Unauthenticated):
            next(reader.events())


def test_client_goes_on_where_a_stopped_server_ended_its_stream(pair: list[ServerProcess], key: str) -> None:
    with connected(pair[0], key) as writer, connected(pair[1], key) as reader:
        events = reader.events(types=["memory.*"], after=place_of(pair[1], key))
        first = writer.add("before the stop").memories[0]
        assert next(events).targets == [first.id]
        assert pair[1].stop() == 0
        second = writer.add("while it was stopped").memories[0]
        pair[1].start()
        third = writer.add("after it").memories[0]

        assert [next(events).targets for _ in range(2)] == [[second.id], [third.id]]


async def test_asynchronous_client_follows_too(pair: list[ServerProcess], key: str) -> None:
    place = place_of(pair[0], key)
    async with AsyncClient(key, base_url=pair[0].url) as client:
        added = (await client.add("followed by asyncio")).memories[0]
        async for event in client.events(types=["memory.added"], after=place):
            assert event.targets == [added.id]
            break


def test_webhook_is_delivered_by_the_server_and_logged(pair: list[ServerProcess], key: str, receiver: Receiver) -> None:
    with connected(pair[0], key) as client:
        issued = client.webhooks.create(receiver.url, types=["memory.*"], description="search index")
        added = client.add("told to a receiver").memories[0]
        wait_until(lambda: len(receiver.taken) == 1)
        assert issued.key is not None
        assert receiver.taken[0].verified(issued.key)["data"]["targets"] == [str(added.id)]
        wait_until(lambda: client.webhooks.deliveries(issued.webhook.id).items[0].state == "delivered")

        (delivery,) = client.webhooks.deliveries(issued.webhook.id).items
        client.webhooks.replay(issued.webhook.id, delivery.id)
        wait_until(lambda: len(receiver.taken) == 2)
        assert client.webhooks.test(issued.webhook.id).type == "ping"
        wait_until(lambda: len(receiver.taken) == 3)
        assert client.webhooks.update(issued.webhook.id, enabled=False).enabled is False
        assert client.webhooks.rotate(issued.webhook.id).key != issued.key
        assert client.webhooks.get(issued.webhook.id).version == 3
        assert [item.id for item in client.webhooks.list().items] == [issued.webhook.id]
        client.webhooks.delete(issued.webhook.id)

    assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]


def test_what_was_committed_before_a_kill_is_told_after_it_and_what_was_being_sent_is_sent_again(
    pair: list[ServerProcess], key: str, receiver: Receiver
) -> None:
    place = place_of(pair[0], key)
    with connected(pair[0], key) as client:
        webhook = client.webhooks.create(receiver.url, types=["memory.added"]).webhook
        receiver.hold.clear()
        added = [client.add("its sender dies").memories[0].id]
        wait_until(lambda: len(receiver.taken) == 1)
        added += [client.add(f"before the kill {number}").memories[0].id for number in range(10)]
        for server in pair:
            kill(server)
        receiver.hold.set()
        for server in pair:
            server.start()

        found = added_after(pair[1], key, place, 11)
        wait_until(lambda: len(receiver.taken) >= 12)
        wait_until(
            lambda: {item.state for item in client.webhooks.deliveries(webhook.id).items} == {DeliveryState.DELIVERED}
        )
        client.webhooks.delete(webhook.id)

    assert [event.targets for event in found] == [[memory_id] for memory_id in added]
    assert set(receiver.ids) == {str(event.id) for event in found}
    assert receiver.ids.count(receiver.ids[0]) == 2


def test_examples_of_follow_events_md_run_from_top_to_bottom(pair: list[ServerProcess], key: str) -> None:
    page = (ROOT / "docs" / "how-to" / "follow-events.md").read_text(encoding="utf-8")
    examples = "".join(block.text for block in blocks(page) if block.language == "python")
    program = examples.replace('"amk_live_..."', f"{key!r}, base_url={pair[0].url!r}")
    command = [sys.executable, "-W", "error", "-c", program]
    with (
        connected(pair[1], key) as client,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading,
    ):

        def tell() -> bool:
            client.delete(client.add("to be deleted").memories[0].id)
            return reading.poll() is not None

        wait_until(tell)
        said, errors = reading.communicate()

    assert (reading.returncode, errors) == (0, "")
    assert said.endswith("memory.deleted 1\n")


def test_bad_place_is_refused_with_a_status(pair: list[ServerProcess], key: str) -> None:
    def asked(headers: dict[str, str], **query: Any) -> tuple[int, str]:
        answer = httpx.get(f"{pair[0].url}/v1/events", params=query, headers={**bearer(key), **headers}, timeout=30)
        return answer.status_code, answer.json()["code"]

    assert asked({"Last-Event-ID": "yesterday"}) == (400, "request_malformed")
    assert asked({}, types="memory.aded") == (422, "input_invalid")
    assert asked({}, after=10**15) == (410, "events_gone")
