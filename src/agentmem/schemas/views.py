"""Shapes that several answers share."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import Field

from agentmem.schemas.base import Schema
from agentmem.schemas.keys import ApiKey
from agentmem.schemas.organizations import Organization

Item = TypeVar("Item")


class Items(Schema, Generic[Item]):
    """A whole list, in order."""

    items: list[Item]


class CreatedOrganization(Schema):
    """A new organization with its owner's first API key, which is shown this once.

    ``key`` is ``None`` in the answer to a repetition (same ``Idempotency-Key``) of a request that was answered. If that
    answer was lost, ``agentmem keys create NAME --organization ID`` makes another key on the server's machine.
    """

    organization: Organization
    key: Annotated[str | None, Field(repr=False)]
    api_key: ApiKey
