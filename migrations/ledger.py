"""What was applied to a database: yoyo runs the files, a table of ours keeps their checksums."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import psycopg
from typing_extensions import override
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.exceptions import BadMigration

from migrations.connection import Say, connect, first_line, masked, take_lock, type_of_connection
from migrations.files import MigrationFile
from schemas.errors import CheckFailed, CommandError, DependencyAway

#: Tables that belong to the machinery, not to the schema.
BOOKKEEPING = ("tapeflow_migrations", "_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock")

CREATE = """
    create table if not exists tapeflow_migrations (
        id text primary key,
        option text not null,
        sha256 text not null,
        applied_at timestamptz not null default now())
"""
EXISTS = "select to_regclass('tapeflow_migrations') is not null"
READ = "select id, option, sha256, applied_at from tapeflow_migrations order by id"
RECORD = "insert into tapeflow_migrations (id, option, sha256) values (%s, %s, %s)"
FORGET = "delete from tapeflow_migrations where id = %s"


class Applied(NamedTuple):
    """A row of the ledger."""

    id: str
    option: str
    sha256: str
    applied_at: datetime


def read_ledger(conn: type_of_connection) -> dict[str, Applied]:
    """Return what was applied, in order, by id; empty for a database that was never migrated."""
    if conn.execute(EXISTS).fetchone() != (True,):
        return {}
    return {row[0]: Applied(*row) for row in conn.execute(READ)}


def recorded_option(applied: dict[str, Applied]) -> str | None:
    """Return the option that the database was migrated with; None if nothing is applied."""
    return next((row.option for row in applied.values()), None)


class _Address(NamedTuple):
    """What the backend wants to know of a URL."""

    url: str
    database: str


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo publishes no types
    """yoyo's ``postgresql+psycopg`` backend; libpq reads the URL, so every form of it works.

    Its lock row is switched off: it would outlive a killed process, and the advisory lock is there.
    """

    _is_locked = True

    @override
    def connect(self, dburi: _Address) -> type_of_connection:
        return connect(dburi.url)


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open database that nobody else migrates at the same time."""

    url: str
    backend: Any

    @classmethod
    @contextmanager
    def open(cls, url: str, say: Say) -> Iterator[Self]:
        """Connect, take the lock, and make the bookkeeping tables if they are missing.

        Raises:
            ConfigInvalid: The URL is not valid.
            DependencyAway: The database cannot be reached, goes away, or is locked for too long.
            CommandError: The user may not create tables.
        """
        # yoyo's own table of applied files has the name that its command line expects
        backend = _Backend(_Address(url, ""), "_yoyo_migration")
        ledger = cls(url, backend)
        try:
            with ledger.failing("the bookkeeping"):
                take_lock(ledger.conn, say)
                backend.ensure_internal_schema_updated()
                ledger.conn.execute(CREATE)
            yield ledger
        finally:
            ledger.conn.close()

    @property
    def conn(self) -> type_of_connection:
        """The connection that holds the lock."""
        connection: type_of_connection = self.backend.connection
        return connection

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """Turn what the database says during `what` into one sentence."""
        try:
            yield
        except psycopg.errors.DuplicateTable as exc:
            raise CommandError(
                f"{what}: {first_line(exc)}, but not by this command; "
                "drop the tables or migrate an empty database"
            ) from exc
        except BadMigration as exc:
            raise CheckFailed(f"{what} names a file that does not exist after -- depends:") from exc
        except psycopg.Error as exc:
            if self.conn.closed:
                raise DependencyAway(
                    f"{what}: the database {masked(self.url)} went away ({first_line(exc)}); run it again"
                ) from exc
            raise CommandError(f"{what}: {first_line(exc)} (SQLSTATE {exc.sqlstate})") from exc

    def apply(self, step: Any, file: MigrationFile, option: str) -> None:
        """Run a file and record it: in one transaction, unless the file refuses one."""
        with self.failing(file.id):
            step.load()
            if not step.use_transactions:
                step.process_steps(self.backend, "apply")
            with self.backend.transaction():
                if step.use_transactions:
                    step.process_steps(self.backend, "apply")
                self.backend.mark_one(step, log=False)
                self.conn.execute(RECORD, (file.id, option, file.checksum))

    def undo(self, step: Any, file: MigrationFile) -> None:
        """Run a rollback file and forget the step: in one transaction, unless it refuses one."""
        with self.failing(file.rollback.name):
            step.load()
            if not step.use_transactions:
                step.process_steps(self.backend, "rollback")
            with self.backend.transaction():
                if step.use_transactions:
                    step.process_steps(self.backend, "rollback")
                self.backend.unmark_one(step, log=False)
                self.conn.execute(FORGET, (file.id,))


def read_steps(files: Iterable[MigrationFile]) -> dict[str, Any]:
    """Return yoyo's reading of the files, by id."""
    files = list(files)
    folders: set[Path] = {file.path.parent for file in files}
    steps = {step.id: step for step in read_migrations(*(glob.escape(str(f)) for f in sorted(folders)))}
    return {file.id: steps[file.id] for file in files}
