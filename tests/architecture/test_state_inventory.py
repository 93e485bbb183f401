"""Every piece of state that a process holds is named in docs/explanation/state.md, which says what its loss means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import ROOT, SOURCE, Module, modules

PAGE = ROOT / "docs" / "explanation" / "state.md"
# What an object of its own can hold between two calls; a table that is filled where it stands is none.
HOLDERS = frozenset(
    {"Cache", "Condition", "ContextVar", "Counter", "Event", "Lock", "OrderedDict", "Queue", "Semaphore",
     "WeakKeyDictionary", "WeakValueDictionary", "bytearray", "defaultdict", "deque", "dict", "list", "set"}
)  # fmt: skip
CACHES = frozenset({"cache", "cached_property", "lru_cache"})


def last_name(node: ast.expr | None) -> str | None:
    """Give `c` of the expression `a.b.c`, and of `a.b.c[...]`."""
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def holds(value: ast.expr | None) -> bool:
    """Tell an expression that makes something empty, to be filled later."""
    if isinstance(value, ast.List | ast.Dict | ast.Set):
        return not (getattr(value, "elts", None) or getattr(value, "keys", None))
    if not isinstance(value, ast.Call):
        return False
    if last_name(value.func) == "field":
        factories = [keyword.value for keyword in value.keywords if keyword.arg == "default_factory"]
        return any(last_name(factory) in HOLDERS for factory in factories)
    return last_name(value.func) in HOLDERS and not (last_name(value.func) in {"dict", "list", "set"} and value.args)


def filled_later(statement: ast.stmt) -> Iterator[ast.expr]:
    """Give what a statement assigns something to that is to be filled later."""
    if isinstance(statement, ast.Assign) and holds(statement.value):
        yield from statement.targets
    elif isinstance(statement, ast.AnnAssign) and (
        holds(statement.value) or last_name(statement.annotation) == "Cache"
    ):
        yield statement.target


def held(module: Module) -> Iterator[str]:
    """Name what the module, its functions and the objects of its classes hold: `name` or `Class.name`."""
    yield from (str(last_name(target)) for statement in module.tree.body for target in filled_later(statement))
    for owner in (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)):
        inits = [node for node in owner.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        own = [target for statement in owner.body for target in filled_later(statement)]
        own += [
            target
            for init in inits
            for statement in ast.walk(init)
            if isinstance(statement, ast.stmt)
            for target in filled_later(statement)
            if isinstance(target, ast.Attribute)
        ]
        yield from (f"{owner.name}.{last_name(target)}" for target in own)
    for function in module.functions():
        for decorator in function.decorator_list:
            if last_name(decorator.func if isinstance(decorator, ast.Call) else decorator) in CACHES:
                yield function.name


def named() -> set[str]:
    """Give what the page names: the codes in the first column of its tables."""
    rows = [line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_state_of_a_process_is_in_the_inventory_and_nothing_else() -> None:
    # A command and a client hold what belongs to one call.
    served = [module for module in modules(SOURCE) if not {"cli", "client"} & set(module.path.parts)]
    found = {name for module in served for name in held(module)}

    assert found - named() == set(), (
        "say in docs/explanation/state.md where it lives, its bound, and what its loss means"
    )
    assert named() - found == set(), "it is gone from the code"


@pytest.mark.parametrize(
    "text, name",
    [
        ("X = {}", "X"),
        ("x: ContextVar[int] = ContextVar('x')", "x"),
        ("@lru_cache\ndef f(): ...", "f"),
        ("class A:\n    def __init__(self):\n        self._kept = {}", "A._kept"),
        ("class A:\n    def __init__(self):\n        self._kept: Cache[int, int] = Cache(capacity=1)", "A._kept"),
        ("class A:\n    seen: list[int] = field(default_factory=list)", "A.seen"),
    ],
)
def test_each_kind_of_state_is_noticed(text: str, name: str) -> None:
    seeded = Module(path=ROOT / "seeded.py")
    seeded.__dict__["text"] = text

    assert list(held(seeded)) == [name]


def test_every_cell_of_the_degradation_table_names_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "explanation" / "degradation.md").read_text(encoding="utf-8")
    cited = re.findall(r"`(tests/\S+\.py)::(\w+)`", text)
    missing = {
        f"{path}::{name}" for path, name in cited if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    }

    assert cited != []
    assert missing == set()
