"""Versions as entity tags: what a reader has seen, and what a change expects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from agentmem.errors import Fault, MalformedRequest, PreconditionRequired

ETAG: Final = re.compile(r'"([1-9][0-9]{0,8})"')
ETAG_PATTERN: Final = '^"[1-9][0-9]{0,8}"$'
"""What ``If-Match`` may hold beside ``*``, which stands for any version."""

_MOST_NAMED: Final = 10


def etag(version: int) -> str:
    """Write a version as a strong entity tag."""
    return f'"{version}"'


def expected_version(request: Request, *, required: bool) -> int | None:
    """Read the version that a change expects; ``None`` for any.

    Raises :class:`PreconditionRequired` when the organization asks for one and the request names none, and
    :class:`MalformedRequest` for what is no strong tag of ours.
    """
    given = request.headers.get("if-match")
    if given is None:
        if required:
            raise PreconditionRequired(
                "The organization asks for the header If-Match on every change.",
                hint="Read the version first, and send its ETag.",
            )
        return None
    if given.strip() == "*":
        return None
    match = ETAG.fullmatch(given.strip())
    if match is None:
        message = 'is one strong entity tag such as "3", or *'
        raise MalformedRequest(
            f"Input is not valid: header.If-Match: {message}.",
            faults=[Fault(field="header.If-Match", message=message)],
        )
    return int(match[1])


def require_versions(field: str, given: Sequence[int | None]) -> None:
    """Check that each item of a batch names the version it expects, as the organization asks for.

    Raises :class:`PreconditionRequired` that names the items which do not.
    """
    message = "names no version, and the organization asks for one on every change"
    faults = [Fault(field=f"body.{field}.{at}.if_version", message=message) for at, one in enumerate(given) if not one]
    if faults:
        raise PreconditionRequired(
            f"{faults[0].field}: {message}.",
            hint="Read the versions first, and send each as if_version.",
            faults=faults[:_MOST_NAMED],
        )


def not_modified(request: Request, version: int) -> Response | None:
    """Give the answer 304 when the reader has this version already."""
    given = request.headers.get("if-none-match")
    if given is None:
        return None
    known = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    if etag(version) in known or "*" in known:
        return Response(status_code=int(HTTPStatus.NOT_MODIFIED), headers={"ETag": etag(version)})
    return None
