"""The key of quotes grows by their number while workers of the release before still write."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from migrations.files import TIMESCALE, migration_files
from migrations.runner import migrate_down, migrate_up
from schemas.quote import L1Quote
from sinks import quotes
from sinks.offsets import Move, OffsetSink, Stored
from sinks.quotes import QuoteWriter
from tests.migrations.conftest import Target

pytestmark = pytest.mark.integration

LAST = "0021_post_key_of_quotes"
TS = 1_700_000_040_123_456_789
TP = ("md.quotes.raw.v1", 0)
OFFSETS = OffsetSink("quotes", "cluster-1")
#: as the release before writes: it knows neither number nor list of symbols, and its key is the old one
BEFORE = """
    insert into quotes_l1 as t (symbol, ts, ts_ns, bid, provider, feed, coverage, provider_rank, seq, flags)
    values (%s, '2023-11-14T22:14:00.123456Z', 1700000040123456789, 1.5, 'polygon', '', '', 1, 0, 4)
    on conflict (symbol, ts, ts_ns, provider, feed, seq) do update set bid = excluded.bid
"""
ENABLED = """
    select compression_enabled from timescaledb_information.hypertables where hypertable_name = 'quotes_l1'
"""
POLICIES = """
    select count(*)::int from timescaledb_information.jobs
    where hypertable_name = 'quotes_l1' and proc_name = 'policy_compression'
"""
COMPRESSED = "select count(*)::int from timescaledb_information.chunks where is_compressed"


def quote(n: int, symbol: str = "AAPL") -> L1Quote:
    return L1Quote(symbol, TS, n, "polygon", bid=1.5 + n)


def store(connection: psycopg.Connection[Any], at: int, *rows: L1Quote) -> None:
    QuoteWriter(OFFSETS, quotes.sources(())).store(connection, rows, {TP: Move(at, at + 1)})


def asked(connection: psycopg.Connection[Any], sql: str) -> list[tuple[Any, ...]]:
    rows = connection.execute(sql).fetchall()
    connection.commit()
    return rows


def test_both_releases_write_until_the_old_one_is_gone(target: Target):
    url = target.create()
    assert LAST not in migrate_up(url, option=target.option, pre_only=True)
    # the one before was `post` as well: what this release adds is still to come
    files = migration_files(target.option)
    before = next(i for i, file in enumerate(files) if file.id == LAST)
    assert [file.phase for file in files[before:]] == ["post"] * len(files[before:])
    migrate_up(url)
    migrate_down(url, steps=len(files) - before)
    with psycopg.connect(url) as connection:
        quotes.prepare(connection)
        connection.execute(BEFORE, ("OLD",))
        connection.commit()
        OFFSETS.load(connection, {TP: Stored(10, 10, None)})
        store(connection, 10, quote(1), quote(1, "NEW"))
        for symbol in ("NEW", "OLD"):
            connection.execute(BEFORE, (symbol,))
        connection.commit()
        # refused by the old key: it is not stored, and nothing stops
        store(connection, 11, quote(2), quote(1, "MSFT"))
        rows = "select symbol, n from quotes_l1 order by 1, 2"
        assert asked(connection, rows) == [("AAPL", 1), ("MSFT", 1), ("NEW", 1), ("OLD", 0)]
        assert OFFSETS.all(connection)[TP].next_offset == 12
    migrate_up(url)
    with psycopg.connect(url) as connection:
        quotes.prepare(connection)
        listed = [("AAPL",), ("MSFT",), ("NEW",), ("OLD",)]
        assert asked(connection, "select symbol from quote_symbols order by 1") == listed
        store(connection, 12, quote(2), quote(3))
        assert asked(connection, rows)[:3] == [("AAPL", 1), ("AAPL", 2), ("AAPL", 3)]


def test_the_way_back_keeps_the_first_of_those_that_the_old_key_cannot_tell_apart(target: Target):
    url = target.create()
    files = [file.id for file in migration_files(target.option)]
    migrate_up(url, option=target.option)
    with psycopg.connect(url) as connection:
        quotes.prepare(connection)
        OFFSETS.load(connection, {TP: Stored(10, 10, None)})
        store(connection, 10, quote(1), quote(2), quote(3), quote(1, "MSFT"))
    migrate_down(
        url,
        steps=len(files)
        - files.index(
            "0018_post_candles_compressed" if target.option == TIMESCALE else "0017_post_key_of_candles"
        )
        - 1,
    )
    with psycopg.connect(url) as connection:
        connection.execute(BEFORE, ("AAPL",))
        assert asked(connection, "select symbol, bid from quotes_l1 order by 1") == [
            ("AAPL", 1.5),
            ("MSFT", 2.5),
        ]
    migrate_up(url)


def test_what_was_compressed_is_compressed_again_and_none_is_lost(timescale: Any):
    target = Target(TIMESCALE, timescale)
    url = target.create()
    files = [file.id for file in migration_files(TIMESCALE)]
    migrate_up(url, option=TIMESCALE)
    migrate_down(url, steps=len(files) - files.index("0018_post_candles_compressed") - 1)
    with psycopg.connect(url, autocommit=True) as connection:
        (edition,) = connection.execute("select current_setting('timescaledb.license', true)").fetchone() or (
            "",
        )
        connection.execute(BEFORE, ("AAPL",))
        if edition == "timescale":
            connection.execute("select compress_chunk(chunk) from show_chunks('quotes_l1') as chunk")
            assert asked(connection, COMPRESSED) == [(1,)]
    migrate_up(url)
    with psycopg.connect(url) as connection:
        assert asked(connection, "select symbol, n, bid from quotes_l1") == [("AAPL", 0, 1.5)]
        if edition == "timescale":
            assert asked(connection, ENABLED) == [(True,)]
            assert asked(connection, POLICIES) == [(1,)]
            connection.execute("select compress_chunk(chunk) from show_chunks('quotes_l1') as chunk")
            quotes.prepare(connection)
            OFFSETS.load(connection, {TP: Stored(10, 10, None)})
            store(connection, 10, quote(1), quote(2))
            assert asked(connection, "select n from quotes_l1 order by 1") == [(0,), (1,), (2,)]
            assert asked(connection, "select n from latest_quotes") == [(2,)]
