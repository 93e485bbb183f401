"""An example of each operation on sessions and signing keys, called with what belongs to somebody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agentmem.features.identity.sessions.model import Opening
from agentmem.foundation.authorization.caller import Caller
from agentmem.schemas.policies import SessionPolicy
from tests.support.foreign import Call, Foreign


def _owner(caller: Caller, foreign: Foreign) -> Caller:
    return replace(caller, account_id=foreign.account_id)


def _opening(foreign: Foreign) -> Opening:
    return Opening(organization_id=foreign.organization_id, member_id=foreign.member_id, methods=("pwd",), level="aal1")


CALLS: dict[str, Call] = {
    "SessionService.open": lambda s, c, f: s.open(_owner(c, f), _opening(f), SessionPolicy()),
    "SessionService.refresh": lambda s, c, f: s.refresh(_owner(c, f), f.opened.refresh),
    "SessionService.own": lambda s, c, f: s.own(_owner(c, f)),
    "SessionService.end_own": lambda s, c, f: s.end_own(_owner(c, f), f.session_id),
    "SessionService.end_if_open": lambda s, c, f: s.end_if_open(_owner(c, f), f.session_id, "a test"),
    "SessionService.end_by_token": lambda s, c, f: s.end_by_token(_owner(c, f), f.opened.refresh),
    "SessionService.end_others": lambda s, c, f: s.end_others(_owner(c, f)),
    "SessionService.of_account": lambda s, c, f: s.of_account(c, f.account_id),
    "SessionService.end_of_account": lambda s, c, f: s.end_of_account(c, f.account_id, f.session_id, "a test"),
    "SigningKeyService.every": lambda s, c, f: s.every(c),
    "SigningKeyService.rotate": lambda s, c, f: s.rotate(c, at_once=False),
    "SigningKeyService.rotate_due": lambda s, c, f: s.rotate_due(c, timedelta(0)),
    "SigningKeyService.due": lambda s, c, f: s.due(c, timedelta(0)),
    "SigningKeyService.signing": lambda s, c, f: s.signing(c),
    "SigningKeyService.ensure": lambda s, c, f: s.ensure(c),
}

NOT_FOUND = frozenset({"SessionService.open", "SessionService.end_own", "SessionService.end_of_account"})
"""Operations that answer what belongs to somebody else as they do what nobody has."""
