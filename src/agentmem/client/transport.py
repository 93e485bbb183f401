"""What the asynchronous and the synchronous client share of HTTP: the address, the headers, the failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from typing import Final, TypeVar

import httpx

from agentmem.client.answers import error_of
from agentmem.client.calls import Call
from agentmem.client.retries import Failed, Stage
from agentmem.client.signing import RequestSigner
from agentmem.errors import Closed, ConfigurationError, Unavailable

DEFAULT_URL: Final = "http://127.0.0.1:8080"
LIMITS: Final = httpx.Limits(max_connections=128, max_keepalive_connections=128, keepalive_expiry=30.0)
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
Result = TypeVar("Result")


def address_of(base_url: str, *, insecure: bool) -> httpx.URL:
    """Check the server's address: a key in clear may only travel inside this machine."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        raise ConfigurationError("base_url is not an address.", hint='Write "https://memory.example.com".') from None
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigurationError(
            "base_url is http:// or https:// with a host, and nothing after the path.",
            hint='Write "https://memory.example.com"; the key is api_key.',
        )
    if url.scheme == "http" and not insecure and not _is_loopback(url.host):
        raise ConfigurationError(
            f"base_url {url} would send the API key and the memories in clear.",
            hint="Use https://, or say insecure=True if the network is your own.",
        )
    return url


def headers_of(api_key: str | None) -> dict[str, str]:
    """Give the header fields that go with every request."""
    headers = {"Accept": "application/json, application/x-ndjson, application/problem+json", "User-Agent": "agentmem"}
    if api_key is None:
        return headers
    if not api_key.isascii() or not api_key.isprintable() or not api_key or " " in api_key:
        raise ConfigurationError("api_key is not an API key.", hint="Keys begin with amk_live_ or amk_test_.")
    return {**headers, "Authorization": f"Bearer {api_key}"}


def starred(api_key: str | None) -> str:
    """Show a key without its secret: its prefix and its id, where it has the form of our keys."""
    if api_key is None:
        return "None"
    id_ends = api_key.rfind("_")
    return f"'{api_key[:id_ends]}_***'" if api_key.startswith("amk_") and id_ends >= 20 else "'***'"


def request_of(
    client: httpx.Client | httpx.AsyncClient,
    call: Call[Result],
    timeout: float,
    stream: AsyncIterator[bytes] | Iterator[bytes] | None = None,
    *,
    signer: RequestSigner | None = None,
) -> httpx.Request:
    """Write a call as a request, signed if it can be; ``stream`` is its body where that comes piece by piece."""
    if client.is_closed:
        raise Closed("This client is closed.", hint="Make a new one.")
    headers = dict(call.headers)
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    request = client.build_request(
        call.method,
        call.path,
        params=list(call.query) or None,
        content=call.body if stream is None else stream,
        headers=headers,
        timeout=httpx.Timeout(timeout, read=None if call.patient else max(timeout, call.silence)),
    )
    if signer is not None and stream is None:
        signer.sign(request, call.body)
    return request


def refused(answer: httpx.Response) -> Failed:
    """Give the failure that a refusal is; its body must have been read."""
    return Failed(error=error_of(answer.status_code, answer.headers, answer.content), stage=Stage.ANSWERED)


def broken(error: httpx.TransportError, url: httpx.URL) -> Failed:
    """Give the failure that a broken connection is."""
    server = f"{url.scheme}://{url.netloc.decode()}"
    if isinstance(error, NOT_SENT):
        reason = "cannot be reached"
        hint = "Is it running? Start one with: agentmem serve"
    elif isinstance(error, httpx.TimeoutException):
        reason = "did not answer in time"
        hint = "Whether the call was done is not known."
    else:
        reason = "broke the connection off"
        hint = "Whether the call was done is not known."
    stage = Stage.NOT_SENT if isinstance(error, NOT_SENT) else Stage.CUT
    return Failed(error=Unavailable(f"The server at {server} {reason}.", hint=hint), stage=stage)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
