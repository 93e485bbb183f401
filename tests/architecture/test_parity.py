from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import pytest

from agentmem import AsyncMemory, Memory

# What only one of the faces has, by the nature of asyncio: opening and closing.
ASYNC_ALONE = frozenset({"open", "aclose", "app"})
SYNC_ALONE = frozenset({"close"})


def public(face: type) -> dict[str, typing.Any]:
    return {name: value for name, value in vars(face).items() if not name.startswith("_")}


SHARED = sorted(set(public(AsyncMemory)) - ASYNC_ALONE)


def described(method: object) -> list[tuple[str, object, object]]:
    """Give the names, kinds and defaults of a method's parameters."""
    parameters = inspect.signature(method).parameters.values()  # type: ignore[arg-type]
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def synchronous(hint: object) -> object:
    """Give what a type of the asynchronous face is in the synchronous one."""
    origin = typing.get_origin(hint)
    arguments = tuple(synchronous(argument) for argument in typing.get_args(hint))
    if origin is AsyncIterator:
        return Iterator[arguments]  # type: ignore[valid-type]
    if origin in {typing.Union, type(int | str)}:
        kept = [argument for argument in typing.get_args(hint) if typing.get_origin(argument) is not AsyncIterable]
        return typing.Union[tuple(synchronous(argument) for argument in kept)]  # noqa: UP007
    return hint


def test_both_faces_have_the_same_methods() -> None:
    assert set(public(AsyncMemory)) - ASYNC_ALONE == set(public(Memory)) - SYNC_ALONE


@pytest.mark.parametrize("name", SHARED)
def test_both_faces_take_the_same_parameters(name: str) -> None:
    assert described(getattr(Memory, name)) == described(getattr(AsyncMemory, name))


@pytest.mark.parametrize("name", SHARED)
def test_both_faces_speak_of_the_same_types(name: str) -> None:
    ours = typing.get_type_hints(getattr(Memory, name))
    theirs = typing.get_type_hints(getattr(AsyncMemory, name))

    assert ours == {key: synchronous(hint) for key, hint in theirs.items()}


@pytest.mark.parametrize("name", SHARED)
def test_asynchronous_face_is_documented_and_the_other_one_refers_to_it(name: str) -> None:
    documented = inspect.getdoc(getattr(AsyncMemory, name)) or ""

    assert len(documented.split()) >= 3
    assert inspect.getdoc(getattr(Memory, name)) == f"See :meth:`AsyncMemory.{name}`."


@pytest.mark.parametrize("name", SHARED)
def test_asynchronous_face_never_blocks(name: str) -> None:
    method = getattr(AsyncMemory, name)
    streams = typing.get_origin(typing.get_type_hints(method)["return"]) is AsyncIterator

    assert inspect.iscoroutinefunction(method) or streams
    assert not inspect.iscoroutinefunction(getattr(Memory, name))


def test_each_stream_of_items_may_be_asynchronous_too() -> None:
    for name, parameter in (("add_many", "items"), ("import_", "lines")):
        hint = typing.get_type_hints(getattr(AsyncMemory, name))[parameter]
        assert {typing.get_origin(part) for part in typing.get_args(hint)} == {Iterable, AsyncIterable}
