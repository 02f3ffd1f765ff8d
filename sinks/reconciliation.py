"""What vendors served, read back from ``candles_intraday`` to be compared. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sinks.database import Connection

#: of the session of the database: it ends with the connection, and another worker takes over
_KEY: Final = "hashtextextended('tapeflow reconciliation', 0)"
#: asked of the server, not remembered: after a reconnection somebody else may have it. A lock that is taken
#: twice must be given back twice, so it is not taken twice.
LEAD: Final = f"""
    with key as (select {_KEY} as k)
    select case when exists (
        select from pg_locks, key
        where locktype = 'advisory' and granted and pid = pg_backend_pid() and objsubid = 1
          and database = (select oid from pg_database where datname = current_database())
          and classid::bigint = (k >> 32) & 4294967295 and objid::bigint = k & 4294967295)
      then true else (select pg_try_advisory_lock(k) from key) end
"""  # noqa: S608 - a constant of this module
RESIGN: Final = f"select pg_advisory_unlock({_KEY})"

#: from one symbol to the next in the primary key: as many steps as there are symbols, however many rows
SYMBOLS: Final = """
    with recursive found as (
      (select symbol from candles_intraday
       where ts >= %(since)s and ts < %(before)s order by symbol limit 1)
      union all
      select (select c.symbol from candles_intraday c
              where c.symbol > found.symbol
                and c.ts >= %(since)s and c.ts < %(before)s
              order by c.symbol limit 1)
      from found where found.symbol is not null)
    select symbol from found where symbol is not null
"""
GROUPS: Final = """
    select provider, symbol, interval, adjustment, coverage,
      (ts at time zone 'America/New_York')::date - date '1970-01-01' as session,
      extract(epoch from min(ts))::int8 * 1000000000, extract(epoch from max(ts))::int8 * 1000000000,
      (extract(epoch from max(as_of)) * 1000000)::int8 * 1000
    from candles_intraday
    where symbol = any(%(symbols)s::text[]) and as_of is not null and coverage <> ''
      and ts >= %(since)s and ts < %(before)s
    group by 1, 2, 3, 4, 5, 6
    order by 2, 6, 3, 1, 4, 5
"""
#: everybody's rows: where another source has a bar, the provider may have had one as well
ROWS: Final = """
    select extract(epoch from ts)::int8 * 1000000000, o, h, l, c, v, trade_count,
      provider, coverage, (extract(epoch from as_of) * 1000000)::int8 * 1000
    from candles_intraday
    where symbol = %(symbol)s and interval = %(interval)s and adjustment = %(adjustment)s
      and ts >= %(first)s and ts <= %(last)s
    order by ts
"""


class Group(NamedTuple):
    """Bars of one kind, symbol and session that are stored as a provider's."""

    provider: str
    symbol: str
    interval: str
    adjustment: str
    coverage: str
    session: int
    """Date in New York, days since 1970-01-01."""
    first_ns: int
    """Start of its first bar, nanoseconds since the epoch."""
    last_ns: int
    """Start of its last bar."""
    as_of: int
    """When the provider was last asked for any of them, nanoseconds since the epoch in whole microseconds."""


class StoredBar(NamedTuple):
    """One row, whoever it is of."""

    ts: int
    """Start, nanoseconds since the epoch."""
    open: float
    high: float
    low: float
    close: float
    volume: float
    trade_count: int | None
    provider: str
    coverage: str
    as_of: int | None
    """When the provider was asked, nanoseconds since the epoch in whole microseconds; None: no vendor's."""


def lead(connection: Connection) -> bool:
    """Return whether this session of the database is the fleet's one that reconciles; try to become it."""
    row = connection.execute(LEAD).fetchone()
    connection.commit()
    return row == (True,)


def resign(connection: Connection) -> None:
    """Let another session reconcile."""
    connection.execute(RESIGN)
    connection.commit()


def symbols(connection: Connection, since_ns: int, before_ns: int) -> list[str]:
    """Return the symbols that have bars in a window, in the order of the database."""
    found = connection.execute(
        SYMBOLS, {"since": _instant(since_ns), "before": _instant(before_ns)}
    ).fetchall()
    connection.commit()
    return [symbol for (symbol,) in found]


def groups(connection: Connection, of: Sequence[str], since_ns: int, before_ns: int) -> list[Group]:
    """Return what vendors served of some symbols in a window, always in the same order."""
    asked = {"symbols": list(of), "since": _instant(since_ns), "before": _instant(before_ns)}
    found = connection.execute(GROUPS, asked).fetchall()
    connection.commit()
    return [Group(*row) for row in found]


def rows(connection: Connection, group: Group) -> list[StoredBar]:
    """Return all bars from the first to the last of a group, by time, other sources' too."""
    asked: dict[str, Any] = {
        "symbol": group.symbol,
        "interval": group.interval,
        "adjustment": group.adjustment,
        "first": _instant(group.first_ns),
        "last": _instant(group.last_ns),
    }
    found = connection.execute(ROWS, asked).fetchall()
    connection.commit()
    return [StoredBar(*row) for row in found]


def _instant(ns: int) -> datetime:
    """Return a time in whole seconds: bars start at them."""
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC)
