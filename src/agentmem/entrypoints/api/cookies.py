"""The browser's flow: tokens in cookies that no script reads, which only our own pages may send."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from agentmem.errors import PermissionDenied
from agentmem.schemas.sessions import Tokens
from agentmem.settings import Settings

ACCESS: Final = "__Host-agentmem-access"
REFRESH: Final = "__Host-agentmem-refresh"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def authorization_of(request: Request, settings: Settings) -> str | None:
    """Give the credential of a request: its header, else the cookie of a page of ours.

    Raises :class:`PermissionDenied` for a cookie that a page of another origin has sent.
    """
    given, cookie = request.headers.get("authorization"), request.cookies.get(ACCESS)
    if given is not None or cookie is None:
        return given
    require_own_page(request, settings)
    return f"Bearer {cookie}"


def refresh_token_of(request: Request, settings: Settings) -> str | None:
    """Give the refresh token of a page of ours, if it has one; raises as :func:`authorization_of`."""
    cookie = request.cookies.get(REFRESH)
    if cookie is not None:
        require_own_page(request, settings)
    return cookie


def require_own_page(request: Request, settings: Settings) -> None:
    """Raise :class:`PermissionDenied` unless a page of ours, or one that may act for its visitor, sent the request.

    ``SameSite=Strict`` keeps the cookies from other sites already; this keeps out the other hosts of ours.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is not None:
        own = origin in _origins(request, settings)
    elif site is not None:
        own = site in {"same-origin", "none"}
    else:
        own = request.method in _SAFE
    if not own:
        raise PermissionDenied("A page of another origin sent the request, with a cookie of ours.")


def with_cookies(response: Response, tokens: Tokens, refresh_seconds: int) -> Response:
    """Put tokens into cookies of a response."""
    for name, value, seconds in (
        (ACCESS, tokens.access_token, tokens.expires_in),
        (REFRESH, tokens.refresh_token, refresh_seconds),
    ):
        response.set_cookie(name, value or "", max_age=seconds, path="/", secure=True, httponly=True, samesite="strict")
    return response


def without_cookies(response: Response) -> Response:
    """Take the cookies back."""
    for name in (ACCESS, REFRESH):
        response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")
    return response


def hidden(tokens: Tokens) -> Tokens:
    """Give what a page may know of its tokens: not the tokens."""
    return tokens.model_copy(update={"access_token": None, "refresh_token": None})


def _origins(request: Request, settings: Settings) -> set[str]:
    if settings.public_url is not None:
        parts = urlsplit(settings.public_url)
        own = f"{parts.scheme}://{parts.netloc}".lower()
    else:
        own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return {own, *(settings.cors_origins if settings.cors_credentials else ())}
