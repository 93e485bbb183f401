"""The calls about persons, as values."""

from __future__ import annotations

from typing import Final

from agentmem.client.administration import Identifier
from agentmem.client.answers import nothing, one
from agentmem.client.calls import Call, get_from, post_to
from agentmem.client.encoding import body_of, path_of, query_of
from agentmem.schemas.base import parse
from agentmem.schemas.privacy import Erasure, ErasureRequest, SubjectMarks, SubjectState
from agentmem.schemas.retention import RetentionReport, RetentionRequest

SUBJECTS: Final = ("privacy", "subjects")


def erase(user_id: str) -> Call[Erasure]:
    """Ask for the erasure of a user."""
    return post_to(path_of("privacy", "erasures"), one(Erasure), body_of(parse(ErasureRequest, {"user_id": user_id})))


def erasure(erasure_id: Identifier) -> Call[Erasure]:
    """Read an erasure."""
    return get_from(path_of("privacy", "erasures", erasure_id), one(Erasure))


def subject(user_id: str) -> Call[SubjectState]:
    """Read what holds for a user."""
    return get_from(path_of(*SUBJECTS), one(SubjectState), query_of({"user_id": user_id}))


def mark(user_id: str, *, held: bool, restricted: bool) -> Call[SubjectState]:
    """Hold or restrict a user, or end that."""
    marks = parse(SubjectMarks, {"user_id": user_id, "held": held, "restricted": restricted})
    return post_to(path_of(*SUBJECTS), one(SubjectState), body_of(marks))


def retention(*, dry_run: bool) -> Call[RetentionReport]:
    """Say what the rules of retention would remove, or have it removed."""
    body = body_of(parse(RetentionRequest, {"dry_run": dry_run}))
    return post_to(path_of("privacy", "retention"), one(RetentionReport), body)


def export(user_id: str) -> Call[None]:
    """Read everything about a user as a stream of lines."""
    return get_from(path_of("privacy", "export"), nothing, query_of({"user_id": user_id}))
