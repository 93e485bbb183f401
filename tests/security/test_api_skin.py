"""The skin of every response: security headers, CORS and the request's id, on whatever answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import product
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute

from agentmem import AsyncMemory
from agentmem.entrypoints.api.application import create_routes
from agentmem.errors import AgentMemError
from tests.support.dressed import REQUEST_ID, assert_dressed
from tests.support.served import client, key_of, served_by
from tests.support.toys import RETRY_AFTER, SECRET, Toy, errors_of_ours

ORIGIN = "https://console.example"
STRANGER = "https://evil.example"


@pytest.fixture
async def everything(memory: AsyncMemory) -> AsyncIterator[tuple[httpx.AsyncClient, list[APIRoute]]]:
    """A client of the whole server without a key, and the server's routes."""
    app = replace(memory.app, settings=memory.app.settings.model_copy(update={"cors_origins": (ORIGIN,)}))
    served = served_by(app)
    routes = [route for route in create_routes(served).routes if isinstance(route, APIRoute)]
    async with client(app, None, served=served) as opened:
        yield opened, routes


def calls(routes: list[APIRoute]) -> Iterator[tuple[str, str]]:
    """Give every method and path, with something in place of each parameter."""
    for route in routes:
        for method in sorted(route.methods or ()):
            path = re.sub(r"\{[^}]*:uuid\}", str(uuid4()), route.path)
            yield method, re.sub(r"\{[^}]*\}", "x", path)


async def test_every_route_is_dressed_for_strangers(
    everything: tuple[httpx.AsyncClient, list[APIRoute]],
) -> None:
    opened, routes = everything
    assert len(routes) > 30
    for (method, path), origin in product(calls(routes), (None, ORIGIN, STRANGER)):
        response = await opened.request(method, path, headers={} if origin is None else {"Origin": origin})
        assert_dressed(response, docs=path.startswith("/docs"))
        assert response.headers.get("access-control-allow-origin") == (ORIGIN if origin == ORIGIN else None)


async def test_every_route_is_dressed_when_its_method_is_wrong_or_its_body_is(
    everything: tuple[httpx.AsyncClient, list[APIRoute]], memory: AsyncMemory
) -> None:
    opened, routes = everything
    headers = {"Authorization": f"Bearer {await key_of(memory)}", "Content-Type": "application/json"}
    taken: dict[str, set[str]] = {}
    for route in routes:
        taken.setdefault(route.path, set()).update(route.methods or ())
    for route in routes:
        path = next(path for _, path in calls([route]))
        wrong = await opened.request("TRACE", path)
        assert wrong.status_code == 405
        assert set(wrong.headers["allow"].split(", ")) == taken[route.path]
        assert_dressed(wrong, docs=path.startswith("/docs"))
    for method, path in calls(routes):
        if method in {"POST", "PUT", "PATCH"}:
            assert_dressed(await opened.request(method, path, content=b"{", headers=headers))


async def test_unknown_paths_are_not_told_again(everything: tuple[httpx.AsyncClient, list[APIRoute]]) -> None:
    opened, _ = everything
    for path in ("/nowhere", "/v1/nowhere/secret-path", "/v1", "/v1/memories/"):
        response = await opened.get(path)
        assert response.status_code == 404
        assert_dressed(response)
        assert "secret-path" not in response.text


async def chunks(size: int) -> AsyncIterator[bytes]:
    """Give so many bytes in parts, without saying how many will come."""
    for start in range(0, size, 8192):
        yield b"x" * min(8192, size - start)


