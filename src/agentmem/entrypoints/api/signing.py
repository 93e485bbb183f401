"""Signed requests: what of a request its signature is checked against."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import Message as Received

from agentmem.bootstrap import App
from agentmem.entrypoints.api.json_body import JsonRequest
from agentmem.errors import InvalidSignature
from agentmem.foundation.signatures.messages import INPUT, Message, fields_of
from agentmem.pipelines.admission.admission import Admitted


async def checked(request: Request, app: App, admitted: Admitted, *, streamed: bool) -> Request:
    """Give a request whose signature holds, or that needs none; raises :class:`InvalidSignature` for another.

    The whole body of a signed request is read: what is sent piece by piece cannot be signed.
    """
    signing = admitted.signing
    if INPUT not in request.headers and not signing.demanded:
        return request
    message = Message(method=request.method, url=_target(request, app), headers=fields_of(request.headers.raw))
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    claim = app.signatures.check(message, signing, body=has_body)
    if claim is None:
        return request
    if streamed:
        raise InvalidSignature("A body of any length cannot be signed.", hint="Send the memories in batches.")
    body = await request.body()
    await app.signatures.accept(claim, admitted.caller.organization_id, message, body)
    return JsonRequest(request.scope, _again(body, request.receive))


def _target(request: Request, app: App) -> str:
    """Give the address that the client called: by the server's settings, for anybody may write a Host header."""
    public_url = app.settings.public_url
    if public_url is None:
        raise InvalidSignature(
            "The server does not know the address that clients sign: AGENTMEM_PUBLIC_URL is not set.",
            hint="Ask whoever runs it.",
        )
    path = bytes(request.scope["raw_path"]).decode("latin-1")
    query = bytes(request.scope["query_string"]).decode("latin-1")
    return f"{public_url.rstrip('/')}{path}{'?' if query else ''}{query}"


def _again(body: bytes, receive: Callable[[], Awaitable[Received]]) -> Callable[[], Awaitable[Received]]:
    """Give a body that was read once more, and then what comes after it."""
    given = False

    async def message() -> Received:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return message
