"""``Idempotency-Key``: a POST that is sent twice is done once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

from agentmem.entrypoints.api.access import Access
from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.json_body import JsonRequest
from agentmem.entrypoints.api.problems import respond
from agentmem.entrypoints.api.serving import Served
from agentmem.errors import AgentMemError, DatabaseUnavailable, Fault, InvalidInput, Unavailable
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.ledger.requests import Begun, IdempotentRequests, Replay, StoredAnswer, same_request

KEY_PATTERN: Final = "^[!-~]{1,255}$"
NOT_KEPT: Final = frozenset({401, 403, 408, 409, 429})
"""Refusals that depend on more than the request: the next attempt may fare better."""
LEASE: Final = 5.0
"""Seconds that a claim outlives the longest that a request may take."""
UNTIMED_LEASE: Final = 3600.0
KEPT_HEADERS: Final = ("content-type", "etag", "location", "link")

_BEGUN: Final = "agentmem.begun"
_key = re.compile(KEY_PATTERN)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
log = structlog.get_logger(__name__)


def key_of(request: Request) -> str | None:
    """Read the request's idempotency key; raises :class:`InvalidInput` unless it is 1 to 255 printable characters."""
    given = request.headers.get("idempotency-key")
    if given is None or _key.match(given):
        return given
    message = "is 1 to 255 printable characters of ASCII, without spaces"
    raise InvalidInput(
        f"Input is not valid: header.Idempotency-Key: {message}.",
        faults=[Fault(field="header.Idempotency-Key", message=message)],
    )


async def answered_once(request: Request, served: Served, caller: Caller, rules: Access, handle: Handler) -> Response:
    """Answer a POST; with an ``Idempotency-Key`` that was used before, by the answer it had then."""
    key = key_of(request)
    if key is None:
        return await handle(request)
    route = f"POST {context_of(request.scope).route}"
    digest = _BodyDigest(request, route)
    request = JsonRequest(request.scope, digest.receive)
    known = None if rules.streamed else await digest.of_body(request)
    lease = LEASE + served.app.settings.request_timeout if rules.timed else UNTIMED_LEASE
    begun = await served.idempotency.begin(caller, route, key, known, lease=lease, resumable=rules.resumable)
    if isinstance(begun, Replay):
        same_request(key, begun.digest, await digest.whole())
        return _again(begun.answer)
    request.scope[_BEGUN] = begun
    attempt = _Attempt(requests=served.idempotency, caller=caller, key=key, begun=begun)
    return await attempt.make(request, rules, handle, digest)


def begun_of(request: Request) -> Begun | None:
    """Give the attempt that a handler makes; none for a request without an ``Idempotency-Key``."""
    begun = request.scope.get(_BEGUN)
    return begun if isinstance(begun, Begun) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt:
    """One attempt to do what a key was given for."""

    requests: IdempotentRequests
    caller: Caller
    key: str
    begun: Begun

    async def make(self, request: Request, rules: Access, handle: Handler, digest: _BodyDigest) -> Response:
        try:
            response = await handle(request)
        except AgentMemError as error:
            if error.status in NOT_KEPT or (
                isinstance(error, Unavailable) and not isinstance(error, DatabaseUnavailable)
            ):
                await self.requests.abandon(self.caller, self.key, self.begun)
                raise
            if error.status >= 500:
                await self._lapse()
                raise
            response = respond(request, error)
        except Exception:
            await self._lapse()
            raise
        # A request that is cancelled keeps its claim until the lease is over: what it did is not known.
        await self.requests.finish(
            self.caller, self.key, self.begun, await digest.whole(), _kept(response, secret=rules.secret)
        )
        return response

    async def _lapse(self) -> None:
        try:
            await self.requests.lapse(self.caller, self.key, self.begun)
        except AgentMemError as error:
            log.warning("idempotency_claim_kept", reason=error.code)


class _BodyDigest:
    """Digests what a request asks, while its body arrives."""

    def __init__(self, request: Request, route: str) -> None:
        self._receive = request.receive
        self._ended = False
        query = sorted(request.query_params.multi_items())
        asked = [route, sorted(request.path_params.items()), query]
        self._hash = hashlib.sha256(json.dumps(asked, default=str).encode() + b"\n")

    async def receive(self) -> Message:
        """Give the next message of the request, as the server gives it."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._hash.update(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        return message

    async def of_body(self, request: Request) -> bytes:
        """Let the request read its body, and give the digest."""
        await request.body()
        return await self.whole()

    async def whole(self) -> bytes:
        """Read what nobody has read of the body, and give the digest."""
        while not self._ended:
            if (await self.receive())["type"] == "http.disconnect":
                raise ClientDisconnect
        return self._hash.digest()


def _kept(response: Response, *, secret: bool) -> StoredAnswer:
    body = bytes(response.body)
    if secret and response.status_code < 300:
        body = json.dumps({**json.loads(body), "key": None}).encode()
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return StoredAnswer(status=response.status_code, headers=headers, body=body)


def _again(answer: StoredAnswer) -> Response:
    return Response(answer.body, status_code=answer.status, headers={**answer.headers, "Idempotency-Replayed": "true"})
