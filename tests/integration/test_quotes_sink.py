"""Quotes of live feeds in `quotes_l1`: each once, whatever comes again; and the latest of each symbol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from schemas.errors import Reason
from schemas.quote import L1Quote
from sinks import quotes
from sinks.database import Connection
from sinks.offsets import Move, OffsetSink, PositionsMovedError, Stored
from sinks.quotes import Packed, QuoteWriter

pytestmark = pytest.mark.integration

TP = ("md.quotes.raw.v1", 0)
OFFSETS = OffsetSink("quotes", "cluster-1")
TS = 1_700_000_040_123_456_789
ROWS = """
    select symbol, ts::text, ts_ns, bid, bid_size, ask, ask_size, provider, feed, coverage, provider_rank,
           seq, n, flags
    from quotes_l1 order by symbol, n
"""
GUARD = """
    create function no_bad_symbols() returns trigger language plpgsql as $$
    begin
        if new.symbol like 'BAD%' then
            raise exception 'the symbol % is not welcome', new.symbol using errcode = 'check_violation';
        end if;
        return new;
    end $$;
    create trigger no_bad_symbols before insert on quotes_l1 for each row execute function no_bad_symbols();
"""


def quote(n: int = 1, symbol: str = "AAPL", **facts: Any) -> L1Quote:
    common: dict[str, Any] = {"ts_event": TS, "provider": "polygon", "bid": 1.0, "bid_size": 2.0}
    return L1Quote(symbol=symbol, n=n, **(common | facts))


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, options="-c timezone=UTC") as connection:
        quotes.prepare(connection)
        connection.execute(GUARD)
        connection.commit()
        OFFSETS.load(connection, {TP: Stored(10, 10, None)})
        yield connection


@pytest.fixture
def writer() -> QuoteWriter:
    return QuoteWriter(OFFSETS, quotes.sources(("polygon",)))


def asked(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    rows = connection.execute(sql).fetchall()
    connection.commit()
    return rows


def numbers(connection: Connection) -> list[tuple[Any, ...]]:
    return asked(connection, "select symbol, n from quotes_l1 order by 1, 2")


def position(connection: Connection) -> int:
    return OFFSETS.all(connection)[TP].next_offset


def test_a_row_says_what_the_quote_says(connection, writer):
    whole = quote(3, "XBT/USDT", ask=1.0, ask_size=0.5, feed="iex", seq=7, flags=("locked", "out_of_order"))
    writer.store(connection, [whole, quote(1)], {TP: Move(10, 12)})
    connection.rollback()  # it has committed already
    when = "2023-11-14 22:14:00.123456+00"
    assert asked(connection, ROWS) == [
        ("AAPL", when, TS, 1.0, 2.0, None, None, "polygon", "", "", 3, 0, 1, 0),
        ("XBT/USDT", when, TS, 1.0, 2.0, 1.0, 0.5, "polygon", "iex", "iex", 3 - 16_384, 7, 3, 18),
    ]
    assert position(connection) == 12


def test_what_was_packed_before_is_stored_as_it_is_and_again_if_some_is_there_already(connection, writer):
    rows = [quote(1), quote(2), quote(1, "MSFT")]
    packed = Packed(rows, [writer.pack(rows[:1]), writer.pack(rows[1:])])
    writer.store(connection, packed, {TP: Move(10, 12)})
    assert numbers(connection) == [("AAPL", 1), ("AAPL", 2), ("MSFT", 1)]
    OFFSETS.reset(connection, {TP: Stored(10, 10, None)})
    more = [*rows, quote(3)]
    writer.store(connection, Packed(more, [writer.pack(more)]), {TP: Move(10, 13)})
    assert numbers(connection) == [("AAPL", 1), ("AAPL", 2), ("AAPL", 3), ("MSFT", 1)]


def test_which_of_the_packed_are_refused_is_found(connection, writer):
    rows = [quote(1), quote(1, "BAD"), quote(2)]
    packed = Packed(rows, [writer.pack(rows)])
    with pytest.raises(psycopg.errors.CheckViolation):
        writer.store(connection, packed, {TP: Move(10, 12)})
    connection.rollback()
    assert [r.row.id for r in writer.refused(connection, packed)] == ["BAD|1"]


def test_two_of_one_nanosecond_are_two_rows(connection, writer):
    writer.store(connection, [quote(1), quote(2, bid=1.5)], {TP: Move(10, 12)})
    assert numbers(connection) == [("AAPL", 1), ("AAPL", 2)]


def test_what_is_stored_already_stays_and_the_rest_is_added(connection, writer):
    writer.store(connection, [quote(1), quote(2)], {TP: Move(10, 12)})
    OFFSETS.reset(connection, {TP: Stored(10, 10, None)})
    writer.store(connection, [quote(1), quote(2), quote(3), quote(1, "MSFT")], {TP: Move(10, 14)})
    assert numbers(connection) == [("AAPL", 1), ("AAPL", 2), ("AAPL", 3), ("MSFT", 1)]
    assert position(connection) == 14


def test_a_lost_swap_stores_nothing_whether_rows_are_new_or_not(connection, writer):
    writer.store(connection, [quote(1)], {TP: Move(10, 12)})
    for rows in ([quote(1)], [quote(2)]):
        with pytest.raises(PositionsMovedError):
            writer.store(connection, rows, {TP: Move(11, 15)})
    assert (numbers(connection), position(connection)) == ([("AAPL", 1)], 12)


def test_the_refused_are_found_and_what_is_stored_already_is_none_of_them(connection, writer):
    writer.store(connection, [quote(1)], {TP: Move(10, 12)})
    with pytest.raises(psycopg.errors.CheckViolation):
        writer.store(connection, [quote(2), quote(1, "BAD")], {TP: Move(12, 15)})
    connection.rollback()
    rows = [quote(1), quote(2), quote(1, "BAD"), quote(1, "MSFT")]
    assert [(r.row.id, r.reason) for r in writer.refused(connection, rows)] == [
        ("BAD|1", Reason.SINK_CONSTRAINT)
    ]
    assert (numbers(connection), position(connection)) == ([("AAPL", 1)], 12)


def test_every_stored_symbol_is_listed_once(connection, writer):
    listed = "select symbol from quote_symbols order by 1"
    with pytest.raises(psycopg.errors.CheckViolation):
        writer.store(connection, [quote(1, "MSFT"), quote(1, "BAD")], {TP: Move(10, 12)})
    connection.rollback()
    assert asked(connection, listed) == []
    writer.store(connection, [], {TP: Move(10, 11)})
    for n in (1, 2):
        writer.store(connection, [quote(n, "MSFT"), quote(n)], {TP: Move(10 + n, 11 + n)})
        assert asked(connection, listed) == [("AAPL",), ("MSFT",)]


def test_the_latest_is_that_of_the_latest_time_whoever_sent_it(connection, writer):
    writer.store(
        connection,
        [
            quote(1, ts_event=TS + 1),
            quote(2, provider="alpaca", feed="iex", ts_event=TS + 2),
            quote(3, ts_event=TS),
            quote(4, provider="alpaca", ts_event=TS + 2),
            quote(1, "MSFT"),
        ],
        {TP: Move(10, 15)},
    )
    latest = "select symbol, n, ts_ns from latest_quotes order by symbol"
    assert asked(connection, latest) == [("AAPL", 4, TS + 2), ("MSFT", 1, TS)]
