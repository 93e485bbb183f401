"""A person who uses a client: their tokens, which are exchanged for the next ones as they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import httpx
from pydantic import ValidationError

from agentmem.errors import ConfigurationError, StepUpRequired, Unauthenticated, Unavailable
from agentmem.schemas.sessions import SignInAnswer, Tokens

_EARLY: Final = 0.9
"""After this share of its time an access token is exchanged: a stream that is being sent cannot be sent again."""


@dataclass(kw_only=True)
class Person:
    """Somebody who has signed in, or does so with the first call, which uses up the password.

    Give a ``refresh_token``, or an ``email`` and a ``password`` of an account that no second factor is asked of. One
    client at a time uses it; ``refresh_token`` is good for one more use afterwards, and changes with each.
    """

    refresh_token: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raise :class:`ConfigurationError` for nobody."""
        if self.refresh_token is None and (self.email is None or self.password is None):
            raise ConfigurationError("A person has a refresh_token, or an email and a password.")


class PersonAuth(httpx.Auth):
    """Sends a person's access token, and gets the next one when it ends: one call does it, the others wait for it."""

    def __init__(self, person: Person, url: httpx.URL) -> None:
        self._person = person
        self._url = url
        self._ends: float | None = None
        self._turn, self._threads = asyncio.Lock(), threading.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request, with the next token if the present one has ended."""
        used = self._person.access_token
        for refused in (False, True):
            async with self._turn:
                if self._must_ask(used, refused=refused):
                    answer = yield self._question(request)
                    await answer.aread()
                    if not self._take(answer):
                        return
            used = self._authorize(request)
            answer = yield request
            if not _may_send_again(request, answer):
                return

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Do the same for threads."""
        used = self._person.access_token
        for refused in (False, True):
            with self._threads:
                if self._must_ask(used, refused=refused):
                    answer = yield self._question(request)
                    answer.read()
                    if not self._take(answer):
                        return
            used = self._authorize(request)
            answer = yield request
            if not _may_send_again(request, answer):
                return

    def _must_ask(self, used: str | None, *, refused: bool) -> bool:
        """Whether another token is needed: not where somebody else got one since this one was refused."""
        present = self._person.access_token
        if refused:
            return present == used
        return present is None or (self._ends is not None and monotonic() >= self._ends)

    def _question(self, request: httpx.Request) -> httpx.Request:
        person, way = self._person, "refresh"
        body: dict[str, str | None] = {"refresh_token": person.refresh_token}
        if person.refresh_token is None:
            way, body = "sign-in", {"email": person.email, "password": person.password}
        return httpx.Request(
            "POST",
            self._url.copy_with(path=f"{self._url.path.rstrip('/')}/v1/auth/{way}"),
            json=body,
            headers={"Accept": "application/json", "User-Agent": "agentmem"},
            extensions={"timeout": request.extensions["timeout"]},
        )

    def _take(self, answer: httpx.Response) -> bool:
        """Keep the tokens of an answer; of one that is a refusal the call is told instead."""
        if not answer.is_success:
            return False
        try:
            tokens = SignInAnswer.model_validate_json(answer.content, extra="ignore").root
        except ValidationError:
            raise Unavailable("The server answered what this client does not understand.") from None
        if not isinstance(tokens, Tokens):
            raise Unauthenticated(
                f"The sign-in needs more than a password: {tokens.status}.",
                hint="Sign in over REST, and give the client the refresh_token.",
            )
        person = self._person
        person.access_token, person.refresh_token = tokens.access_token, tokens.refresh_token
        person.password = None
        self._ends = monotonic() + _EARLY * tokens.expires_in
        return True

    def _authorize(self, request: httpx.Request) -> str | None:
        token = self._person.access_token
        request.headers["Authorization"] = f"Bearer {token}"
        return token


def auth_of(api_key: str | None, person: Person | None, url: httpx.URL) -> PersonAuth | None:
    """Make what sends a person's tokens; raises :class:`ConfigurationError` for a person with an API key."""
    if person is None:
        return None
    if api_key is not None:
        raise ConfigurationError("A client acts for a person or by an API key, not both.")
    return PersonAuth(person, url)


def _may_send_again(request: httpx.Request, answer: httpx.Response) -> bool:
    """Whether another token may help: not one of a sign-in too old, nor where what was sent is gone."""
    too_old = StepUpRequired.code in answer.headers.get("WWW-Authenticate", "")
    return (
        answer.status_code == httpx.codes.UNAUTHORIZED and not too_old and isinstance(request.stream, httpx.ByteStream)
    )
