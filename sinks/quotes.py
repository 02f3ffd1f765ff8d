"""``quotes_l1``, quotes of live feeds: a row for each quote of ``md.quotes.v1``.

Rows are packed here: psycopg takes twice as long to make a binary COPY of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct

import psycopg
from typing_extensions import override

from domain.quote_flags import NUMBERS
from domain.rank import coverage_of, place, rank
from schemas.quote import L1Quote
from sinks.database import Connection
from sinks.offsets import K, Move
from sinks.transaction import RowWriter

_COLUMNS = (
    "symbol, ts, ts_ns, bid, bid_size, ask, ask_size, seq, n, flags, provider, feed, coverage, provider_rank"
)
#: the columns are those of the youngest migration that workers need
PROBE = "select n from quotes_l1, quote_symbols limit 0"
COPY = f"copy quotes_l1 ({_COLUMNS}) from stdin (format binary)"
STAGING = "create temp table quote_staging (like quotes_l1 including defaults) on commit delete rows"
COPY_STAGING = f"copy quote_staging ({_COLUMNS}) from stdin (format binary)"
#: what was stored before stays: after a position was put back the same quotes come again
INSERT_NEW = f"""
    insert into quotes_l1 ({_COLUMNS}) select {_COLUMNS} from quote_staging on conflict do nothing
"""  # noqa: S608 - constants of this module
#: in one order: whoever else adds some waits instead of a deadlock
SYMBOLS = """
    insert into quote_symbols select * from unnest(%s::text[]) order by 1 on conflict do nothing
"""

#: the binary format: signature, flags, length of the extension; every field after its length, -1 for null
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_FIELDS = Struct(">h").pack(_COLUMNS.count(",") + 1)
_LENGTH = Struct(">i").pack
_FLOAT = Struct(">id").pack
_NULL = _LENGTH(-1)
#: ts, ts_ns, and the four numbers of a quote with both sides
_WHOLE = Struct(">iqiqidididid").pack
_TIMES = Struct(">iqiq").pack
#: seq, n, flags
_NUMBERS = Struct(">iqiqii").pack
_RANK = Struct(">ih").pack
#: PostgreSQL counts microseconds from the year 2000
_EPOCH_US = 946_684_800_000_000


@dataclass(slots=True)
class _Known:
    """The symbols that `quote_symbols` has, and those that it will have after the commit."""

    connection: Connection | None = None
    """A new one may lead to another database."""
    symbols: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


@lru_cache(maxsize=65_536)
def _begin(symbol: str) -> bytes:
    return _FIELDS + _text(symbol)


#: of a provider and its feed: the last four fields
_Source = Callable[[str, str], bytes]


def sources(places: Sequence[str]) -> _Source:
    """Return what says whose quotes they are, as PROVIDER_RANK names the providers, the best first."""

    @lru_cache(maxsize=1_024)
    def source(provider: str, feed: str) -> bytes:
        coverage = coverage_of(feed)
        number = rank(coverage, place(provider, places), official=True)
        return _text(provider) + _text(feed) + _text(coverage) + _RANK(2, number)

    return source


class Packed(list[L1Quote]):
    """Rows, and what COPY takes of them."""

    def __init__(self, rows: Iterable[L1Quote], bodies: Sequence[bytes]) -> None:
        """Take rows, and what `pack` has made of the same ones, some at a time."""
        super().__init__(rows)
        self.bodies = bodies


def pack(rows: Sequence[L1Quote], source: _Source) -> bytes:
    """Return rows as the binary format of COPY has them: `whole` adds what is around all of them."""
    packed: list[bytes] = []
    append = packed.append
    numbers: Mapping[tuple[str, ...], int] = NUMBERS
    for q in rows:
        append(_begin(q.symbol))
        ts, bid, bid_size, ask, ask_size = q.ts_event, q.bid, q.bid_size, q.ask, q.ask_size
        us = ts // 1000 - _EPOCH_US
        if bid is None or bid_size is None or ask is None or ask_size is None:
            append(_TIMES(8, us, 8, ts))
            for side in (bid, bid_size, ask, ask_size):
                append(_NULL if side is None else _FLOAT(8, side))
        else:
            append(_WHOLE(8, us, 8, ts, 8, bid, 8, bid_size, 8, ask, 8, ask_size))
        append(_NUMBERS(8, q.seq, 8, q.n, 4, numbers[q.flags]))
        append(source(q.provider, q.feed))
    return b"".join(packed)


def whole(bodies: Iterable[bytes]) -> bytes:
    """Return what is to be copied, of bodies that `pack` has made."""
    return b"".join((_HEAD, *bodies, _END))


def prepare(connection: Connection) -> None:
    """Make what `QuoteWriter` needs on a new connection."""
    connection.execute(STAGING)


@dataclass(frozen=True, slots=True)
class QuoteWriter(RowWriter[L1Quote]):
    """Stores batches of quotes, each quote once."""

    source: _Source
    known: _Known = field(default_factory=_Known)

    @override
    def store(self, connection: Connection, rows: Sequence[L1Quote], moves: Mapping[K, Move]) -> None:
        self.known.added.clear()
        try:
            super(QuoteWriter, self).store(connection, rows, moves)
        except psycopg.errors.UniqueViolation:
            connection.rollback()
            self.offsets.swap(connection, moves)
            self._write_new(connection, rows)
            connection.commit()
        self.known.symbols |= self.known.added

    def pack(self, rows: Sequence[L1Quote]) -> bytes:
        """Do what needs no connection: `Packed` takes it."""
        return pack(rows, self.source)

    @override
    def write(self, connection: Connection, rows: Sequence[L1Quote]) -> None:
        self._copy(connection, COPY, rows)

    @override
    def probe(self, connection: Connection, rows: Sequence[L1Quote]) -> None:
        # one that is stored already is not refused
        self._write_new(connection, rows)

    def _write_new(self, connection: Connection, rows: Sequence[L1Quote]) -> None:
        self._copy(connection, COPY_STAGING, rows)
        connection.execute(INSERT_NEW)

    def _copy(self, connection: Connection, command: str, rows: Sequence[L1Quote]) -> None:
        self._add_symbols(connection, rows)
        bodies = rows.bodies if isinstance(rows, Packed) else [self.pack(rows)]
        with connection.cursor() as cursor, cursor.copy(command) as copy:
            copy.write(whole(bodies))

    def _add_symbols(self, connection: Connection, rows: Sequence[L1Quote]) -> None:
        known = self.known
        if known.connection is not connection:
            known.connection, known.symbols = connection, set()
        known.added = {row.symbol for row in rows} - known.symbols
        if known.added:
            connection.execute(SYMBOLS, (list(known.added),))
