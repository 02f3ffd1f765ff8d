from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from migrations.files import TIMESCALE, MigrationFile, migration_files
from migrations.ledger import BOOKKEEPING
from migrations.runner import migrate_down, migrate_up
from tests.absent import absent
from tests.migrations.catalogue import schema_of
from tests.migrations.conftest import Target

pytestmark = pytest.mark.integration

TABLES = {
    *("candles_intraday", "quotes_l1", "symbol_universe", "ingestion_cursor"),
    *("backfill_jobs", "universe_versions", "macro_factors", "options_metrics"),
    *("sink_offsets", "gap_ledger", "replay_ledger", "settings_versions"),
    *("rate_leases", "rate_blocks"),
    *("jobs", "job_attempts", "waiting_requests"),
    "quote_symbols",
}
UNDOCUMENTED = """
    select c.relname, a.attname from pg_class c
    left join pg_attribute a on a.attrelid = c.oid and a.attnum >= 0 and not a.attisdropped
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and c.relname <> all(%s)
      and (obj_description(c.oid, 'pg_class') is null or col_description(c.oid, a.attnum) is null)
"""
ON_HYPERTABLES = """
    select count(*) from pg_constraint k join timescaledb_information.hypertables h
    on h.hypertable_name::regclass in (k.confrelid, k.conrelid) where k.contype = 'f'
"""
DIMENSIONS = """
    select hypertable_name::text, time_interval::text from timescaledb_information.dimensions
"""
CANDLES = """
    insert into candles_intraday (symbol, interval, ts, o, h, l, c, v, provider, rule, provider_rank)
    select 'AAPL', '1m', '2026-01-01Z'::timestamptz + n * interval '1 day', 1, 1, 1, 1, n,
           'sim', 'all_trades.v1', 1
    from generate_series(1, 30) as n
"""


def grow(files: list[MigrationFile], root: Path, count: int) -> Path:
    """Return a folder with the first `count` files: the release of that day."""
    folder = root / f"release{count}"
    for file in files[:count]:
        place = folder / file.folder
        place.mkdir(parents=True, exist_ok=True)
        for path in (file.path, file.rollback):
            shutil.copy(path, place)
    return folder


def test_every_step_can_be_undone_and_done_again(target: Target, tmp_path: Path):
    url = target.create()
    files = migration_files(target.option)
    after = [schema_of(url)]
    for count in range(1, len(files) + 1):
        done = migrate_up(url, option=target.option, root=grow(files, tmp_path, count))
        assert done == [files[count - 1].id]
        after.append(schema_of(url))
    for count in range(len(files) - 1, -1, -1):
        assert migrate_down(url) == [files[count].id]
        assert schema_of(url) == after[count], f"{files[count].rollback.name} does not undo its step"
    assert migrate_up(url, option=target.option) == [file.id for file in files]
    assert schema_of(url) == after[-1]


def test_a_fresh_database_equals_one_migrated_release_by_release(target: Target, tmp_path: Path):
    fresh, grown = target.create(), target.create()
    files = migration_files(target.option)
    migrate_up(fresh, option=target.option)
    for count in range(1, len(files) + 1):
        migrate_up(grown, option=target.option, root=grow(files, tmp_path, count))
    assert schema_of(grown) == schema_of(fresh)
    assert len(schema_of(fresh)) > 100


def test_psql_gives_the_same_schema(target: Target):
    psql = shutil.which("psql")
    if psql is None:
        absent("psql is not installed")
    by_psql, by_us = target.create(), target.create()
    for file in migration_files(target.option):
        command = [psql, "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", str(file.path), by_psql]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == "", f"{file.id} returns rows"
    migrate_up(by_us, option=target.option)
    assert schema_of(by_psql) == schema_of(by_us)


def test_all_tables_are_there_and_everything_is_explained(target: Target):
    url = target.create()
    migrate_up(url, option=target.option)
    with psycopg.connect(url) as conn:
        rows = conn.execute("select tablename from pg_tables where schemaname = current_schema()")
        assert {name for (name,) in rows} - set(BOOKKEEPING) == TABLES
        assert conn.execute(UNDOCUMENTED, (list(BOOKKEEPING),)).fetchall() == []


def test_hypertables_have_their_chunks_and_no_extra_tree(database: str):
    migrate_up(database)
    with psycopg.connect(database) as conn:
        assert dict(conn.execute(DIMENSIONS).fetchall()) == {
            "candles_intraday": "7 days",
            "quotes_l1": "1 day",
            "options_metrics": "7 days",
        }
        for table in ("candles_intraday", "quotes_l1", "options_metrics"):
            indexes = conn.execute(
                "select indexname from pg_indexes where tablename = %s order by 1", (table,)
            ).fetchall()
            by_time = [("quotes_l1_time",)] if table == "quotes_l1" else []
            assert indexes == [(f"{table}_pkey",), *by_time]
        assert conn.execute(ON_HYPERTABLES).fetchone() == (0,)


def test_undoing_the_hypertables_keeps_their_rows(database: str):
    migrate_up(database, option=TIMESCALE)
    total = "select count(*), sum(v) from candles_intraday"
    chunks = "select count(*) from show_chunks('candles_intraday')"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(CANDLES)
        before = conn.execute(total).fetchone()
        made = conn.execute(chunks).fetchone()
        assert made is not None
        assert made[0] > 3
    applied = migration_files(TIMESCALE)
    hypertables = next(i for i, m in enumerate(applied) if m.id == "0008_pre_hypertables")
    migrate_down(database, steps=len(applied) - hypertables)
    with psycopg.connect(database) as conn:
        assert conn.execute(total).fetchone() == before
        assert conn.execute("select count(*) from timescaledb_information.hypertables").fetchone() == (0,)
    migrate_up(database)
    with psycopg.connect(database) as conn:
        assert conn.execute(total).fetchone() == before
        assert conn.execute(chunks).fetchone() == made
