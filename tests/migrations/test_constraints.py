"""What the tables refuse: the last line of defence, for writers that are not ours too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from migrations.runner import migrate_up

pytestmark = pytest.mark.integration

NS = 1_767_225_600_123_456_789
CANDLE = {
    "symbol": "AAPL",
    "interval": "1m",
    "ts": "2026-01-05T14:30Z",
    "o": 2,
    "h": 3,
    "l": 1,
    "c": 2,
    "v": 10,
    "provider": "sim",
    "rule": "all_trades.v1",
    "provider_rank": 1,
}
QUOTE = {"symbol": "AAPL", "ts": "2026-01-05T14:30Z", "ts_ns": NS, "provider": "sim", "bid": 1.0}
OFFSET = {"sink": "candles", "cluster": "c", "topic": "t", "part": 0, "next_offset": 5, "resume_offset": 3}
JOB = {
    "tier": "T0",
    "symbol": "AAPL",
    "interval": "1m",
    "window_start": "2026-01-05T14:30Z",
    "window_end": "2026-01-05T15:30Z",
}
GAP = {
    "symbol": "AAPL",
    "interval": "1m",
    "tier": "T0",
    "kind": "lost",
    "expected_bars": 3,
    "gap_start": "2026-01-05T14:30Z",
    "gap_end": "2026-01-05T14:33Z",
}
GOOD: dict[str, dict[str, Any]] = {
    "candles_intraday": CANDLE,
    "quotes_l1": QUOTE,
    "sink_offsets": OFFSET,
    "backfill_jobs": JOB,
    "gap_ledger": GAP,
}
CHECK, NOT_NULL, UNIQUE = errors.CheckViolation, errors.NotNullViolation, errors.UniqueViolation
LEASE = "backfill_jobs_lease"


@pytest.fixture
def conn(plain_database: str) -> Iterator[psycopg.Connection[Any]]:
    migrate_up(plain_database)
    with psycopg.connect(plain_database, autocommit=True) as connection:
        yield connection


def insert(conn: psycopg.Connection[Any], table: str, row: dict[str, Any]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    places = sql.SQL(", ").join(sql.Placeholder() * len(row))
    statement = sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(table), names, places)
    conn.execute(statement, list(row.values()))


@pytest.mark.parametrize("table", GOOD)
def test_the_least_that_a_writer_must_say_is_enough(conn: psycopg.Connection[Any], table: str):
    insert(conn, table, GOOD[table])
    assert conn.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone() == (1,)


@pytest.mark.parametrize(
    ("table", "change", "refusal", "named"),
    [
        ("candles_intraday", {"interval": "1 minute"}, CHECK, "interval"),
        ("candles_intraday", {"l": 4.0}, CHECK, "low_high"),
        ("candles_intraday", {"v": -1.0}, CHECK, "v_check"),
        ("candles_intraday", {"v": float("nan")}, CHECK, "v_check"),
        ("candles_intraday", {"v": float("inf")}, CHECK, "v_check"),
        ("candles_intraday", {"rule": None}, NOT_NULL, "rule"),
        ("candles_intraday", {"provider": ""}, CHECK, "provider"),
        ("candles_intraday", {"revision": -1}, CHECK, "revision"),
        ("quotes_l1", {"bid_size": -1.0}, CHECK, "sizes"),
        ("sink_offsets", {"next_offset": -1, "resume_offset": -1}, CHECK, "next_offset"),
        ("sink_offsets", {"resume_offset": 6}, CHECK, "resume"),
        ("sink_offsets", {"resume_offset": -1}, CHECK, "resume"),
        ("backfill_jobs", {"tier": "T3"}, CHECK, "tier"),
        ("backfill_jobs", {"window_end": JOB["window_start"]}, CHECK, "window"),
        ("backfill_jobs", {"state": "leased"}, CHECK, LEASE),
        ("backfill_jobs", {"state": "leased", "lease_owner": "w1"}, CHECK, LEASE),
        ("backfill_jobs", {"lease_owner": "w1", "lease_until": "2026-01-05Z"}, CHECK, LEASE),
        ("backfill_jobs", {"state": "done"}, CHECK, "finished"),
        ("backfill_jobs", {"state": "failed", "finished_at": "2026-01-05Z"}, CHECK, "failed"),
        ("gap_ledger", {"kind": "lunch"}, CHECK, "kind"),
        ("gap_ledger", {"gap_end": GAP["gap_start"]}, CHECK, "window"),
    ],
)
def test_a_bad_row_is_refused(
    conn: psycopg.Connection[Any], table: str, change: dict[str, Any], refusal: type[Exception], named: str
):
    with pytest.raises(refusal, match=named):
        insert(conn, table, GOOD[table] | change)


def test_quotes_that_differ_in_nanoseconds_alone_are_both_kept(conn: psycopg.Connection[Any]):
    insert(conn, "quotes_l1", QUOTE)
    insert(conn, "quotes_l1", QUOTE | {"ts_ns": NS + 1})
    with pytest.raises(UNIQUE):
        insert(conn, "quotes_l1", QUOTE)


def test_a_window_is_queued_once_until_it_is_finished(conn: psycopg.Connection[Any]):
    insert(conn, "backfill_jobs", JOB)
    with pytest.raises(UNIQUE, match="dedupe"):
        insert(conn, "backfill_jobs", JOB)
    conn.execute("update backfill_jobs set state = 'done', finished_at = now()")
    insert(conn, "backfill_jobs", JOB)


def test_only_two_kinds_of_gap_count(conn: psycopg.Connection[Any]):
    for number, kind in enumerate(["closed", "halted", "no_trade", "provider_lacks", "lost"]):
        insert(conn, "gap_ledger", GAP | {"kind": kind, "symbol": f"S{number}"})
    rows = conn.execute("select kind from gap_ledger where counts order by gap_id").fetchall()
    assert rows == [("provider_lacks",), ("lost",)]


def test_one_universe_is_active(conn: psycopg.Connection[Any]):
    row = {"symbol_count": 0, "source": "test", "actor": "test", "activated_at": "2026-01-05Z"}
    insert(conn, "universe_versions", row | {"digest": "a" * 64})
    with pytest.raises(UNIQUE, match="one_active"):
        insert(conn, "universe_versions", row | {"digest": "b" * 64})
