"""``backfill_jobs``: windows to fetch again, in pieces that a dispatcher takes one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from schemas.provider import Interval, ProviderName
from sinks.database import Connection
from sinks.nanos import to_time

MAX_BARS: Final = 1_440
_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class BackfillRow:
    """What somebody wants to have fetched again; times in nanoseconds since the epoch."""

    request_id: str
    """Of the job that says so."""
    tier: Literal["T0", "T1", "T2"]
    symbol: str
    interval: Interval
    window_start_ns: int
    window_end_ns: int
    """Exclusive."""
    reason_text: str
    hint: ProviderName | None = None


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A window of at most `MAX_BARS` bars."""

    request_id: str
    tier: str
    symbol: str
    interval: str
    start_ns: int
    end_ns: int
    note: str
    hint: str | None


#: the index of the table: a window is queued once until it is finished. What a request has queued before is
#: not queued again, finished or not: its record may be read twice
INSERT = f"""
    insert into backfill_jobs
      (request_id, tier, symbol, interval, window_start, window_end, reason, note, provider_hint)
    select request_id, tier, symbol, interval, {to_time("start_ns")}, {to_time("end_ns")}, 'request',
           note, hint
    from json_to_recordset(%s) as p(
      request_id text, tier text, symbol text, interval text, start_ns int8, end_ns int8,
      note text, hint text)
    where not exists (
      select from backfill_jobs b
      where b.request_id = p.request_id and b.window_start = {to_time("p.start_ns")})
    order by symbol, interval, start_ns
    on conflict (symbol, interval, window_start, window_end) where state in ('queued', 'leased') do nothing
"""  # noqa: S608 - constants of these modules


def pieces(row: BackfillRow) -> Iterator[Piece]:
    """Cut a window, always at the same places: windows that overlap have their middle pieces in common."""
    length = int(row.interval[:-1]) * _SECONDS[row.interval[-1]] * 1_000_000_000 * MAX_BARS
    start = row.window_start_ns
    while start < row.window_end_ns:
        end = min(row.window_end_ns, start - start % length + length)
        yield Piece(row.request_id, row.tier, row.symbol, row.interval, start, end, row.reason_text, row.hint)
        start = end


def write(connection: Connection, rows: Iterable[BackfillRow]) -> None:
    """Queue windows; those that are queued already stay as they are.

    Args:
        connection: in whose transaction; not committed.
        rows: any number.

    Raises:
        psycopg.Error: of class 22 or 23 when the database refuses a row.
    """
    cut = [piece for row in rows for piece in pieces(row)]
    connection.execute(INSERT, (msgspec.json.encode(cut).decode(),))
