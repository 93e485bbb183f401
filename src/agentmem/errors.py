"""Every error that AgentMem raises, drawn as one tree.

::

    AgentMemError                    agentmem_error            500
    ├── ConfigurationError           configuration_invalid     500
    ├── InvalidInput                 input_invalid             422
    │   ├── ContentTooLarge          content_too_large         413
    │   ├── InvalidFilter            filter_invalid            422
    │   ├── InvalidCursor            cursor_invalid            422
    │   ├── EmptyScope               scope_empty               422
    │   └── ImportFailed             import_failed             422
    ├── PermissionDenied             permission_denied         403
    ├── NotFound                     not_found                 404
    ├── Conflict                     conflict                  409
    │   ├── VersionConflict          version_conflict          412
    │   └── IdempotencyConflict      idempotency_conflict      422
    ├── Unavailable                  unavailable               503   retry
    │   ├── DatabaseUnavailable      database_unavailable      503   retry
    │   ├── StorageFull              storage_full              507
    │   └── EmbedderUnavailable      embedder_unavailable      503   retry
    ├── IncompatibleStore            store_incompatible        500
    ├── IntegrityError               integrity_failed          500
    │   └── DecryptionFailed         decryption_failed         500
    ├── KeyUnavailable               key_unavailable           503
    └── Closed                       closed                    500

A message says what was wrong, with which value (never a secret, never a memory's content), and what to do.
"""

from __future__ import annotations


class AgentMemError(Exception):
    """Base of all errors of AgentMem; catch it to catch them all.

    ``code`` is stable and machine-readable, ``status`` is the HTTP status it becomes, ``retryable`` says whether the
    same call may succeed later without a change.
    """

    code: str = "agentmem_error"
    status: int = 500
    retryable: bool = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message} {hint}")
        self.message = message
        self.hint = hint


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


class ImportFailed(InvalidInput):
    """A line of an import cannot be read; the message names the line."""

    code = "import_failed"


class PermissionDenied(AgentMemError):
    """The caller lacks the permission that the operation asks for."""

    code = "permission_denied"
    status = 403


class NotFound(AgentMemError):
    """There is no such thing, or it belongs to somebody else."""

    code = "not_found"
    status = 404


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


class Unavailable(AgentMemError):
    """Something that the call needs does not answer now."""

    code = "unavailable"
    status = 503
    retryable = True


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer, or the embedded server could not be started."""

    code = "database_unavailable"


class StorageFull(Unavailable):
    """The disk is full or read-only; nothing was stored."""

    code = "storage_full"
    status = 507
    retryable = False


class EmbedderUnavailable(Unavailable):
    """The embedding model failed or did not answer in time."""

    code = "embedder_unavailable"


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
