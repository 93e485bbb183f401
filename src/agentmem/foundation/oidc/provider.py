"""OpenID providers: found by their issuer, and asked for what a code stands for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Annotated, Final, TypeVar, cast
from urllib.parse import quote, urlencode

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentmem.errors import Unavailable
from agentmem.foundation.oidc.identity_token import Expected, Vouched, check_identity_token, refused
from agentmem.foundation.outbound.port import Fetcher, Message
from agentmem.kit.cache import Cache

KNOWN_SECONDS: Final = 300.0
MOST_PROVIDERS: Final = 256
AGAIN_SECONDS: Final = 10.0
"""How long the keys of a provider are taken as they are, before one that is not among them has them read again."""
_DISCOVERY: Final = "/.well-known/openid-configuration"
Address = Annotated[str, Field(min_length=8, max_length=2048)]


class Configuration(BaseModel):
    """What a provider says of itself (OpenID Connect Discovery 1.0)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issuer: Address
    authorization_endpoint: Address
    token_endpoint: Address
    jwks_uri: Address
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id_token: Annotated[str, Field(repr=False)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A provider as it was when it was looked at."""

    configuration: Configuration
    keys: KeySet
    since: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A code to be exchanged, and all that belongs to it."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    client_secret: str | None = field(repr=False)
    redirect_uri: str
    expected: Expected


Model = TypeVar("Model", bound=BaseModel)


class Providers:
    """Asks providers; what they say of themselves is believed for five minutes."""

    def __init__(self, fetcher: Fetcher | None, *, ticks: Callable[[], float] = monotonic) -> None:
        """Know none; without a fetcher none can be asked."""
        self._fetcher = fetcher
        self._ticks = ticks
        self._known: Cache[str, Known] = Cache(capacity=MOST_PROVIDERS, seconds=KNOWN_SECONDS, clock=ticks)

    async def authorization_endpoint(self, issuer: str) -> str:
        """Give where people sign in; raises :class:`Unavailable` for a provider that does not answer as one."""
        return (await self._find(issuer)).configuration.authorization_endpoint

    async def exchange(self, exchange: Exchange, now: datetime) -> Vouched:
        """Exchange a code for what the provider says of whoever signed in; raises :class:`Unauthenticated`."""
        expected = exchange.expected
        known = await self._find(expected.issuer)
        status, body = await self._ask("POST", known.configuration.token_endpoint, *_form(known, exchange))
        if status != 200:
            raise refused("the provider does not take its code")
        text = _read(_Answer, body).id_token
        if not _names_known_key(text, known.keys) and self._ticks() - known.since > AGAIN_SECONDS:
            self._known.drop(expected.issuer)
            known = await self._find(expected.issuer)
        return check_identity_token(text, known.keys, expected, now)

    async def _find(self, issuer: str) -> Known:
        known = self._known.get(issuer)
        if known is None:
            configuration = _read(Configuration, await self._get(f"{issuer.removesuffix('/')}{_DISCOVERY}"))
            if configuration.issuer != issuer:
                raise Unavailable("The provider calls itself by another name than the policy does (issuer).")
            try:
                listed = _read(_Keys, await self._get(configuration.jwks_uri)).model_dump()
                keys = KeySet.import_key_set(cast("KeySetSerialization", listed))
            except (JoseError, ValueError, TypeError, KeyError):
                raise Unavailable("The keys of the provider cannot be read.") from None
            known = Known(configuration=configuration, keys=keys, since=self._ticks())
            self._known.put(issuer, known)
        return known

    async def _get(self, url: str) -> bytes:
        status, body = await self._ask("GET", url, {"Accept": "application/json"}, b"")
        if status != 200:
            raise Unavailable("The provider does not say how to sign in there.", hint="Check the issuer.")
        return body

    async def _ask(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if self._fetcher is None:
            raise Unavailable("This process cannot ask providers.", hint="Install agentmem[server].")
        given = {"User-Agent": "agentmem", "Accept": "application/json", **headers}
        return await self._fetcher.fetch(method, Message(url=url, headers=given, body=body))


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    keys: list[dict[str, object]]


def authorization_url(endpoint: str, parameters: dict[str, str]) -> str:
    """Give the address that somebody is sent to."""
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"


def _form(known: Known, exchange: Exchange) -> tuple[dict[str, str], bytes]:
    form = {
        "grant_type": "authorization_code",
        "code": exchange.code,
        "redirect_uri": exchange.redirect_uri,
        "code_verifier": exchange.verifier,
        "client_id": exchange.expected.client_id,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if exchange.client_secret is not None:
        if "client_secret_basic" in known.configuration.token_endpoint_auth_methods_supported:
            pair = f"{quote(form.pop('client_id'), safe='')}:{quote(exchange.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form["client_secret"] = exchange.client_secret
    body = urlencode(form).encode()
    return {**headers, "Content-Length": str(len(body))}, body


def _read(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise Unavailable("The provider does not answer as one of OpenID Connect.", hint="Check the issuer.") from None


def _names_known_key(text: str, keys: KeySet) -> bool:
    try:
        kid = jws.extract_compact(text.encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError):
        return True  # whatever it is, other keys do not make it better
    return kid is None or any(key.kid == kid for key in keys.keys)
