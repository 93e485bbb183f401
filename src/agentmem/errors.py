"""Every error that AgentMem raises, drawn as one tree.

::

    AgentMemError                    agentmem_error            500
    ├── ConfigurationError           configuration_invalid     500
    ├── InvalidInput                 input_invalid             422
    │   ├── ContentTooLarge          content_too_large         413
    │   ├── InvalidFilter            filter_invalid            422
    │   ├── InvalidCursor            cursor_invalid            422
    │   ├── EmptyScope               scope_empty               422
    │   ├── WeakPassword             password_weak             422
    │   ├── ImportFailed             import_failed             422
    │   ├── MalformedRequest         request_malformed         400
    │   ├── RequestTooLarge          request_too_large         413
    │   ├── UnsupportedContent       content_type_unsupported  415
    │   └── HeaderTooLarge           header_too_large          431
    ├── Unauthenticated              unauthenticated           401
    │   ├── InvalidSignature         signature_invalid         401
    │   ├── InvalidGrant             invalid_grant             401
    │   └── StepUpRequired           insufficient_user_authentication  401
    ├── PermissionDenied             permission_denied         403
    │   ├── NetworkRefused           network_refused           403
    │   ├── OrganizationSuspended    organization_suspended    403
    │   ├── QuotaExceeded            quota_exceeded            403
    │   └── TooManySessions          too_many_sessions         403
    ├── NotFound                     not_found                 404
    │   ├── RouteNotFound            route_not_found           404
    │   └── EventsGone               events_gone               410
    ├── MethodNotAllowed             method_not_allowed        405
    ├── Conflict                     conflict                  409
    │   ├── VersionConflict          version_conflict          412
    │   ├── IdempotencyConflict      idempotency_conflict      422
    │   ├── PreconditionRequired     precondition_required     428
    │   ├── LeaseLost                lease_lost                409
    │   ├── LockLost                 lock_lost                 409
    │   ├── RequestRunning           request_running           409   retry
    │   └── OutcomeUnknown           outcome_unknown           409
    ├── Unavailable                  unavailable               503   retry
    │   ├── DatabaseUnavailable      database_unavailable      503   retry
    │   ├── StorageFull              storage_full              507
    │   ├── EmbedderUnavailable      embedder_unavailable      503   retry
    │   ├── KeyProviderUnavailable   key_provider_unavailable  503   retry
    │   ├── RerankerUnavailable      reranker_unavailable      503   retry
    │   ├── StateUnavailable         state_unavailable         503   retry
    │   ├── MailUnavailable          mail_unavailable          503   retry
    │   ├── Overloaded               overloaded                503   retry
    │   ├── DeadlineExceeded         deadline_exceeded         503   retry
    │   ├── RequestTimeout           request_timeout           408   retry
    │   └── RateLimited              rate_limited              429   retry
    ├── IncompatibleStore            store_incompatible        500
    ├── IntegrityError               integrity_failed          500
    │   └── DecryptionFailed         decryption_failed         500
    ├── KeyUnavailable               key_unavailable           503
    └── Closed                       closed                    500

A message says what was wrong, with which value (never a secret, never a memory's content), and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One field of an input that is at fault, and what is wrong with it; never its value."""

    field: str
    message: str


class AgentMemError(Exception):
    """Base of all errors of AgentMem; catch it to catch them all.

    ``code`` is stable and machine-readable, ``status`` is the HTTP status it becomes, ``retryable`` says whether the
    same call may succeed later without a change. ``retry_after`` is the number of seconds after which it may, where
    that is known; ``faults`` lists the fields at fault, where there are any; ``headers`` say more of it in HTTP.
    """

    code: str = "agentmem_error"
    status: int = 500
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry_after: float | None = None,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message if hint is None else f"{message} {hint}")
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        self.faults = tuple(faults)
        self.headers = headers


class ConfigurationError(AgentMemError):
    """A setting is missing, malformed or contradicts another."""

    code = "configuration_invalid"


class InvalidInput(AgentMemError):
    """An argument has the wrong type or an impossible value; nothing was stored."""

    code = "input_invalid"
    status = 422


class ContentTooLarge(InvalidInput):
    """A memory's content is over the size limit; nothing was stored."""

    code = "content_too_large"
    status = 413


class InvalidFilter(InvalidInput):
    """A filter names an unknown field or operator, or a value of the wrong type."""

    code = "filter_invalid"


class InvalidCursor(InvalidInput):
    """A page cursor is damaged, or belongs to another query."""

    code = "cursor_invalid"


class EmptyScope(InvalidInput):
    """A call that deletes by scope was given no scope; nothing was deleted."""

    code = "scope_empty"


class WeakPassword(InvalidInput):
    """A new password is not what the policies ask for; each fault names one rule, and nothing was changed."""

    code = "password_weak"


class ImportFailed(InvalidInput):
    """A line of an import, or its file, cannot be read; the message names it."""

    code = "import_failed"


class MalformedRequest(InvalidInput):
    """A request is not sound HTTP or JSON; nothing was stored."""

    code = "request_malformed"
    status = 400


class RequestTooLarge(InvalidInput):
    """A request's body is larger than its route takes; nothing was stored."""

    code = "request_too_large"
    status = 413


class UnsupportedContent(InvalidInput):
    """A request's body is of a type or an encoding that its route does not take."""

    code = "content_type_unsupported"
    status = 415


