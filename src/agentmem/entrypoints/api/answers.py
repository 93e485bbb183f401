"""Views as responses."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel
from starlette.responses import Response

from agentmem.entrypoints.api.etags import etag

JSON = "application/json"


def answer(
    view: BaseModel,
    status: int = HTTPStatus.OK,
    *,
    version: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Write a view as JSON, with its version as ``ETag`` where it has one.

    The view is of a type that has been checked when it was made; it is not checked again.
    """
    tags = {} if version is None else {"ETag": etag(version)}
    return Response(
        view.model_dump_json(), status_code=int(status), headers={**(headers or {}), **tags}, media_type=JSON
    )


def nothing() -> Response:
    """Answer that it is done, and that there is nothing to say."""
    return Response(status_code=int(HTTPStatus.NO_CONTENT))
