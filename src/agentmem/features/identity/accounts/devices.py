"""The token of a device that has signed in before: guesses from elsewhere do not lock it.

``amd_<account>_<device>_<code>``: two ids as 32 hexadecimal digits each, and a keyed code of all that goes before it.
It proves nothing but that, and signs nobody in.
"""

from __future__ import annotations

import hmac
import re
from typing import Final
from uuid import UUID, uuid4

from agentmem.features.identity.accounts.model import STRANGER
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.kit.ids import AccountId

_TOKEN: Final = re.compile(r"amd_([0-9a-f]{32})_([0-9a-f]{32})_[0-9a-f]{64}")


def device_token(keys: IndexKeys, account_id: AccountId, device: UUID | None = None) -> str:
    """Write the token of a device for an account, of a new device if none is named."""
    body = f"amd_{account_id.hex}_{(device or uuid4()).hex}"
    return f"{body}_{keys.credential_mac(body).hex()}"


def known_device(keys: IndexKeys, account_id: AccountId | None, token: str | None) -> UUID:
    """Give the device that a token of this account names; anything else is a stranger's."""
    found = _TOKEN.fullmatch(token or "")
    if found is None or account_id is None or found[1] != account_id.hex:
        return STRANGER
    device = UUID(hex=found[2])
    return device if hmac.compare_digest(device_token(keys, account_id, device), found[0]) else STRANGER
