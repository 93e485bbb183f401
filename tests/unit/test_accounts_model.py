"""Addresses in one form, tokens of devices, secrets with a checksum."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from agentmem.errors import Fault, InvalidInput
from agentmem.features.identity.accounts.addresses import canonical
from agentmem.features.identity.accounts.devices import device_token, known_device
from agentmem.features.identity.accounts.model import STRANGER
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.foundation.encryption.secret import SecretKey
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.kit.secret_text import ids_of, new_secret_text

KEYS, OTHER_KEYS = (
    IndexKeys(organization_id=OrganizationId(UUID(int=1)), secret=SecretKey(bytearray([at]) * 32)) for at in (1, 2)
)
LONGEST_DOMAIN = "@" + "b" * 62 + "." + "b" * 62 + "." + "b" * 55 + ".example"
ADA, EVE = AccountId(uuid4()), AccountId(uuid4())


@pytest.mark.parametrize(
    "written, one",
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("  ada@example.com\n", "ada@example.com"),
        ("ａｄａ@example.com", "ada@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        # Two different domains, though a lower case of one looks like the other.
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@strasse.example", "ada@strasse.example"),
        ("ada+tag@example.com", "ada+tag@example.com"),
        ("o'neil.x_y-z@example.com", "o'neil.x_y-z@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("Xena@example.com", "xena@example.com"),
        # 254 characters in all (RFC 5321, section 4.5.3.1.3).
        ("a" * 64 + LONGEST_DOMAIN, "a" * 64 + LONGEST_DOMAIN),
    ],
)
def test_address_has_one_form(written: str, one: str) -> None:
    assert canonical(written) == one
    assert canonical(one) == one


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "ada@exa mple.com",
            "a@b@example.com",
            "ada@-x.example",
        ),
        *("ada\x00@example.com", "ada\u202e@example.com", "<ada>@example.com", '"ada"@example.com', "ada@[127.0.0.1]"),
        *(
            "a" * 65 + "@example.com",
            "ada,eve@example.com",
            "ada;eve@example.com",
            "ada@a..example",
            "ada\\@example.com",
        ),
        "a" * 60 + "@" + ".".join(["b" * 60] * 4) + ".example",
        "a" * 64 + LONGEST_DOMAIN.replace(".b", ".bb", 1),
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(InvalidInput, match="email: is no e-mail address") as refused:
        canonical(written)

    assert refused.value.faults == (Fault(field="email", message="is no e-mail address"),)


def test_device_is_known_by_its_token_for_its_account_alone() -> None:
    token = device_token(KEYS, ADA)
    device = known_device(KEYS, ADA, token)

    assert device != STRANGER
    assert device_token(KEYS, ADA, device) == token
    assert known_device(KEYS, EVE, token) == STRANGER
    assert known_device(OTHER_KEYS, ADA, token) == STRANGER
    assert known_device(KEYS, None, token) == STRANGER
    assert known_device(KEYS, ADA, None) == STRANGER
    assert known_device(KEYS, ADA, token.replace(device.hex, uuid4().hex)) == STRANGER
    assert known_device(KEYS, ADA, token[:-1] + ("0" if token[-1] != "0" else "1")) == STRANGER
    assert known_device(KEYS, EVE, token.replace(ADA.hex, EVE.hex)) == STRANGER


def test_secret_names_its_ids_and_every_change_of_it_is_seen() -> None:
    ids = [uuid4(), uuid4()]
    text = new_secret_text("amx", ids)

    assert ids_of("amx", text, 2) == ids
    assert ids_of("amx", text, 1) is None
    assert ids_of("amy", text, 2) is None
    assert new_secret_text("amx", ids) != text
    for at in range(4, len(text)):
        changed = text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]
        assert ids_of("amx", changed, 2) is None
    for spoilt in ("", "amx_", text + "0", text[:-1], text.replace("_", "-")):
        assert ids_of("amx", spoilt, 2) is None
