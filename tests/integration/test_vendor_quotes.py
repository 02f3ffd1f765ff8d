"""Quotes of vendors on a real database: each once, whatever is delivered how often and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import psycopg
import pytest

from sinks import vendor_quotes
from sinks.database import Connection
from tests.unit.sinks.bars import START
from tests.unit.sinks.results import quote_row
from tests.unit.sinks.results import vendor_quotes as answer

pytestmark = pytest.mark.integration

PLACES = ("polygon", "alpaca")
ROWS = (
    "select symbol, (extract(epoch from ts) * 1000000)::int8, ts_ns, bid, bid_size, ask, ask_size, provider, "
    "feed, coverage, provider_rank, seq, flags from quotes_l1 order by symbol, ts_ns, provider, feed, seq"
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url) as connection:
        vendor_quotes.prepare(connection)
        connection.commit()
        yield connection


def write(connection: Connection, *answers: vendor_quotes.VendorQuotes) -> None:
    vendor_quotes.write(connection, answers, PLACES)
    connection.commit()


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(ROWS).fetchall()


def test_what_is_written_is_what_the_quote_says(connection):
    quote = quote_row(
        ts_event=START + 123_456_789, bid=0.1 + 0.2, ask=2 / 3, bid_size=1.5, ask_size=None, seq=9
    )
    write(connection, answer(quote))
    assert stored(connection) == [
        (
            "AAPL",
            (START + 123_456_789) // 1000,
            START + 123_456_789,
            quote.bid,
            1.5,
            quote.ask,
            None,
            "polygon",
            "sip",
            "consolidated",
            5,  # of the first of two places, the provider's own
            9,
            0,
        )
    ]


def test_odd_quotes_are_kept_and_flagged(connection):
    quotes = [
        quote_row(seq=1, bid=10.0, ask=10.5),
        quote_row(seq=2, bid=10.6, ask=10.5),
        quote_row(seq=3, bid=10.5, ask=10.5),
        quote_row(seq=4, bid=None, bid_size=None),
        quote_row(seq=5, ask=None, ask_size=None),
    ]
    write(connection, answer(*quotes))
    found = connection.execute("select seq, bid, ask, flags from quotes_l1 order by seq").fetchall()
    assert found == [
        (1, 10.0, 10.5, 0),
        (2, 10.6, 10.5, 1),
        (3, 10.5, 10.5, 2),
        (4, None, 10.5, 4),
        (5, 10.0, None, 4),
    ]


def test_a_repetition_writes_nothing(connection):
    quotes = answer(
        quote_row(seq=1), quote_row(seq=2, bid=None, bid_size=None), quote_row(ts_event=START + 2)
    )
    write(connection, quotes)
    before = connection.execute("select ctid, xmin from quotes_l1").fetchall()
    assert len(before) == 3
    write(connection, quotes, quotes)
    assert connection.execute("select ctid, xmin from quotes_l1").fetchall() == before


def test_sources_do_not_replace_each_other(connection):
    iex = answer(quote_row(bid=9.0), provider="alpaca", feed="iex", coverage="iex")
    write(connection, answer(), iex, answer(provider="alpaca"))
    found = connection.execute(
        "select provider, feed, coverage, bid, provider_rank from quotes_l1 order by provider_rank"
    ).fetchall()
    assert found == [
        ("alpaca", "iex", "iex", 9.0, -16_381),
        ("alpaca", "sip", "consolidated", 10.0, 3),
        ("polygon", "sip", "consolidated", 10.0, 5),
    ]


NO_BID = {"bid": None, "bid_size": None}
NO_ASK = {"ask": None, "ask_size": None}


@pytest.mark.parametrize(
    "quotes",
    [
        [quote_row(bid_size=100.0), quote_row(bid_size=300.0), quote_row(**NO_BID), quote_row(**NO_ASK)],
        [quote_row(**NO_BID, ask=10.0), quote_row(**NO_BID, ask=11.0), quote_row(**NO_BID, **NO_ASK)],
        [quote_row(**NO_ASK, bid_size=1.0), quote_row(**NO_ASK, bid_size=2.0)],
        [quote_row(ask_size=None, bid_size=1.0), quote_row(ask_size=None, bid_size=None)],
        [quote_row(ask_size=1.0), quote_row(ask_size=None)],
    ],
)
def test_of_quotes_with_one_key_the_same_one_stays_in_every_order(connection, quotes):
    found = set()
    for order in permutations(quotes):
        connection.execute("delete from quotes_l1")
        for quote in order:
            write(connection, answer(quote))
        apart = stored(connection)
        connection.execute("delete from quotes_l1")
        write(connection, answer(*order))
        assert stored(connection) == apart
        found |= set(apart)
    assert len(found) == 1


def test_nothing_to_write(connection):
    write(connection)
    write(connection, answer(rows=()))
    assert stored(connection) == []
