"""Candles on a real database: any order, any batches, any repetition end in the same row (P5)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any
from zlib import crc32

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.candle import Bar
from sinks import candles
from sinks.candles import ranked
from sinks.database import Connection
from tests.unit.sinks.bars import MINUTE_NS, START, bar

pytestmark = pytest.mark.integration

PROVIDERS = ("polygon", "kraken")
#: of equal rank; a collation of a language would sort them otherwise than bytes do
UNNAMED = ("a-b", "a_c", "ab")
RANK = ranked(PROVIDERS)
ROW = (
    "select symbol, ts, o, h, l, c, v, vwap, trade_count, provider, feed, rule, revision, is_final, "
    "provider_rank, coverage, adjustment, as_of from candles_intraday order by symbol, ts"
)


def version(symbol: str, minute: int, provider: str, feed: str, final: bool, revision: int) -> Bar:
    """Return a version of a bar whose content follows from which version it is."""
    number = float(crc32(f"{provider} {feed} {final} {revision}".encode()) % 997 + 1)
    return bar(
        symbol=symbol,
        ts_event=START + minute * MINUTE_NS,
        provider=provider,
        feed=feed,
        is_final=final,
        revision=revision,
        open=number,
        low=number / 2,
        high=number * 2,
        close=number + 1,
        volume=number * 3,
        vwap=number + 0.5,
        trade_count=revision + 1,
    )


VERSIONS = st.builds(
    version,
    st.sampled_from(["AAPL", "XBT/USDT"]),
    st.integers(0, 1),
    st.sampled_from(PROVIDERS + UNNAMED),
    st.sampled_from(["", "iex", "sip"]),
    st.booleans(),
    st.integers(0, 3),
)


def quality(b: Bar) -> tuple[Any, ...]:
    """A better source, then a final bar, then the higher revision."""
    return (RANK(b.provider, b.feed)[1], b.provider.encode(), b.feed.encode(), b.is_final, b.revision)


def best(arrived: list[Bar]) -> list[Bar]:
    """Return what should be stored, in the order of `ROW`."""
    keys = sorted({(b.symbol, b.ts_event) for b in arrived})
    return [max((b for b in arrived if (b.symbol, b.ts_event) == key), key=quality) for key in keys]


def stored(connection: Connection) -> list[Bar]:
    """Return the rows as bars, after checking what the bars do not say themselves."""
    bars = []
    for symbol, ts, *rest in connection.execute(ROW).fetchall():
        values, (rank, coverage, adjustment, as_of) = rest[:-4], rest[-4:]
        seconds = int(ts.timestamp())
        assert ts.timestamp() == seconds
        stored = Bar(symbol, "1m", seconds * 10**9, *values)
        assert (coverage, rank) == RANK(stored.provider, stored.feed)
        assert (adjustment, as_of) == ("raw", None)
        bars.append(stored)
    return bars


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url) as connection:
        candles.prepare(connection)
        connection.commit()
        yield connection


def write(connection: Connection, bars: list[Bar]) -> None:
    candles.write(connection, bars, RANK)
    connection.commit()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(batches=st.lists(st.lists(VERSIONS, min_size=1, max_size=12), min_size=1, max_size=5))
def test_after_every_batch_the_best_of_what_arrived_is_stored(connection, batches):
    connection.execute("truncate candles_intraday")
    connection.commit()
    arrived: list[Bar] = []
    for batch in batches:
        write(connection, batch)
        arrived += batch
        assert stored(connection) == best(arrived)


def test_every_pair_of_versions_in_either_order_together_or_apart(connection):
    versions = [
        version("AAPL", 0, provider, feed, final, revision)
        for provider, feed, final, revision in product(("kraken", "a_c"), ("", "iex"), (True, False), (0, 1))
    ]
    for first, second in product(versions, versions):
        connection.execute("truncate candles_intraday")
        write(connection, [first])
        write(connection, [second])
        apart = stored(connection)
        connection.execute("truncate candles_intraday")
        write(connection, [first, second])
        assert stored(connection) == apart == [max(first, second, key=quality)]


def test_a_repetition_writes_nothing(connection):
    one = version("AAPL", 0, "polygon", "", True, 1)
    write(connection, [one])
    before = connection.execute("select ctid, xmin, updated_at from candles_intraday").fetchall()
    write(connection, [one, one])
    write(connection, [version("AAPL", 0, "polygon", "", True, 0)])
    assert connection.execute("select ctid, xmin, updated_at from candles_intraday").fetchall() == before


def test_what_is_written_is_what_the_bar_says_to_the_last_bit(connection):
    odd = bar(open=0.1 + 0.2, high=1e12, low=1e-9, close=2 / 3, volume=123456.123456789, vwap=1 / 7)
    write(connection, [odd])
    assert stored(connection) == [odd]


def test_the_staging_table_is_empty_again_after_each_transaction(connection):
    write(connection, [bar()])
    connection.execute("truncate candles_intraday")
    write(connection, [bar(symbol="MSFT")])
    assert [b.symbol for b in stored(connection)] == ["MSFT"]


def test_the_probe_finds_the_tables(connection):
    connection.execute(candles.PROBE)
    connection.execute("drop table sink_offsets")
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute(candles.PROBE)
