"""Calls that ask people for a sign-in of late: which they are, and that each of them asks."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from agentmem.entrypoints.api.access import SENSITIVE
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import platform_id
from agentmem.schemas.access import Role
from agentmem.schemas.policies import FactorPolicy
from tests.support.api_document import document_of, operations_of
from tests.support.credentials import moved
from tests.support.served import client
from tests.support.sign_ins import gatehouse_of, person_of
from tests.support.stores import Store

ASKING = {
    *("create_api_key", "rotate_api_key", "update_api_key", "create_request_key"),
    *("create_member", "update_member", "disable_member", "invite"),
    *("set_policy", "set_sso_secret", "add_network", "remove_network"),
    *("add_installation_network", "remove_installation_network"),
    *("change_password", "delete_own_account", "end_session_of_account", "end_sessions_of_account"),
    *("enrol_totp", "confirm_totp", "enrol_receiver", "confirm_receiver", "remove_factor", "make_recovery_codes"),
    *("ask_for_passkey", "add_passkey", "remove_passkey", "reset_factors"),
    *("disable_account", "enable_account", "unlock_account", "delete_account", "rotate_signing_keys"),
    *("delete_organization", "suspend_organization", "erase_organization", "destroy_master_key"),
}
OF_OPERATORS = {"account:manage", "platform:manage"}


async def test_each_sensitive_call_asks_a_person_for_a_sign_in_of_late(store: Store) -> None:
    app, platform = store.app, local_operator(platform_id())
    sensitive = [one for one in operations_of(document_of(app)) if "x-agentmem-max-auth-age" in one.said]
    assert {one.name for one in sensitive} == ASKING
    assert {one.said["x-agentmem-max-auth-age"] for one in sensitive} == {SENSITIVE}

    tokens = {}
    for caller, role in ((app.caller, Role.OWNER), (platform, Role.OPERATOR)):
        await app.accounts.policies.update(caller, FactorPolicy(required_for=()))
        person = await person_of(app, role, caller=caller)
        tokens[role] = (await gatehouse_of(app).sign_in(person)).access_token
    later = replace(app, database=moved(app, minutes=16))
    async with client(later, None) as api:
        for one in sensitive:
            role = Role.OPERATOR if one.said["x-agentmem-permission"] in OF_OPERATORS else Role.OWNER
            headers = {"Authorization": f"Bearer {tokens[role]}", "If-Match": '"1"'}
            names = [part["name"] for part in one.said.get("parameters", []) if part["in"] == "path"]
            path = one.path.format(**dict.fromkeys(names, uuid4()))
            answer = await api.request(one.method, path, headers=headers)
            assert answer.json()["code"] == "insufficient_user_authentication", (one.name, answer.text)
