"""What vendors served, read back from the database: on plain PostgreSQL and on TimescaleDB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sinks import reconciliation
from sinks.database import Connection
from sinks.reconciliation import Group, StoredBar

pytestmark = pytest.mark.integration

MINUTE = 60_000_000_000
#: 10:00 in New York
START = datetime(2025, 11, 13, 15, tzinfo=UTC)
START_NS = int(START.timestamp()) * 1_000_000_000
ASKED = START + timedelta(hours=2, microseconds=123_457)
ASKED_NS = START_NS + 7_200 * 1_000_000_000 + 123_457_000
#: days since 1970-01-01
SESSION = 20_405


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    with psycopg.connect(url) as connection:
        yield connection


def put(connection: Connection, symbol: str, minute: int, *, of: Any = None, **columns: Any) -> None:
    """Store a bar; of polygon, asked for at `ASKED`, unless columns say otherwise."""
    row = {
        "symbol": symbol,
        "interval": "1m",
        "ts": START + timedelta(minutes=minute),
        "o": 10.0,
        "h": 12.0,
        "l": 9.0,
        "c": 11.0,
        "v": 500.5,
        "trade_count": 7,
        "provider": "polygon",
        "coverage": "consolidated",
        "adjustment": "raw",
        "rule": "polygon.v1",
        "provider_rank": 1,
        "as_of": ASKED,
    } | columns
    names = ", ".join(row)
    connection.execute(
        f"insert into candles_intraday ({names}) values ({', '.join(['%s'] * len(row))})",
        list(row.values()),
    )


def test_groups_are_of_one_kind_and_session_and_of_vendors_alone(database_url: str) -> None:
    with connected(database_url) as connection:
        for minute in (0, 1, 5):
            put(connection, "AAPL", minute)
        put(connection, "AAPL", 5, adjustment="split", as_of=ASKED + timedelta(seconds=1))
        put(connection, "AAPL", 7, provider="alpaca")
        put(connection, "AAPL", 8, coverage="iex")
        put(connection, "AAPL", 9, as_of=None)
        put(connection, "AAPL", 10, coverage="")
        put(connection, "AAPL", 60, interval="1h")
        # 00:30 UTC is still the same date in New York, 05:30 UTC is the next
        put(connection, "MSFT", 9 * 60 + 30)
        put(connection, "MSFT", 14 * 60 + 30)
        put(connection, "TSLA", -1)
        put(connection, "TSLA", 24 * 60)
        connection.commit()

        whole = START_NS, START_NS + 24 * 60 * MINUTE
        assert reconciliation.symbols(connection, *whole) == ["AAPL", "MSFT"]
        assert reconciliation.symbols(connection, START_NS - MINUTE, whole[1]) == ["AAPL", "MSFT", "TSLA"]
        found = reconciliation.groups(connection, ["AAPL", "MSFT", "TSLA"], *whole)

        def group(symbol: str, first: int, last: int, **changes: Any) -> Group:
            base = Group(
                "polygon",
                symbol,
                "1m",
                "raw",
                "consolidated",
                SESSION,
                START_NS + first * MINUTE,
                START_NS + last * MINUTE,
                ASKED_NS,
            )
            return base._replace(**changes)

        assert sorted(found) == sorted(
            [
                group("AAPL", 0, 5),
                group("AAPL", 5, 5, adjustment="split", as_of=ASKED_NS + 1_000_000_000),
                group("AAPL", 7, 7, provider="alpaca"),
                group("AAPL", 8, 8, coverage="iex"),
                group("AAPL", 60, 60, interval="1h"),
                group("MSFT", 570, 570),
                group("MSFT", 870, 870, session=SESSION + 1),
            ]
        )
        assert reconciliation.groups(connection, ["MSFT"], *whole) == [
            one for one in found if one.symbol == "MSFT"
        ]
        wide = group("AAPL", 1, 9)
        rows = reconciliation.rows(connection, wide)
        assert [(row.ts - START_NS) // MINUTE for row in rows] == [1, 5, 7, 8, 9]
        assert rows[0] == StoredBar(
            START_NS + MINUTE, 10.0, 12.0, 9.0, 11.0, 500.5, 7, "polygon", "consolidated", ASKED_NS
        )
        assert [row.provider for row in rows].count("alpaca") == 1
        assert rows[-1].as_of is None


def test_one_session_of_the_database_leads_as_long_as_it_lives(database_url: str) -> None:
    with connected(database_url) as second:
        with connected(database_url) as first:
            assert reconciliation.lead(first)
            assert reconciliation.lead(first), "it is asked again for every round"
            assert not reconciliation.lead(second)
            # once is enough, however often it was asked
            reconciliation.resign(first)
            assert reconciliation.lead(second)
            assert not reconciliation.lead(first)
            reconciliation.resign(second)
            assert reconciliation.lead(first)
        # the server lets it go with the session, a moment after it was closed
        deadline = time.monotonic() + 10
        while not reconciliation.lead(second):
            assert time.monotonic() < deadline
            time.sleep(0.02)
