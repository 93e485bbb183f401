"""The reference page on the encryption format: its example is real, and its reader works as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypedDict, cast
from uuid import UUID

import pytest

from agentmem.foundation.encryption.index import IndexKeys
from agentmem.foundation.encryption.providers.file import FileKeyProvider
from agentmem.foundation.encryption.providers.port import KeyContext, KeyPurpose
from agentmem.foundation.encryption.seal import Keyring, Location, SealingKey
from agentmem.foundation.encryption.secret import SecretKey
from agentmem.kit.ids import KeyId, OrganizationId

PAGE = Path("docs/reference/encryption-format.md")


class Example(TypedDict):
    """The object of the page's worked example."""

    organization_id: str
    data_key_id: str
    data_key_wrapped: str
    index_key_id: str
    index_key_wrapped: str
    table: str
    column: str
    row_id: str
    row_version: int
    blob: str
    content: str
    term: str
    term_hash: int
    digest_scope: list[str | None]
    digest_text: str
    content_digest: str
    credential: str
    credential_mac: str


@pytest.fixture
def blocks(request: pytest.FixtureRequest) -> dict[str, str]:
    """The code blocks of the page, by language."""
    page = (request.config.rootpath / PAGE).read_text()
    return dict(re.findall(r"```(text|json|python)\n(.*?)```", page, flags=re.DOTALL))


@pytest.fixture
def example(blocks: dict[str, str]) -> Example:
    return cast("Example", json.loads(blocks["json"]))


def test_the_reader_of_the_page_opens_the_example_without_our_code(blocks: dict[str, str], example: Example) -> None:
    assert "agentmem" not in re.sub(r'b"agentmem/1/[a-z-]+"', "", blocks["python"])
    names: dict[str, object] = {"file": blocks["text"], "row": example}
    exec(compile(blocks["python"], str(PAGE), "exec"), names)  # the page is ours
    assert names["content"] == example["content"]
    assert names["term_hash"] == example["term_hash"]
    assert names["credential_mac"] == example["credential_mac"]


async def unwrap(provider: FileKeyProvider, example: Example, purpose: KeyPurpose) -> SecretKey:
    key_id, wrapped = {
        KeyPurpose.DATA: (example["data_key_id"], example["data_key_wrapped"]),
        KeyPurpose.INDEX: (example["index_key_id"], example["index_key_wrapped"]),
    }[purpose]
    organization_id = OrganizationId(UUID(example["organization_id"]))
    context = KeyContext(organization_id=organization_id, key_id=KeyId(UUID(key_id)), purpose=purpose)
    return await provider.decrypt(bytes.fromhex(wrapped), context)


async def test_our_own_code_opens_the_example_of_the_page(
    blocks: dict[str, str], example: Example, tmp_path: Path
) -> None:
    path = tmp_path / "master.keys"
    path.write_text(blocks["text"])
    path.chmod(0o600)
    provider = await FileKeyProvider.open(path)
    organization_id = OrganizationId(UUID(example["organization_id"]))

    data_key_id = KeyId(UUID(example["data_key_id"]))
    secret = await unwrap(provider, example, KeyPurpose.DATA)
    keyring = Keyring(active=SealingKey(organization_id=organization_id, key_id=data_key_id, key=secret))
    place = Location(
        table=example["table"],
        column=example["column"],
        row_id=UUID(example["row_id"]),
        row_version=example["row_version"],
    )
    assert keyring.open(place, bytes.fromhex(example["blob"])).decode() == example["content"]

    secret = await unwrap(provider, example, KeyPurpose.INDEX)
    index = IndexKeys(organization_id=organization_id, secret=secret)
    assert index.term_hash(example["term"]) == example["term_hash"]
    digest = index.content_digest(example["digest_scope"], example["digest_text"])
    assert digest.hex() == example["content_digest"]
    assert index.credential_mac(example["credential"]).hex() == example["credential_mac"]
