"""Old quotes go, the others stay, on both editions."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from domain.clock import SystemClock
from migrations.files import POSTGRES
from migrations.runner import migrate_up
from sinks import retention

ROW = """
    insert into quotes_l1 (symbol, ts, ts_ns, bid, bid_size, ask, ask_size, provider, feed, n)
    values ('AAPL', %s, %s, 1, 1, 2, 1, 'polygon', 'sip', %s)
"""
#: days before now; the last of the old ones is years before the others
OLD, KEPT = (1_500.0, 40.0, 39.9, 33.0), (28.9, 5.0, 0.0)


@pytest.fixture
def now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now_ns() / 1e9, UTC)


@pytest.fixture
def filled(database_url: str, now: datetime) -> str:
    with psycopg.connect(database_url) as connection:
        for n, days in enumerate((*OLD, *KEPT), 1):
            ts = now - timedelta(days=days)
            connection.execute(ROW, (ts, int(ts.timestamp() * 1e6) * 1_000, n))
    return database_url


def ages(url: str) -> list[int]:
    """Return the numbers of the rows that are there."""
    with psycopg.connect(url) as connection:
        return [n for (n,) in connection.execute("select n from quotes_l1 order by n")]


def said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_what_is_older_goes_and_nothing_else(filled: str, tapeflow: Any) -> None:
    settings = {"DATABASE_URL": filled}
    everything = list(range(1, len(OLD) + len(KEPT) + 1))
    would = said(tapeflow("retain", "--quotes", "30", "--dry-run", "--json", settings=settings))
    assert would["removed"]
    assert ages(filled) == everything
    assert said(tapeflow("retain", "--quotes", "30", "--json", settings=settings))["removed"]
    assert ages(filled) == everything[len(OLD) :]
    assert said(tapeflow("retain", "--quotes", "30", "--json", settings=settings))["removed"] == []


def test_a_late_row_is_stored_where_everything_has_gone(filled: str, tapeflow: Any, now: datetime) -> None:
    assert tapeflow("retain", "--quotes", "30", settings={"DATABASE_URL": filled}).returncode == 0
    late = now - timedelta(days=39)
    with psycopg.connect(filled) as connection:
        connection.execute(ROW, (late, int(late.timestamp() * 1e6) * 1_000, 99))
    assert ages(filled)[-1] == 99


def test_less_than_a_day_is_refused(filled: str, tapeflow: Any) -> None:
    done = tapeflow("retain", "--quotes", "0.5", settings={"DATABASE_URL": filled})
    assert done.returncode == 2
    assert "--quotes" in done.stderr
    assert len(ages(filled)) == len(OLD) + len(KEPT)


def test_a_database_without_tables_is_told_of(database: str, tapeflow: Any) -> None:
    done = tapeflow("retain", "--quotes", "30", settings={"DATABASE_URL": database})
    assert done.returncode == 1
    assert "tapeflow migrate up" in done.stderr


def test_whoever_reads_an_old_chunk_is_not_waited_for(
    timescale_url: str, tapeflow: Any, now: datetime
) -> None:
    old = now - timedelta(days=40)
    settings = {"DATABASE_URL": timescale_url}
    with psycopg.connect(timescale_url) as reader:
        reader.execute(ROW, (old, int(old.timestamp() * 1e6) * 1_000, 1))
        reader.commit()
        reader.execute("select from quotes_l1")
        done = tapeflow("retain", "--quotes", "30", settings=settings)
        assert done.returncode == 1
        assert "somebody reads" in done.stderr
        reader.rollback()
        assert ages(timescale_url) == [1]
        assert tapeflow("retain", "--quotes", "30", settings=settings).returncode == 0
    assert ages(timescale_url) == []


def test_a_transaction_removes_no_more_than_a_batch(
    plain_database: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_up(plain_database, option=POSTGRES)
    monkeypatch.setattr(retention, "BATCH_ROWS", 10)
    with psycopg.connect(plain_database) as connection:
        for n in range(100):  # ninety within a second, ten over ten days
            ts = (
                now
                - timedelta(days=60)
                + (timedelta(milliseconds=n * 10) if n < 90 else timedelta(days=n - 89))
            )
            connection.execute(ROW, (ts, int(ts.timestamp() * 1e6) * 1_000, n + 1))
        connection.commit()
        gone = [*retention.remove_quotes(connection, now - timedelta(days=30))]
    assert sum(part.rows or 0 for part in gone) == 100
    assert all(1 <= (part.rows or 0) <= 10 for part in gone)
    assert ages(plain_database) == []
