"""How each function about second factors, request signing and networks is called with another organization's things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agentmem.features.identity.factors import passkey_rows, repository
from agentmem.features.identity.factors.webauthn import Registered
from agentmem.features.identity.request_keys import repository as signers
from agentmem.features.identity.request_keys.model import Material
from agentmem.features.organizations import network_rows
from agentmem.features.organizations.network_lists import Reach
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.factors import FactorKind
from agentmem.schemas.request_keys import NewRequestKey
from tests.support.foreign import Foreign

_PASSKEY = Registered(credential_id=b"id", public_key=b"key", sign_count=0)
_MATERIAL = Material(request_key_id="0" * 12, public_key=b"key", sealed=None, text=None)

DIRECT_CALLS: dict[str, Callable[[Transaction, Foreign], Awaitable[object]]] = {
    "identity.factors.passkey_rows.count_passkeys": lambda tx, f: passkey_rows.count_passkeys(tx, f.account_id),
    "identity.factors.passkey_rows.insert_passkey": lambda tx, f: passkey_rows.insert_passkey(
        tx, f.account_id, "mine", _PASSKEY
    ),
    "identity.factors.repository.accept_step": lambda tx, f: repository.accept_step(tx, f.account_id, 1),
    "identity.factors.repository.clear_failures": lambda tx, f: repository.clear_failures(tx, f.account_id),
    "identity.factors.repository.confirm_secret": lambda tx, f: repository.confirm_secret(tx, f.account_id, 1),
    "identity.factors.repository.put_receiver": lambda tx, f: repository.put_receiver(
        tx, f.account_id, FactorKind.EMAIL, "me@example.com"
    ),
    "identity.factors.repository.put_secret": lambda tx, f: repository.put_secret(tx, f.account_id, "MINE"),
    "identity.factors.repository.replace_recovery_codes": lambda tx, f: repository.replace_recovery_codes(
        tx, f.account_id, [b"mac"]
    ),
    "identity.request_keys.repository.count_good": lambda tx, f: signers.count_good(tx, f.key_id),
    "identity.request_keys.repository.fetch_all": lambda tx, f: signers.fetch_all(tx, f.key_id),
    "identity.request_keys.repository.fetch_request_key": lambda tx, f: signers.fetch_request_key(
        tx, f.key_id, f.request_key_id
    ),
    "identity.request_keys.repository.insert_request_key": lambda tx, f: signers.insert_request_key(
        tx, f.key_id, NewRequestKey(name="mine"), _MATERIAL
    ),
    "identity.request_keys.repository.revoke_request_key": lambda tx, f: signers.revoke_request_key(
        tx, f.key_id, f.request_key_id
    ),
    "organizations.network_rows.fetch_mark": lambda tx, _: network_rows.fetch_mark(tx, Reach.ORGANIZATION),
    "organizations.network_rows.fetch_rules": lambda tx, _: network_rows.fetch_rules(tx, Reach.ORGANIZATION),
}
