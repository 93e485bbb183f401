"""A vendor's model behind HTTP: how it is asked, and what becomes of its failures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, TypeVar

from pydantic import BaseModel, JsonValue, SecretStr, ValidationError

from agentmem.errors import Closed, ConfigurationError, EmbedderUnavailable, RerankerUnavailable, Unavailable
from agentmem.foundation.resilience.guarded import Guard, Guarded
from agentmem.foundation.resilience.retry import RetryPolicy

try:
    import httpx

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when a remote model is asked for
    _INSTALLED = False

EMBEDDER: Final = Guard(
    name="embedder",
    what="The embedding model",
    error=EmbedderUnavailable,
    seconds=30.0,
    # Fewer than the requests of one organization that are worked on at once: those that need no model go on.
    most=24,
    waiting=24,
)
RERANKER: Final = Guard(
    name="reranker",
    what="The reranker",
    error=RerankerUnavailable,
    seconds=30.0,
    # A search waits for it, for less if a setting says so, and can do without.
    retry=RetryPolicy(attempts=1),
)
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that say nothing of the request itself: the same one may be answered a moment later."""

Answer = TypeVar("Answer", bound=BaseModel)


class Endpoint:
    """The address of a model that is asked in JSON and answers in JSON.

    Every failure of the vendor, of the network or of the answer is ``error``; the key is never in a message.
    """

    def __init__(
        self,
        what: str,
        base_url: str,
        *,
        api_key: SecretStr | None,
        error: type[Unavailable],
        guarded: Guarded,
    ) -> None:
        """Prepare the connection pool; nothing is sent yet. ``what`` names the model in messages.

        ``guarded`` decides whether and how long the endpoint is asked, and whether again.

        Raises :class:`ConfigurationError` without the extra, or if the address is not an HTTP one.
        """
        if not _INSTALLED:
            raise ConfigurationError(
                f"The {what} needs the package httpx, which is not installed.",
                hint='Install it with: pip install "agentmem[remote]"',
            )
        try:
            address = httpx.URL(base_url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in {"http", "https"} or not address.host:
            raise ConfigurationError(
                f"The address of the {what} is not an http(s) URL.", hint="Write it like https://api.openai.com/v1."
            )
        # the host alone: an address may carry a name and a password
        self._what, self._error = f"The {what} at {address.host}", error
        self._base_url = base_url.rstrip("/")
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key.get_secret_value()}"}
        # The guard has the only clock.
        self._client = httpx.AsyncClient(headers=headers, timeout=None)  # noqa: S113
        self._guarded = guarded

    async def post(
        self, route: str, body: Mapping[str, JsonValue], answer: type[Answer], *, seconds: float | None = None
    ) -> Answer:
        """Send a request and read its answer; ``seconds`` is for that, in place of the guard's own."""
        if self._client.is_closed:
            raise Closed(f"{self._what} is closed.", hint="Open the store again.")
        response = await self._guarded.call(partial(self._send, route, body), seconds=seconds)
        if response.status_code != httpx.codes.OK:
            raise self.unavailable(f"answered with HTTP status {response.status_code}")
        try:
            return answer.model_validate_json(response.content)
        except ValidationError:
            raise self.unavailable("gave an answer that cannot be read") from None

    async def _send(self, route: str, body: Mapping[str, JsonValue]) -> httpx.Response:
        try:
            response = await self._client.post(f"{self._base_url}{route}", json=body)
        except httpx.HTTPError as error:
            raise self.unavailable(f"could not be reached ({type(error).__name__})") from None
        if response.status_code in _PASSING:
            raise self.unavailable(f"answered with HTTP status {response.status_code}", _retry_after(response))
        return response

    def unavailable(self, what: str, retry_after: float | None = None) -> Unavailable:
        """Make the error that says what the model did instead of its work."""
        return self._error(f"{self._what} {what}.", retry_after=retry_after)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _retry_after(response: httpx.Response) -> float | None:
    """Read the seconds that the vendor asks to be left alone for; a date says nothing, for clocks differ."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isascii() and asked.isdecimal() else None


def sendable(text: str) -> str:
    """Give a text as JSON can carry it: without lone surrogates, and not empty, which some vendors refuse."""
    return text.encode("utf-8", "replace").decode() or " "
