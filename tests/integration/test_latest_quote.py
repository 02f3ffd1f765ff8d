"""The last quote of a symbol, from a real database."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from domain.clock import SystemClock
from schemas.quote import L1Quote
from sinks import latest_quote
from sinks.database import Database

pytestmark = pytest.mark.integration

NOW_NS = 1_762_795_433_971_744_500
INSERT = """
    insert into quotes_l1
      (symbol, ts, ts_ns, bid, bid_size, ask, ask_size, provider, feed, seq, n, flags)
    values (%s, to_timestamp(%s) + %s * interval '1 microsecond', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def insert(url: str, *rows: tuple[str, int, Any, Any, Any, Any, str, str, int, int, int]) -> None:
    with psycopg.connect(url) as connection:
        for symbol, ts_ns, *rest in rows:
            seconds, nanos = divmod(ts_ns, 10**9)
            connection.execute(INSERT, (symbol, seconds, nanos // 1_000, ts_ns, *rest))
        connection.execute(
            "insert into quote_symbols select distinct symbol from quotes_l1 on conflict do nothing"
        )


async def test_the_last_quote_as_the_topic_has_it(database_url):
    insert(
        database_url,
        ("AAPL", NOW_NS, 1.0, 1.0, 2.0, 1.0, "polygon", "sip", 4, 1, 0),
        ("AAPL", NOW_NS + 1, None, None, 2.5, 900.0, "kraken", "", 0, 3, 4 + 8 + 16),
        ("AAPL", NOW_NS - 10**15, 9.0, 1.0, 9.5, 1.0, "polygon", "sip", 9, 9, 0),
        ("MSFT", NOW_NS + 5, 7.0, 1.0, 7.0, 1.0, "polygon", "sip", 8, 0, 2),
    )
    database = Database(database_url, "tapeflow-tests-pages", SystemClock())
    try:
        assert await database.attempt(latest_quote.read, "AAPL") == L1Quote(
            "AAPL", NOW_NS + 1, 3, "kraken", ask=2.5, ask_size=900.0,
            flags=("one_sided", "stale", "out_of_order"),
        )  # fmt: skip
        assert await database.attempt(latest_quote.read, "MSFT") == L1Quote(
            "MSFT", NOW_NS + 5, 0, "polygon", 7.0, 1.0, 7.0, 1.0, "sip", seq=8, flags=("locked",)
        )
        assert await database.attempt(latest_quote.read, "IBM") is None
        # a page that left a transaction open would hold back vacuum, and be ended after 10 s
        with psycopg.connect(database_url) as other:
            states = other.execute(
                "select state from pg_stat_activity where application_name = 'tapeflow-tests-pages'"
            ).fetchall()
        assert states == [("idle",)]
    finally:
        await database.close()