@pytest.mark.parametrize(
    "method, path, options, status",
    [
        ("GET", "/fail", {}, 500),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/missing/x", {}, 404),
        ("DELETE", "/echo", {}, 405),
        ("POST", "/echo", {"content": b"x" * 70_000}, 413),
        ("POST", "/echo", {"content": b"x", "headers": {"Content-Length": "1e3"}}, 400),
        ("POST", "/echo", {"headers": {"X-Long": "x" * 40_000}}, 431),
        ("GET", "/health/live", {"headers": {"X-Long": "x" * 40_000}}, 431),
    ],
)
async def test_every_error_is_dressed_and_open_to_listed_origins_only(
    method: str, path: str, options: dict[str, object], status: int
) -> None:
    toy = Toy(cors_origins=(ORIGIN,), cors_credentials=True)
    async with toy.client() as opened:
        for origin in (ORIGIN, STRANGER):
            request = opened.build_request(method, path, **options)  # type: ignore[arg-type]
            request.headers["Origin"] = origin
            response = await opened.send(request)
            assert response.status_code == status
            assert_dressed(response)
            assert SECRET not in response.text
            known = origin == ORIGIN
            assert response.headers.get("access-control-allow-origin") == (ORIGIN if known else None)
            assert response.headers.get("access-control-allow-credentials") == ("true" if known else None)


@pytest.mark.parametrize("error", errors_of_ours(), ids=lambda error: error.code)
async def test_every_error_of_ours_is_dressed(error: type[AgentMemError]) -> None:
    toy = Toy(cors_origins=(ORIGIN,))
    async with toy.client(Origin=ORIGIN) as opened:
        response = await opened.get(f"/error/{error.code}")

    assert response.status_code == error.status
    assert_dressed(response)
    assert response.headers["access-control-allow-origin"] == ORIGIN
    if error.retryable:
        assert response.headers["retry-after"] == str(RETRY_AFTER)


async def test_bodies_are_counted_while_they_arrive() -> None:
    toy = Toy()
    async with toy.client() as opened:
        for size, status in ((65_536, 200), (65_537, 413), (10_000_000, 413)):
            response = await opened.post("/echo", content=chunks(size))
            assert response.status_code == status
            assert_dressed(response)
            assert response.headers.get("connection") == (None if status == 200 else "close")
        lying = await opened.post("/echo", content=chunks(70_000), headers={"Content-Length": "10"})
        assert lying.status_code == 413
        assert (await opened.post("/large", content=chunks(1_000_000))).text == "1000000"


async def test_preflights_are_answered_before_anything_else() -> None:
    toy = Toy(cors_origins=(ORIGIN,), cors_credentials=True, max_in_flight=1, max_queued=0)
    async with toy.client() as opened:
        for origin, admitted in ((ORIGIN, True), (STRANGER, False)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            response = await opened.options("/echo", headers=headers)
            assert response.status_code == 204
            assert_dressed(response)
            assert ("access-control-allow-methods" in response.headers) == admitted
            assert ("authorization" in response.headers.get("access-control-allow-headers", "").lower()) == admitted
        assert (await opened.options("/echo")).status_code == 405


async def test_any_origin_is_told_without_credentials() -> None:
    toy = Toy(cors_origins=("*",))
    async with toy.client(Origin=STRANGER) as opened:
        response = await opened.get("/health/live")
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("given", ["abc-123", "A.b_c", "x" * 128])
async def test_request_ids_of_clients_are_kept(given: str) -> None:
    async with Toy().client() as opened:
        response = await opened.get("/missing/x", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", '{"a"}', "ü"])
async def test_other_request_ids_are_replaced(given: str) -> None:
    async with Toy().client() as opened:
        response = await opened.get("/missing/x", headers={b"X-Request-ID": given.encode()})
    assert response.headers["x-request-id"] != given
    assert REQUEST_ID.fullmatch(response.headers["x-request-id"])


async def test_answer_that_breaks_off_never_looks_whole() -> None:
    toy = Toy()
    messages: list[dict[str, object]] = []

    asked = asyncio.Event()

    async def receive() -> dict[str, object]:
        if asked.is_set():
            await asyncio.Event().wait()  # the client stays, and says no more
        asked.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": "/cut", "raw_path": b"/cut", "query_string": b"", "headers": []}
    await toy.app({**scope, "client": ("127.0.0.1", 1), "http_version": "1.1"}, receive, send)
    bodies = [message for message in messages if message["type"] == "http.response.body"]
    assert [message.get("body") for message in bodies] == [b"begun"]
    assert all(message.get("more_body") for message in bodies)
