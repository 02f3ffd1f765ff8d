"""Old quotes go: whole chunks where there is a hypertable, an hour of rows a transaction elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

from sinks.database import Connection

#: rows of so long go in one transaction: a worker that stores waits no longer than for that
STEP = timedelta(hours=1)

KNOWS_HYPERTABLES = "select to_regclass('timescaledb_information.hypertables') is not null"
IS_HYPERTABLE = """
    select exists (select from timescaledb_information.hypertables where hypertable_name = 'quotes_l1')
"""
#: all rows of such a chunk are older
OLD_CHUNKS = "select show_chunks('quotes_l1', older_than => %s)::text"
DROP_CHUNKS = "select drop_chunks('quotes_l1', older_than => %s)"
OLDEST = "select min(ts) from quotes_l1"
COUNT_BEFORE = "select count(*) from quotes_l1 where ts < %s"
DELETE_BETWEEN = "delete from quotes_l1 where ts >= %s and ts < %s"


class Gone(NamedTuple):
    """A part of the table that has gone, or would."""

    what: str
    """Name of a chunk; for rows the hour that they were of, UTC."""
    rows: int | None
    """How many; None for a chunk, whose rows nobody counts."""


def old_quotes(connection: Connection, before: datetime) -> Iterator[Gone]:
    """Yield what `remove_quotes` would remove; plain rows as one part."""
    if _chunked(connection):
        for (name,) in connection.execute(OLD_CHUNKS, (before,)):
            yield Gone(name, None)
        return
    row = connection.execute(COUNT_BEFORE, (before,)).fetchone()
    if row is not None and row[0]:
        yield Gone(f"before {before.isoformat()}", row[0])


def remove_quotes(connection: Connection, before: datetime) -> Iterator[Gone]:
    """Remove the quotes that are older, part by part, each committed before it is yielded.

    Args:
        connection: not in a transaction.
        before: with a time zone. Of a hypertable chunks that reach beyond it stay whole.
    """
    if _chunked(connection):
        names = [name for (name,) in connection.execute(OLD_CHUNKS, (before,))]
        connection.execute(DROP_CHUNKS, (before,))
        connection.commit()
        yield from (Gone(name, None) for name in names)
        return
    row = connection.execute(OLDEST).fetchone()
    connection.commit()
    at: datetime | None = row[0] if row else None
    step = STEP
    while at is not None and at < before:
        until = min(at + step, before)
        done = connection.execute(DELETE_BETWEEN, (at, until))
        connection.commit()
        if done.rowcount:
            yield Gone(at.isoformat(), done.rowcount)
        # between fetched history and the present there may be years without a row
        step = STEP if done.rowcount else 2 * step
        at = until


def _chunked(connection: Connection) -> bool:
    return _holds(connection, KNOWS_HYPERTABLES) and _holds(connection, IS_HYPERTABLE)


def _holds(connection: Connection, question: LiteralString) -> bool:
    row = connection.execute(question).fetchone()
    return row is not None and bool(row[0])
