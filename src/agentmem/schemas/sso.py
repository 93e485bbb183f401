"""Single sign-on: what is asked of its routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from agentmem.schemas.base import Schema, Text


class SsoSecret(Schema):
    """The secret by which an organization's provider knows us; ``None`` for a client that has none."""

    client_secret: Annotated[SecretStr, Field(min_length=1, max_length=1024)] | None


class SsoStart(Schema):
    """How a sign-in at a provider begins: with ``cookies`` it ends in cookies, for a page of ours."""

    cookies: bool = False


class SsoCallback(Schema):
    """With what a provider sends somebody back (OpenID Connect, RFC 9207)."""

    state: Annotated[Text, Field(min_length=1, max_length=255)]
    code: Annotated[Text, Field(min_length=1, max_length=4096)] | None = Field(default=None, repr=False)
    iss: Annotated[Text, Field(max_length=2048)] | None = None
    error: Annotated[Text, Field(max_length=255)] | None = None
    error_description: Annotated[Text, Field(max_length=2048)] | None = None
    session_state: Annotated[Text, Field(max_length=255)] | None = None
