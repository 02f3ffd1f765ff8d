"""``candles_intraday``: a better source wins, then a final bar, then the higher revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from schemas.candle import Bar
from sinks.database import Connection

_COLUMNS = (
    "symbol, interval, ts, o, h, l, c, v, vwap, trade_count, "
    "provider, feed, rule, provider_rank, revision, is_final"
)
_TYPES = [
    "text",
    "text",
    "timestamptz",
    *["float8"] * 6,
    "int8",
    "text",
    "text",
    "text",
    "int2",
    "int4",
    "bool",
]

PROBE = "select from candles_intraday, sink_offsets limit 0"
STAGING = "create temp table candle_staging (like candles_intraday including defaults) on commit delete rows"
COPY = f"copy candle_staging ({_COLUMNS}) from stdin (format binary)"
#: a total order, so that any order of arrival and any repetition ends with the same row
UPSERT = f"""
    insert into candles_intraday as t ({_COLUMNS})
    select distinct on (symbol, interval, ts) {_COLUMNS} from candle_staging
    order by symbol, interval, ts, provider_rank desc, provider collate "C" desc, feed collate "C" desc,
      is_final desc, revision desc
    on conflict (symbol, interval, ts) do update set
      o = excluded.o, h = excluded.h, l = excluded.l, c = excluded.c, v = excluded.v, vwap = excluded.vwap,
      trade_count = excluded.trade_count, provider = excluded.provider, feed = excluded.feed,
      rule = excluded.rule, provider_rank = excluded.provider_rank, revision = excluded.revision,
      is_final = excluded.is_final, updated_at = now()
    where (excluded.provider_rank, excluded.provider collate "C", excluded.feed collate "C",
           excluded.is_final, excluded.revision)
        > (t.provider_rank, t.provider collate "C", t.feed collate "C", t.is_final, t.revision)
"""  # noqa: S608 - the columns are a constant of this module

Rank = Callable[[str], int]


def ranked(providers: tuple[str, ...]) -> Rank:
    """Return the rank of a provider: the first named has the highest, unnamed ones have 0."""
    ranks = {name: len(providers) - i for i, name in enumerate(providers)}
    return lambda provider: ranks.get(provider, 0)


def prepare(connection: Connection) -> None:
    """Make what `write` needs on a new connection."""
    connection.execute(STAGING)


def write(connection: Connection, bars: Iterable[Bar], rank: Rank) -> None:
    """Write bars, each only if it beats what is stored.

    Args:
        connection: in whose transaction; not committed.
        bars: any number of versions of any bar.
        rank: of a provider.

    Raises:
        psycopg.Error: of class 22 or 23 when the database refuses a bar.
    """
    with connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            copy.set_types(_TYPES)
            for b in bars:
                copy.write_row(
                    (
                        b.symbol,
                        b.interval,
                        datetime.fromtimestamp(b.ts_event // 1_000_000_000, UTC),
                        b.open,
                        b.high,
                        b.low,
                        b.close,
                        b.volume,
                        b.vwap,
                        b.trade_count,
                        b.provider,
                        b.feed,
                        b.rule,
                        rank(b.provider),
                        b.revision,
                        b.is_final,
                    )
                )
        cursor.execute(UPSERT)