class HeaderTooLarge(InvalidInput):
    """A request's headers are larger than the server takes."""

    code = "header_too_large"
    status = 431


class Unauthenticated(AgentMemError):
    """The request carries no API key that is good; one message for every cause."""

    code = "unauthenticated"
    status = 401


class InvalidSignature(Unauthenticated):
    """A request is not signed though it must be, or its signature does not hold; sign it anew and send it again."""

    code = "signature_invalid"


class InvalidGrant(Unauthenticated):
    """A refresh token is not good; one message for every cause."""

    code = "invalid_grant"


class StepUpRequired(Unauthenticated):
    """The operation asks for a more recent sign-in than the session's (RFC 9470)."""

    code = "insufficient_user_authentication"


class PermissionDenied(AgentMemError):
    """The caller lacks the permission that the operation asks for."""

    code = "permission_denied"
    status = 403


class NetworkRefused(PermissionDenied):
    """The installation takes no requests from the address that this one comes from."""

    code = "network_refused"


class OrganizationSuspended(PermissionDenied):
    """The caller's organization is suspended or about to be deleted."""

    code = "organization_suspended"


class QuotaExceeded(PermissionDenied):
    """The call would pass a limit of the organization; nothing was stored."""

    code = "quota_exceeded"


class TooManySessions(PermissionDenied):
    """The account has as many sessions as it may, and none makes room; nothing was opened."""

    code = "too_many_sessions"


class NotFound(AgentMemError):
    """There is no such thing, or it belongs to somebody else."""

    code = "not_found"
    status = 404


class RouteNotFound(NotFound):
    """The server has no such path."""

    code = "route_not_found"


class EventsGone(NotFound):
    """Events after the place that a reader names are not kept any more."""

    code = "events_gone"
    status = 410


class MethodNotAllowed(AgentMemError):
    """The path does not take this method."""

    code = "method_not_allowed"
    status = 405


class Conflict(AgentMemError):
    """The call contradicts the present state."""

    code = "conflict"
    status = 409


class VersionConflict(Conflict):
    """The memory has changed since the version that the caller named."""

    code = "version_conflict"
    status = 412


class IdempotencyConflict(Conflict):
    """An idempotency key was used again with different content."""

    code = "idempotency_conflict"
    status = 422


class PreconditionRequired(Conflict):
    """The organization asks for the version that a change expects, and the call names none."""

    code = "precondition_required"
    status = 428


class LeaseLost(Conflict):
    """A worker took longer to say that it is alive than its job waits; another one has it, and nothing was stored."""

    code = "lease_lost"


class LockLost(Conflict):
    """Another process has begun the same work, so that this one may not write any more."""

    code = "lock_lost"


class RequestRunning(Conflict):
    """A request with the same idempotency key is still running."""

    code = "request_running"
    retryable = True


class OutcomeUnknown(Conflict):
    """A request with the same idempotency key was cut off; what it did is not known."""

    code = "outcome_unknown"


class Unavailable(AgentMemError):
    """Something that the call needs does not answer now."""

    code = "unavailable"
    status = 503
    retryable = True


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer, or the embedded server could not be started."""

    code = "database_unavailable"


class StorageFull(Unavailable):
    """The disk, or what the output is written to, is full or read-only; nothing was stored."""

    code = "storage_full"
    status = 507
    retryable = False


class EmbedderUnavailable(Unavailable):
    """The embedding model failed or did not answer in time."""

    code = "embedder_unavailable"


class KeyProviderUnavailable(Unavailable):
    """The service that holds the master keys did not answer in time; keys that are at hand work on for minutes."""

    code = "key_provider_unavailable"


class RerankerUnavailable(Unavailable):
    """The reranker failed or did not answer in time; a search goes on without it."""

    code = "reranker_unavailable"


class StateUnavailable(Unavailable):
    """The state that servers share (Redis) does not answer."""

    code = "state_unavailable"


class MailUnavailable(Unavailable):
    """The mail server does not answer, or does not take a mail."""

    code = "mail_unavailable"


class Overloaded(Unavailable):
    """The server has as many requests as it can take."""

    code = "overloaded"


class DeadlineExceeded(Unavailable):
    """The request took longer than the server allows; whether it was done is not known."""

    code = "deadline_exceeded"


class RequestTimeout(Unavailable):
    """The request's body did not arrive in time; nothing was stored."""

    code = "request_timeout"
    status = 408


class RateLimited(Unavailable):
    """The caller has sent more than its limit allows; ``retry_after`` says when to try again.

    ``headers`` say in HTTP which limit it was and when it is free again.
    """

    code = "rate_limited"
    status = 429


class IncompatibleStore(AgentMemError):
    """The data directory or database belongs to another program or a newer version."""

    code = "store_incompatible"


class IntegrityError(AgentMemError):
    """Stored data is not what was written."""

    code = "integrity_failed"


class DecryptionFailed(IntegrityError):
    """Sealed data does not open: wrong key, or changed since it was written."""

    code = "decryption_failed"


class KeyUnavailable(AgentMemError):
    """An encryption key cannot be read or used."""

    code = "key_unavailable"
    status = 503


class Closed(AgentMemError):
    """The store was used before it was opened or after it was closed."""

    code = "closed"
