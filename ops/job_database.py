"""The database of jobs, as commands read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from schemas.errors import CommandError, ConfigInvalid, DependencyAway
from sinks.database import CONNECT, Connection


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Yield a connection for reading.

    Args:
        url: as `postgresql://...`.

    Raises:
        DependencyAway: the database does not answer.
        ConfigInvalid: its URL is none.
        CommandError: it has no tables of jobs.
    """
    try:
        with psycopg.connect(url, application_name="tapeflow-jobs", **CONNECT) as connection:
            connection.read_only = True
            yield connection
    except psycopg.OperationalError as exc:
        raise DependencyAway(f"the database does not answer: {' '.join(str(exc).split())}") from exc
    except psycopg.errors.UndefinedTable as exc:
        raise CommandError("the database has no table of jobs; `tapeflow migrate up` creates it") from exc
    except psycopg.ProgrammingError as exc:
        if exc.sqlstate is not None:
            raise
        # not with what libpq says: it quotes the password
        raise ConfigInvalid(
            "DATABASE_URL is not valid; write postgresql://user:password@host:port/database"
        ) from None
