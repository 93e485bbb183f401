"""The client has the embedded library's methods, and its own two faces are alike."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterable, AsyncIterator, Iterable

import pytest

from agentmem import AsyncClient, AsyncMemory, Client
from agentmem.client import (
    namespaces_async,
    namespaces_sync,
    networks_async,
    networks_sync,
    privacy_async,
    privacy_sync,
    webhooks_async,
    webhooks_sync,
)
from tests.architecture.test_parity import SHARED, described, public, synchronous

# What the client adds to a method of the embedded library: the version that a change expects.
ADDED = {name: ["if_version"] for name in ("delete", "pin", "promote", "restore")}
# What only the client has: what a server knows, and what saves round trips.
CLIENT_ALONE = frozenset({"delete_many", "entities", "events", "iterate", "me", "update_many", "usage"})
NAMESPACES = (namespaces_async, namespaces_sync)
PARTS = {
    **dict.fromkeys(("Audit", "Jobs", "Keys", "Members", "OwnOrganization", "Platform"), NAMESPACES),
    "Networks": (networks_async, networks_sync),
    "Privacy": (privacy_async, privacy_sync),
    "Webhooks": (webhooks_async, webhooks_sync),
}
FACES = [
    (AsyncClient, Client),
    *((getattr(ours, f"Async{part}"), getattr(theirs, part)) for part, (ours, theirs) in PARTS.items()),
]
METHODS = [
    pytest.param(ours, theirs, name, id=f"{ours.__name__}.{name}")
    for ours, theirs in FACES
    for name in sorted(set(public(ours)) - {"aclose"})
]


def test_client_has_every_method_of_the_embedded_library_and_the_named_ones() -> None:
    assert set(public(AsyncClient)) - {"aclose"} == {*SHARED, *CLIENT_ALONE}


@pytest.mark.parametrize("name", SHARED)
def test_client_takes_the_parameters_of_the_embedded_library(name: str) -> None:
    added = ADDED.get(name, [])
    ours = [part for part in described(getattr(AsyncClient, name)) if part[0] not in added]

    assert ours == described(getattr(AsyncMemory, name))
    assert set(added) <= set(inspect.signature(getattr(AsyncClient, name)).parameters)


@pytest.mark.parametrize("name", SHARED)
def test_client_speaks_of_the_types_of_the_embedded_library(name: str) -> None:
    ours = typing.get_type_hints(getattr(AsyncClient, name))
    theirs = typing.get_type_hints(getattr(AsyncMemory, name))

    assert {key: hint for key, hint in ours.items() if key not in ADDED.get(name, [])} == theirs


@pytest.mark.parametrize("ours, theirs", FACES, ids=lambda face: face.__name__)
def test_faces_of_the_client_have_the_same_methods(ours: type, theirs: type) -> None:
    assert set(public(ours)) - {"aclose"} == set(public(theirs)) - {"close"}


@pytest.mark.parametrize("ours, theirs, name", METHODS)
def test_faces_of_the_client_take_the_same_parameters_of_the_same_types(ours: type, theirs: type, name: str) -> None:
    hints = typing.get_type_hints(getattr(ours, name))

    assert described(getattr(theirs, name)) == described(getattr(ours, name))
    assert typing.get_type_hints(getattr(theirs, name)) == {key: synchronous(hint) for key, hint in hints.items()}


@pytest.mark.parametrize("ours, theirs, name", METHODS)
def test_methods_of_the_client_are_documented_once(ours: type, theirs: type, name: str) -> None:
    assert len((inspect.getdoc(getattr(ours, name)) or "").split()) >= 3
    assert inspect.getdoc(getattr(theirs, name)) == f"See :meth:`{ours.__name__}.{name}`."


@pytest.mark.parametrize("ours, theirs, name", METHODS)
def test_asynchronous_face_of_the_client_never_blocks(ours: type, theirs: type, name: str) -> None:
    method = getattr(ours, name)
    streams = typing.get_origin(typing.get_type_hints(method)["return"]) is AsyncIterator

    assert inspect.iscoroutinefunction(method) or streams
    assert not inspect.iscoroutinefunction(getattr(theirs, name))


def test_streams_of_items_may_be_asynchronous_for_the_client_too() -> None:
    for name, parameter in (("add_many", "items"), ("import_", "lines")):
        hint = typing.get_type_hints(getattr(AsyncClient, name))[parameter]
        assert {typing.get_origin(part) for part in typing.get_args(hint)} == {Iterable, AsyncIterable}
