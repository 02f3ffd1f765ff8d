"""``quotes_l1``, quotes as providers give them when they are asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

import msgspec

from domain.quote_flags import flags
from domain.rank import place, rank
from schemas.provider import Coverage, ProviderName
from sinks.database import Connection
from sinks.nanos import to_time


class VendorQuote(Protocol):
    """A row as `providers` give it; an absent side is None, sizes are in units."""

    @property
    def symbol(self) -> str:
        """Canonical."""

    @property
    def ts_event(self) -> int:
        """Nanoseconds since the epoch."""

    @property
    def bid(self) -> float | None:
        """Price of one unit; None: no bid."""

    @property
    def bid_size(self) -> float | None:
        """Units."""

    @property
    def ask(self) -> float | None:
        """Price of one unit; None: no ask."""

    @property
    def ask_size(self) -> float | None:
        """Units."""

    @property
    def seq(self) -> int:
        """Of the feed; 0 if it has none."""


@dataclass(frozen=True, slots=True)
class VendorQuotes:
    """Quotes of one answer, with their provenance."""

    rows: Sequence[VendorQuote]
    provider: ProviderName
    feed: str
    coverage: Coverage


class _Source(msgspec.Struct, frozen=True, gc=False):
    """What the quotes of one answer have in common."""

    source: int
    provider: str
    feed: str
    coverage: str
    provider_rank: int


_ROW = attrgetter("symbol", "ts_event", "bid", "bid_size", "ask", "ask_size", "seq")
_TYPES = ["int4", "int4", "text", "int8", *["float8"] * 4, "int8"]
_COLUMNS = (
    "symbol, ts, ts_ns, bid, bid_size, ask, ask_size, provider, feed, coverage, provider_rank, seq, n, flags"
)
#: `n` is that of the stream; what was fetched has 0
_KEY = "symbol, ts, ts_ns, provider, feed, seq, n"

STAGING = """
    create temp table vendor_quote_staging (
      source int4, flags int4, symbol text, ts_ns int8,
      bid float8, bid_size float8, ask float8, ask_size float8, seq int8
    ) on commit delete rows
"""
COPY = "copy vendor_quote_staging from stdin (format binary)"
#: in one order: whoever else adds some waits instead of a deadlock
SYMBOLS = """
    insert into quote_symbols select distinct symbol from vendor_quote_staging order by 1
    on conflict do nothing
"""
#: of two with one key and rank, as a feed without sequence numbers may have them, always the same one stays
UPSERT = f"""
    insert into quotes_l1 as t ({_COLUMNS})
    select distinct on ({_KEY}) {_COLUMNS} from (
      select q.symbol, {to_time("q.ts_ns")} as ts, q.ts_ns, q.bid, q.bid_size, q.ask, q.ask_size,
        s.provider, s.feed, s.coverage, s.provider_rank, q.seq,
        0 as n, q.flags
      from vendor_quote_staging q
      join json_to_recordset(%s) as s(
        source int4, provider text, feed text, coverage text, provider_rank int2) using (source)
    ) as given
    order by {_KEY}, provider_rank desc, coverage collate "C" desc, coalesce(bid, -1) desc,
      coalesce(ask, -1) desc, coalesce(bid_size, -1) desc, coalesce(ask_size, -1) desc
    on conflict ({_KEY}) do update set
      bid = excluded.bid, bid_size = excluded.bid_size, ask = excluded.ask, ask_size = excluded.ask_size,
      coverage = excluded.coverage, provider_rank = excluded.provider_rank, flags = excluded.flags
    where (excluded.provider_rank, excluded.coverage collate "C", coalesce(excluded.bid, -1),
           coalesce(excluded.ask, -1), coalesce(excluded.bid_size, -1), coalesce(excluded.ask_size, -1))
        > (t.provider_rank, t.coverage collate "C", coalesce(t.bid, -1),
           coalesce(t.ask, -1), coalesce(t.bid_size, -1), coalesce(t.ask_size, -1))
"""  # noqa: S608 - constants of these modules


def prepare(connection: Connection) -> None:
    """Make what `write` needs on a new connection."""
    connection.execute(STAGING)


def write(connection: Connection, results: Iterable[VendorQuotes], places: Sequence[str]) -> None:
    """Write quotes, each once.

    Args:
        connection: in whose transaction; not committed.
        results: answers; a quote may be in several of them.
        places: PROVIDER_RANK, the best provider first.

    Raises:
        psycopg.Error: of class 22 or 23 when the database refuses a quote.
    """
    sources = []
    with connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            copy.set_types(_TYPES)
            for source, result in enumerate(results):
                sources.append(_source(source, result, places))
                for row in result.rows:
                    copy.write_row((source, flags(row.bid, row.ask), *_ROW(row)))
        if sources:
            cursor.execute(SYMBOLS)
            cursor.execute(UPSERT, (msgspec.json.encode(sources).decode(),))


def _source(number: int, result: VendorQuotes, places: Sequence[str]) -> _Source:
    return _Source(
        source=number,
        provider=result.provider,
        feed=result.feed,
        coverage=result.coverage,
        provider_rank=rank(result.coverage, place(result.provider, places), official=True),
    )
