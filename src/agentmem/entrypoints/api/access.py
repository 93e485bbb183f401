"""What each route asks of its requests, written where the route is declared and shown in the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from agentmem.entrypoints.api.bodies import BodyLimit
from agentmem.errors import ConfigurationError
from agentmem.schemas.access import Permission

ANY_KEY: Final = "any"
"""In place of a permission: every valid key may."""
ITEMS_A_UNIT: Final = 10
"""How many items of a request cost one unit, where items are charged."""
SENSITIVE: Final = 15 * 60
"""Seconds within which a person must have signed in to do what would be worst in the hands of somebody else."""
PUBLIC: Final = None
"""In place of a permission: no key is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a route asks of its requests."""

    permission: str | None
    cost: int
    if_match: bool
    resumable: bool
    secret: bool
    timed: bool
    streamed: bool
    form: bool
    max_auth_age: int | None

    @classmethod
    def of(cls, extra: object, path: str) -> Access:
        """Read what :func:`access` wrote; raises :class:`ConfigurationError` for a route that does not say."""
        if not isinstance(extra, dict) or "x-agentmem-permission" not in extra:
            raise ConfigurationError(
                f"The route {path} does not say who may use it: give it openapi_extra=access(...)."
            )
        return cls(
            permission=extra["x-agentmem-permission"],
            cost=int(extra["x-agentmem-cost"]),
            if_match=bool(extra.get("x-agentmem-if-match")),
            resumable=bool(extra.get("x-agentmem-resumable")),
            secret=bool(extra.get("x-agentmem-secret")),
            timed="x-agentmem-timeout" not in extra,
            streamed=extra["x-agentmem-body"] == BodyLimit.UNBOUNDED.value,
            form=bool(extra.get("x-agentmem-form")),
            max_auth_age=extra.get("x-agentmem-max-auth-age"),
        )


def access(
    permission: Permission | str | None,
    *,
    cost: int = 1,
    items: bool = False,
    body: BodyLimit = BodyLimit.SMALL,
    if_match: bool = False,
    resumable: bool = False,
    secret: bool = False,
    untimed: bool = False,
    form: bool = False,
    max_auth_age: int | None = None,
) -> dict[str, JsonValue]:
    """Write what a route asks of its requests, as extensions of its operation in the OpenAPI document.

    ``cost`` is what it takes of the rate limits, ``items`` whether its items cost something besides, ``if_match``
    whether it changes a version, ``resumable`` whether it is safe to do again under the same idempotency key after it
    was cut off, ``secret`` whether its answer holds a key that is shown once, ``untimed`` whether it may take longer
    than other requests, ``form`` whether its body may be a form, ``max_auth_age`` how many seconds ago a person may
    have signed in; API keys are no persons.
    """
    extra: dict[str, JsonValue] = {
        "x-agentmem-permission": None if permission is None else str(permission),
        "x-agentmem-cost": cost,
        "x-agentmem-body": body.value,
    }
    if items:
        extra["x-agentmem-items-a-unit"] = ITEMS_A_UNIT
    flags = {"if-match": if_match, "resumable": resumable, "secret": secret, "form": form}
    extra.update({f"x-agentmem-{name}": True for name, given in flags.items() if given})
    if max_auth_age is not None:
        extra["x-agentmem-max-auth-age"] = max_auth_age
    if untimed:
        extra["x-agentmem-timeout"] = None
    return extra
