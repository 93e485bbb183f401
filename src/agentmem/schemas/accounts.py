"""Accounts of people: what is asked for, and what is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from agentmem.schemas.base import Schema, Text, check_text
from agentmem.schemas.organizations import Name

LONGEST_PASSWORD: Final = 1024
"""Bytes of a password as UTF-8."""
EmailAddress = Annotated[Text, Field(min_length=3, max_length=254, json_schema_extra={"format": "email"})]


def _check_password(value: SecretStr) -> SecretStr:
    """Refuse what cannot be a password, and say nothing of what it holds."""
    if len(check_text(value.get_secret_value()).encode()) > LONGEST_PASSWORD:
        raise ValueError(f"has more than {LONGEST_PASSWORD} bytes")
    return value


Password = Annotated[SecretStr, Field(min_length=1), AfterValidator(_check_password)]
"""A password as it was typed; it is never changed, shown or logged."""


class NewAccount(Schema):
    """An account to create."""

    email: EmailAddress = Field(repr=False)
    name: Name = Field(repr=False)


class Account(Schema):
    """An account as its owner and the operators of the platform see it.

    ``valid_after`` is the moment before which nothing that it signed in with is valid any more.
    """

    id: UUID
    email: str = Field(repr=False)
    name: str = Field(repr=False)
    created_by: str
    created_at: datetime
    verified_at: datetime | None = None
    disabled_at: datetime | None = None
    valid_after: datetime
    version: int


Secret = Annotated[SecretStr, Field(min_length=1, max_length=255)]
"""What a mail carried."""


class AddressRequest(Schema):
    """A mail that somebody asks for: the answer is the same whether the address has an account or not."""

    email: EmailAddress = Field(repr=False)


class Accepted(Schema):
    """The answer to whoever asked for a mail."""

    accepted: bool = True


class Registration(Schema):
    """The secret of a mail, and with whom it makes an account."""

    secret: Secret
    name: Name = Field(repr=False)
    password: Password


class PasswordReset(Schema):
    """The secret of a mail, and the password that it sets."""

    secret: Secret
    password: Password


class Unlocking(Schema):
    """The secret of a mail that ends the delays of an account."""

    secret: Secret


class Acceptance(Schema):
    """The secret of an invitation, for somebody who has signed in."""

    secret: Secret


class PasswordChange(Schema):
    """The present password and another one; ``device`` is the token of a device that has signed in before."""

    present: Password
    password: Password
    device: Annotated[str, Field(max_length=255)] | None = Field(default=None, repr=False)


class OwnAccountPatch(Schema):
    """Changes to one's own account."""

    name: Name = Field(repr=False)


class FirstAccount(NewAccount):
    """An account to create with a password, by whoever runs the installation."""

    password: Password
