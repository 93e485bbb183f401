"""Old and new versions run side by side: a migration adds, and takes away only what no version needs any more."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from agentmem.foundation.database.migrate import newest_revision
from tests.architecture.source_tree import SOURCE, Module, modules

FOLDER = SOURCE / "foundation" / "database" / "migrations" / "versions"
FIRST = "0005"
"""The revision from which on versions know how old they may be."""
RAISED = re.compile(r"UPDATE agentmem_platform\.schema_compatibility SET oldest_revision = '(\d{4})'")
CONTRACTING = re.compile(
    r"\bDROP\s+(?:TABLE|COLUMN|SCHEMA|TYPE|FUNCTION|SEQUENCE|ROLE)\b"
    r"|\bRENAME\b|\bREVOKE\b|\bTRUNCATE\b"
    r"|\bALTER\s+(?:COLUMN\s+)?\w+\s+(?:SET\s+DATA\s+)?TYPE\b"
    r"|\bSET\s+NOT\s+NULL\b|\bDROP\s+DEFAULT\b"
    r"|\bADD\s+(?:CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b"
    r"|\bADD\s+COLUMN\s+(?:(?!DEFAULT|,|;)[^;,])*NOT\s+NULL(?!\s+DEFAULT)(?![^;,]*DEFAULT)",
    re.IGNORECASE,
)
"""What an older version that goes on running could stumble over."""
OPERATIONS = frozenset({"drop_column", "drop_table", "alter_column", "rename_table", "drop_constraint"})


def value_of(module: Module, name: str) -> str:
    """Give a constant of a migration."""
    (found,) = (
        statement.value.value
        for statement in module.tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id == name
        and isinstance(statement.value, ast.Constant)
    )
    return str(found)


def statements(module: Module) -> str:
    """Give all SQL of a migration: its texts, without what its docstrings say."""
    docstrings = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.FunctionDef)
    }
    texts = (node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant))
    return "\n".join(text for text in texts if isinstance(text, str) and text not in docstrings)


def faults(module: Module) -> list[str]:
    """Say what a migration takes away without telling older versions."""
    calls = {node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)} & OPERATIONS
    taken = [*CONTRACTING.findall(statements(module)), *sorted(calls)]
    if not taken:
        return []
    raised = RAISED.search(statements(module))
    if raised is None:
        return [f"{module.path.name} takes away ({taken[0]}) and does not raise the oldest revision"]
    if "stopped using" not in (ast.get_docstring(module.tree) or ""):
        return [f"{module.path.name} does not say in its docstring which version stopped using what it takes away"]
    if not FIRST <= raised[1] < value_of(module, "revision"):
        return [f"{module.path.name} shuts out versions that know revision {raised[1]}, and its own alone may stay"]
    return []


def later() -> list[Module]:
    """Give the migrations that versions live through side by side."""
    return [module for module in modules(FOLDER) if module.path.name.startswith("m") and module.path.name > f"m{FIRST}"]


def test_migrations_take_nothing_away_that_an_older_version_uses() -> None:
    assert [fault for module in later() for fault in faults(module)] == []


def test_revisions_are_numbered_so_that_they_compare_as_text() -> None:
    numbered = [value_of(module, "revision") for module in later()]

    assert all(re.fullmatch(r"\d{4}", revision) for revision in numbered)
    assert max(numbered) == newest_revision()


def migration(tmp_path: Path, sql: str, *, doc: str = "Add something.") -> Module:
    path = tmp_path / "m0099_seeded.py"
    path.write_text(f'"""{doc}"""\n\nrevision = "0099"\nSQL = """{sql}"""\n')
    return Seeded(path=path)


class Seeded(Module):
    """A migration that stands outside of the project."""

    @property
    def name(self) -> str:
        return self.path.name


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE agentmem.jobs DROP COLUMN reason",
        "DROP TABLE agentmem.jobs",
        "ALTER TABLE agentmem.jobs RENAME COLUMN reason TO why",
        "ALTER TABLE agentmem.jobs ALTER COLUMN reason TYPE varchar(9)",
        "ALTER TABLE agentmem.jobs ALTER reason SET DATA TYPE varchar(9)",
        "ALTER TABLE agentmem.jobs ALTER COLUMN reason SET NOT NULL",
        "ALTER TABLE agentmem.jobs ADD COLUMN note text NOT NULL",
        "ALTER TABLE agentmem.jobs ADD CONSTRAINT short CHECK (length(reason) < 9)",
        "REVOKE INSERT ON agentmem.jobs FROM agentmem_app",
    ],
)
def test_whatever_an_older_version_would_stumble_over_is_noticed(sql: str, tmp_path: Path) -> None:
    raising = f"{sql}; UPDATE agentmem_platform.schema_compatibility SET oldest_revision = '0098'"

    assert faults(migration(tmp_path, sql)) != []
    assert faults(migration(tmp_path, raising)) != []
    assert faults(migration(tmp_path, raising, doc="Drop it; 0.3 stopped using it.")) == []


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE agentmem.notes (organization_id uuid NOT NULL)",
        "ALTER TABLE agentmem.jobs ADD COLUMN note text",
        "ALTER TABLE agentmem.jobs ADD COLUMN note text NOT NULL DEFAULT ''",
        "ALTER TABLE agentmem.jobs ADD COLUMN note text DEFAULT '' NOT NULL",
        "DROP INDEX agentmem.jobs_finished",
    ],
)
def test_what_only_adds_is_allowed(sql: str, tmp_path: Path) -> None:
    assert faults(migration(tmp_path, sql)) == []
