"""PostgreSQL's errors in the words of AgentMem."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from agentmem.errors import AgentMemError, ConfigurationError, DatabaseUnavailable, StorageFull

_RETRY = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable, errors.QueryCanceled)
_GONE = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.TooManyConnections)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what PostgreSQL raises inside the block into an error of ours; anything else is a fault and passes."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig
        if isinstance(cause, psycopg.Error):
            known = translate(cause)
            if known is not None:
                raise known from error
        raise
    except psycopg.Error as error:
        known = translate(error)
        if known is not None:
            raise known from error
        raise


def translate(error: psycopg.Error) -> AgentMemError | None:
    """Find the error of ours that a psycopg error means; none for faults of the program."""
    if isinstance(error, errors.DiskFull | errors.IoError):
        return StorageFull(
            "The database cannot write: the disk is full or read-only.", hint="Free space or fix the mount; then retry."
        )
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return DatabaseUnavailable(
            "The database takes no writes: it is a standby, or was made read-only.",
            hint="Retry; let AGENTMEM_DATABASE_URL name all servers, with target_session_attrs=read-write.",
        )
    if isinstance(error, errors.InvalidPassword | errors.InvalidAuthorizationSpecification):
        return ConfigurationError("The database refused the sign-in.", hint="Check AGENTMEM_DATABASE_URL.")
    if isinstance(error, errors.InsufficientPrivilege):
        return ConfigurationError(
            f"The database role lacks a privilege: {error.diag.message_primary}.",
            hint="See how to use your own PostgreSQL for the privileges that it needs.",
        )
    if isinstance(error, _RETRY):
        return DatabaseUnavailable("The transaction met another one and was rolled back.", hint="Retry.")
    if isinstance(error, _GONE) or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
        return DatabaseUnavailable("The database does not answer.", hint="It may be starting again: retry.")
    return None
