"""An example of each operation on second factors, called with what belongs to somebody else."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from agentmem.features.identity.factors.webauthn import Registered
from agentmem.foundation.authorization.caller import Caller
from agentmem.schemas.factors import FactorKind
from tests.support.foreign import Call, Foreign

_MADE = Registered(credential_id=b"of the attacker", public_key=b"key", sign_count=0)
_CODE = "7ZQ4M0-XKD3AV-9T1B5W-E8HJRC"


def _as(caller: Caller, foreign: Foreign) -> Caller:
    return replace(caller, account_id=foreign.account_id)


CALLS: dict[str, Call] = {
    "FactorService.get": lambda s, c, f: s.get(_as(c, f)),
    "FactorService.kinds": lambda s, c, f: s.kinds(_as(c, f)),
    "FactorService.of_account": lambda s, c, f: s.of_account(c, f.account_id),
    "FactorService.enrol_totp": lambda s, c, f: s.enrol_totp(_as(c, f)),
    "FactorService.confirm_totp": lambda s, c, f: s.confirm_totp(_as(c, f), "000000"),
    "FactorService.verify_totp": lambda s, c, f: s.verify_totp(_as(c, f), "000000"),
    "FactorService.make_recovery_codes": lambda s, c, f: s.make_recovery_codes(_as(c, f)),
    "FactorService.verify_recovery_code": lambda s, c, f: s.verify_recovery_code(_as(c, f), _CODE),
    "FactorService.enrol_receiver": lambda s, c, f: s.enrol_receiver(_as(c, f), FactorKind.SMS, "+4915112345679"),
    "FactorService.issue_code": lambda s, c, f: s.issue_code(_as(c, f), FactorKind.SMS),
    "FactorService.verify_sent_code": lambda s, c, f: s.verify_sent_code(_as(c, f), FactorKind.SMS, "000000"),
    "FactorService.remove": lambda s, c, f: s.remove(_as(c, f), FactorKind.TOTP),
    "FactorService.reset": lambda s, c, f: s.reset(c, f.account_id),
    "PasskeyService.all": lambda s, c, f: s.all(_as(c, f)),
    "PasskeyService.address": lambda s, c, f: s.address(_as(c, f)),
    "PasskeyService.find": lambda s, c, f: s.find(_as(c, f), f.account_id.bytes),
    "PasskeyService.add": lambda s, c, f: s.add(_as(c, f), "mine", _MADE),
    "PasskeyService.accept": lambda s, c, f: s.accept(_as(c, f), uuid4(), 7),
    "PasskeyService.remove": lambda s, c, f: s.remove(_as(c, f), uuid4()),
}

NOT_FOUND = frozenset(
    {
        *(f"FactorService.{name}" for name in ("of_account", "enrol_totp", "confirm_totp", "make_recovery_codes")),
        *(f"FactorService.{name}" for name in ("enrol_receiver", "issue_code", "remove", "reset")),
        *(f"PasskeyService.{name}" for name in ("address", "add", "remove")),
    }
)
"""Operations that answer what belongs to somebody else as they do what nobody has."""
REFUSED = frozenset(
    {
        *(f"FactorService.{name}" for name in ("verify_totp", "verify_recovery_code", "verify_sent_code")),
        "PasskeyService.accept",
    }
)
"""Operations that answer every wrong proof alike."""
