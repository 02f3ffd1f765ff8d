"""``candles_intraday``, bars as providers made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

import msgspec

from domain.rank import place, rank
from schemas.provider import Adjustment, Coverage, Interval, ProviderName
from sinks.candles import BEST_FIRST, BETTER
from sinks.database import Connection
from sinks.nanos import to_time


class VendorBar(Protocol):
    """A row as `providers` give it; prices in quote currency, volume in units."""

    @property
    def symbol(self) -> str:
        """Canonical."""

    @property
    def ts_event(self) -> int:
        """Start of the bar, nanoseconds since the epoch."""

    @property
    def open(self) -> float:
        """Price of one unit."""

    @property
    def high(self) -> float:
        """Price of one unit."""

    @property
    def low(self) -> float:
        """Price of one unit."""

    @property
    def close(self) -> float:
        """Price of one unit."""

    @property
    def volume(self) -> float:
        """Units."""

    @property
    def vwap(self) -> float | None:
        """Price of one unit; None if the provider gives none."""

    @property
    def trade_count(self) -> int | None:
        """None if the provider gives none."""


@dataclass(frozen=True, slots=True)
class VendorBars:
    """Bars of one answer, with their provenance; times in nanoseconds since the epoch."""

    rows: Sequence[VendorBar]
    interval: Interval
    adjustment: Adjustment
    provider: ProviderName
    feed: str
    coverage: Coverage
    rule: str
    """By which the provider made them, as in `polygon.v1`."""
    as_of_ns: int
    """When the provider was asked: of two answers the later one counts."""
    final_before_ns: int
    """Bars that start before are final; 0: all are provisional."""


class _Source(msgspec.Struct, frozen=True, gc=False):
    """What the bars of one answer have in common."""

    source: int
    interval: str
    adjustment: str
    provider: str
    feed: str
    coverage: str
    rule: str
    provider_rank: int
    as_of_ns: int
    final_before_ns: int


_ROW = attrgetter("symbol", "ts_event", "open", "high", "low", "close", "volume", "vwap", "trade_count")
_TYPES = ["int4", "text", "int8", *["float8"] * 6, "int8"]
_COLUMNS = (
    "symbol, interval, ts, o, h, l, c, v, vwap, trade_count, "
    "provider, feed, coverage, adjustment, rule, provider_rank, is_final, as_of, revision"
)

STAGING = """
    create temp table vendor_bar_staging (
      source int4, symbol text, ts_ns int8,
      o float8, h float8, l float8, c float8, v float8, vwap float8, trade_count int8
    ) on commit delete rows
"""
COPY = "copy vendor_bar_staging from stdin (format binary)"
UPSERT = f"""
    insert into candles_intraday as t ({_COLUMNS})
    select distinct on (symbol, interval, ts, adjustment) {_COLUMNS} from (
      select b.symbol, s.interval, {to_time("b.ts_ns")} as ts, b.o, b.h, b.l, b.c, b.v, b.vwap, b.trade_count,
        s.provider, s.feed, s.coverage, s.adjustment, s.rule, s.provider_rank,
        b.ts_ns < s.final_before_ns as is_final, {to_time("s.as_of_ns")} as as_of, 0 as revision
      from vendor_bar_staging b
      join json_to_recordset(%s) as s(
        source int4, interval text, adjustment text, provider text, feed text, coverage text, rule text,
        provider_rank int2, as_of_ns int8, final_before_ns int8) using (source)
    ) as given
    order by {BEST_FIRST} {BETTER}
"""  # noqa: S608 - constants of these modules


def prepare(connection: Connection) -> None:
    """Make what `write` needs on a new connection."""
    connection.execute(STAGING)


def write(connection: Connection, results: Iterable[VendorBars], places: Sequence[str]) -> None:
    """Write bars, each only if it beats what is stored.

    Args:
        connection: in whose transaction; not committed.
        results: answers, any number of versions of any bar among them.
        places: PROVIDER_RANK, the best provider first.

    Raises:
        psycopg.Error: of class 22 or 23 when the database refuses a bar.
    """
    sources = []
    with connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            copy.set_types(_TYPES)
            for source, result in enumerate(results):
                sources.append(_source(source, result, places))
                for row in result.rows:
                    copy.write_row((source, *_ROW(row)))
        if sources:
            cursor.execute(UPSERT, (msgspec.json.encode(sources).decode(),))


def _source(number: int, result: VendorBars, places: Sequence[str]) -> _Source:
    return _Source(
        source=number,
        interval=result.interval,
        adjustment=result.adjustment,
        provider=result.provider,
        feed=result.feed,
        coverage=result.coverage,
        rule=result.rule,
        provider_rank=rank(result.coverage, place(result.provider, places), official=True),
        as_of_ns=result.as_of_ns,
        final_before_ns=result.final_before_ns,
    )
