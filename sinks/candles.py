"""``candles_intraday``: a better source wins, then a final bar, then the later answer or revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from domain.rank import coverage_of, place
from domain.rank import rank as rank_of_source
from schemas.candle import Bar
from sinks.database import Connection

_COLUMNS = (
    "symbol, interval, ts, o, h, l, c, v, vwap, trade_count, "
    "provider, feed, coverage, rule, provider_rank, revision, is_final"
)
_TYPES = [
    "text",
    "text",
    "timestamptz",
    *["float8"] * 6,
    "int8",
    *["text"] * 4,
    "int2",
    "int4",
    "bool",
]
_KEY = "symbol, interval, ts, adjustment"

#: the columns are those of the youngest migration that workers need
PROBE = "select adjustment, coverage from candles_intraday, sink_offsets limit 0"
STAGING = "create temp table candle_staging (like candles_intraday including defaults) on commit delete rows"
COPY = f"copy candle_staging ({_COLUMNS}) from stdin (format binary)"

#: of rows with one key the best comes first; `BETTER` says the same of what arrives and what is there
BEST_FIRST = f"""
    {_KEY}, provider_rank desc, provider collate "C" desc, feed collate "C" desc, rule collate "C" desc,
    is_final desc, coalesce(as_of, '-infinity') desc, revision desc
"""
#: a total order, so that any order of arrival and any repetition ends with the same row
BETTER = f"""
    on conflict ({_KEY}) do update set
      o = excluded.o, h = excluded.h, l = excluded.l, c = excluded.c, v = excluded.v, vwap = excluded.vwap,
      trade_count = excluded.trade_count, provider = excluded.provider, feed = excluded.feed,
      coverage = excluded.coverage, rule = excluded.rule, provider_rank = excluded.provider_rank,
      revision = excluded.revision, is_final = excluded.is_final, as_of = excluded.as_of, updated_at = now()
    where (excluded.provider_rank, excluded.provider collate "C", excluded.feed collate "C",
           excluded.rule collate "C", excluded.is_final, coalesce(excluded.as_of, '-infinity'),
           excluded.revision)
        > (t.provider_rank, t.provider collate "C", t.feed collate "C",
           t.rule collate "C", t.is_final, coalesce(t.as_of, '-infinity'), t.revision)
"""
UPSERT = f"""
    insert into candles_intraday as t ({_COLUMNS})
    select distinct on ({_KEY}) {_COLUMNS} from candle_staging order by {BEST_FIRST} {BETTER}
"""  # noqa: S608 - the columns are a constant of this module

#: of a provider and its feed: whose trades they are, and the rank of a bar made of them
Rank = Callable[[str, str], tuple[str, int]]


def ranked(places: Sequence[str]) -> Rank:
    """Return how bars made of trades are ranked, as PROVIDER_RANK names the providers, the best first."""

    @lru_cache(maxsize=1_024)
    def rank_of(provider: str, feed: str) -> tuple[str, int]:
        coverage = coverage_of(feed)
        return coverage, rank_of_source(coverage, place(provider, places), official=False)

    return rank_of


def prepare(connection: Connection) -> None:
    """Make what `write` needs on a new connection."""
    connection.execute(STAGING)


def write(connection: Connection, bars: Iterable[Bar], rank: Rank) -> None:
    """Write bars, each only if it beats what is stored.

    Args:
        connection: in whose transaction; not committed.
        bars: any number of versions of any bar.
        rank: see `ranked`.

    Raises:
        psycopg.Error: of class 22 or 23 when the database refuses a bar.
    """
    with connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            copy.set_types(_TYPES)
            for b in bars:
                coverage, number = rank(b.provider, b.feed)
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
                        coverage,
                        b.rule,
                        number,
                        b.revision,
                        b.is_final,
                    )
                )
        cursor.execute(UPSERT)
