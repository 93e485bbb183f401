"""Borders that import contracts cannot draw, because they lie inside a module."""

from __future__ import annotations

import ast

import agentmem
from agentmem import errors
from tests.architecture.source_tree import SOURCE, modules

PORT = "agentmem.foundation.inference.port"
# What a feature may take from the port of the models: values, never something that computes.
VALUES_OF_THE_PORT = frozenset({"Embedding"})
# The names that people build on: to take one away is a break, to add one is a promise.
PUBLIC_NAMES = frozenset({"AgentMemError", "AsyncClient", "AsyncMemory", "Client", "Memory", "Person", "errors"})


def test_features_take_only_values_from_the_port_of_the_models() -> None:
    taken = {
        f"{module.name}: {name}"
        for module in modules(SOURCE / "features")
        for source, name in module.imports()
        if source == PORT and name not in VALUES_OF_THE_PORT
    }

    assert taken == set(), "a model is called by a pipeline, between operations"


def test_public_names_are_the_ones_promised() -> None:
    assert set(agentmem.__all__) == PUBLIC_NAMES


def test_every_public_name_is_there_and_explains_itself() -> None:
    for name in agentmem.__all__:
        assert getattr(agentmem, name).__doc__, name


def own_errors() -> dict[str, type[errors.AgentMemError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.AgentMemError)
    }


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [value.code for value in own_errors().values()]

    assert len(codes) == len(set(codes))


def test_drawn_tree_of_errors_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    rows = (tuple(line.strip(" │├└─").split()) for line in errors.__doc__.splitlines())
    drawn = {row for row in rows if row and row[0] in own_errors()}
    real = {
        (name, value.code, str(value.status), *(["retry"] if value.retryable else []))
        for name, value in own_errors().items()
    }

    assert drawn == real


def test_exceptions_are_declared_in_errors_py_alone() -> None:
    elsewhere = {
        f"{module.name}::{node.name}"
        for module in modules(SOURCE)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and module.path.name != "errors.py"
        and any(isinstance(base, ast.Name) and base.id.endswith(("Error", "Exception")) for base in node.bases)
    }

    assert elsewhere == set()
