"""Old quotes go: whole chunks where there is a hypertable, so many rows a transaction elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

import psycopg

from schemas.errors import CommandError
from sinks.database import Connection

#: rows of so long are looked at first; of how long later, depends on how many there are
STEP = timedelta(hours=1)
#: at most so many go in one transaction, unless they are all of one millisecond
BATCH_ROWS = 100_000
SHORTEST = timedelta(milliseconds=1)

KNOWS_HYPERTABLES = "select to_regclass('timescaledb_information.hypertables') is not null"
IS_HYPERTABLE = """
    select exists (select from timescaledb_information.hypertables where hypertable_name = 'quotes_l1')
"""
#: all rows of such a chunk are older
OLD_CHUNKS = "select show_chunks('quotes_l1', older_than => %s)::text"
DROP_CHUNKS = "select drop_chunks('quotes_l1', older_than => %s)"
#: the key knows the oldest of each symbol; without it the whole table would be read
OLDEST = """
    with recursive found as (
        (select symbol from quotes_l1 order by symbol limit 1)
        union all (select q.symbol from found f cross join lateral
            (select symbol from quotes_l1 where symbol > f.symbol order by symbol limit 1) q)
    )
    select min(q.ts) from found s cross join lateral (
        select l.ts from quotes_l1 l where l.symbol = s.symbol order by l.ts limit 1) q
"""
#: whoever asks about an old chunk waits behind us while we wait for somebody who reads it
PATIENCE = "set lock_timeout = '3s'"
COUNT_BEFORE = "select count(*) from quotes_l1 where ts < %s"
MORE_THAN_A_BATCH = """
    select count(*) > %(most)s from (
        select from quotes_l1 where ts >= %(at)s and ts < %(until)s limit %(most)s + 1) r
"""
DELETE_BETWEEN = "delete from quotes_l1 where ts >= %s and ts < %s"


class Gone(NamedTuple):
    """A part of the table that has gone, or would."""

    what: str
    """Name of a chunk; for rows the time of the first, UTC."""
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

    Raises:
        CommandError: somebody reads what would go, and would hold up whoever comes after us.
    """
    if _chunked(connection):
        names = [name for (name,) in connection.execute(OLD_CHUNKS, (before,))]
        connection.execute(PATIENCE)
        try:
            connection.execute(DROP_CHUNKS, (before,))
        except psycopg.errors.LockNotAvailable as exc:
            raise CommandError("somebody reads the old chunks (pg_stat_activity): try again") from exc
        connection.commit()
        yield from (Gone(name, None) for name in names)
        return
    row = connection.execute(OLDEST).fetchone()
    connection.commit()
    at: datetime | None = row[0] if row else None
    step = STEP
    while at is not None and at < before:
        until = min(at + step, before)
        while until - at > SHORTEST and _exceeded(connection, at, until):
            step = (until - at) / 2
            until = at + step
        done = connection.execute(DELETE_BETWEEN, (at, until))
        connection.commit()
        if done.rowcount:
            yield Gone(at.isoformat(), done.rowcount)
        if done.rowcount < BATCH_ROWS / 4:  # between fetched history and the present there may be years
            step *= 2
        at = until


def _chunked(connection: Connection) -> bool:
    return _holds(connection, KNOWS_HYPERTABLES) and _holds(connection, IS_HYPERTABLE)


def _exceeded(connection: Connection, at: datetime, until: datetime) -> bool:
    given = {"at": at, "until": until, "most": BATCH_ROWS}
    row = connection.execute(MORE_THAN_A_BATCH, given).fetchone()
    return row is not None and bool(row[0])


def _holds(connection: Connection, question: LiteralString) -> bool:
    row = connection.execute(question).fetchone()
    return row is not None and bool(row[0])
