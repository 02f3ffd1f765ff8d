"""The database, as commands come to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from schemas.errors import CommandError, ConfigInvalid, DependencyAway
from sinks.database import CONNECT, Connection

#: what `connected` says of a database from before there were jobs
NO_JOBS = "no table of jobs"


@contextmanager
def connected(url: str, *, lacks: str, read_only: bool = True) -> Iterator[Connection]:
    """Yield a connection.

    Args:
        url: as `postgresql://...`.
        lacks: what an old database has not, as in `no table of jobs`.
        read_only: nothing can be changed through it.

    Raises:
        DependencyAway: the database does not answer.
        ConfigInvalid: its URL is none.
        CommandError: its tables are those of an older release.
    """
    try:
        with psycopg.connect(url, application_name="tapeflow-command", **CONNECT) as connection:
            connection.read_only = read_only
            yield connection
    except psycopg.OperationalError as exc:
        raise DependencyAway(f"the database does not answer: {' '.join(str(exc).split())}") from exc
    except psycopg.errors.UndefinedTable as exc:
        raise CommandError(f"the database has {lacks}; `tapeflow migrate up` creates it") from exc
    except psycopg.ProgrammingError as exc:
        if exc.sqlstate is not None:
            raise
        # not with what libpq says: it quotes the password
        raise ConfigInvalid(
            "DATABASE_URL is not valid; write postgresql://user:password@host:port/database"
        ) from None
