from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from migrations import connection, ledger
from migrations.connection import LOCK_KEY
from migrations.files import POSTGRES, TIMESCALE, migration_files
from migrations.runner import migrate_down, migrate_up, migration_status
from schemas.errors import CheckFailed, CommandError, ConfigInvalid, DependencyAway
from tests.migrations.conftest import Target, add

pytestmark = pytest.mark.integration

RUN = """
import sys
from pathlib import Path
from migrations.runner import migrate_up
print(*migrate_up(sys.argv[1], option=sys.argv[2], root=Path(sys.argv[3])))
"""
WAITING = """
    select count(distinct pid) from pg_stat_activity
    where datname = current_database() and query like '%pg_try_advisory_lock%' and pid <> pg_backend_pid()
"""
TABLES = "select tablename from pg_tables where schemaname = current_schema() order by 1"


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as conn:
        return [name for (name,) in conn.execute(TABLES)]


def run_together(url: str, option: str, root: Path, count: int) -> list[list[str]]:
    """Start `count` processes, let them all wait for the lock, then let them go; return what each applied."""
    runs = []
    with psycopg.connect(url, autocommit=True) as holder:
        assert holder.execute("select pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone() == (True,)
        for _ in range(count):
            command = [sys.executable, "-c", RUN, url, option, str(root)]
            runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        try:
            deadline = time.monotonic() + 30
            while holder.execute(WAITING).fetchone() != (count,):
                assert time.monotonic() < deadline, "the runs do not wait for the lock"
                assert all(run.poll() is None for run in runs), "a run did not wait for the lock"
                time.sleep(0.02)
            holder.execute("select pg_advisory_unlock(%s)", (LOCK_KEY,))
            ended = [(*run.communicate(timeout=60), run.returncode) for run in runs]
        finally:
            for run in runs:
                run.kill()
                run.wait()
    for _, err, code in ended:
        assert code == 0, err
    return [out.split() for out, _, _ in ended]


def test_concurrent_runs_apply_each_file_once(target: Target, root: Path):
    url = target.create()
    applied = run_together(url, target.option, root, 3)
    names = [file.id for file in migration_files(target.option)]
    assert sorted(applied) == [[], [], names]
    assert not any(state.pending for state in migration_status(url))


def test_waiting_runs_do_not_deadlock_with_a_concurrent_index(plain_database: str, small: Path):
    add(
        small,
        "0003_pre_index",
        "-- transactional: false\ncreate index concurrently first_a on first (a);",
        "-- transactional: false\ndrop index concurrently first_a;",
    )
    applied = run_together(plain_database, POSTGRES, small, 3)
    assert max(applied)[-1] == "0003_pre_index"
    assert migrate_down(plain_database, root=small) == ["0003_pre_index"]


def test_the_second_run_finds_nothing_to_do(target: Target):
    url = target.create()
    told: list[str] = []
    first = migrate_up(url, on_progress=told.append)
    assert [f"applying {name}" for name in first] == [line for line in told if line.startswith("applying")]
    assert migrate_up(url) == []
    states = migration_status(url)
    assert [state.id for state in states] == first
    assert {state.option for state in states} == {target.option}
    assert all(state.checksum_ok and state.applied_at and not state.pending for state in states)


def test_what_must_wait_for_the_old_release_can_wait(plain_database: str, small: Path):
    add(small, "0003_post_third", "create table third (a int);", "drop table third;")
    add(small, "0004_pre_fourth", "create table fourth (a int);", "drop table fourth;")
    assert migrate_up(plain_database, pre_only=True, root=small) == ["0001_pre_first", "0002_pre_second"]
    assert migrate_up(plain_database, pre_only=True, root=small) == []
    assert migrate_up(plain_database, root=small) == ["0003_post_third", "0004_pre_fourth"]


def test_status_of_an_empty_database_changes_nothing(plain_database: str):
    states = migration_status(plain_database)
    assert all(state.pending and state.applied_at is None and state.checksum_ok is None for state in states)
    assert len(states) == len(migration_files(POSTGRES))
    assert tables(plain_database) == []


def test_an_edited_file_is_refused(plain_database: str, small: Path):
    migrate_up(plain_database, root=small)
    add(small, "0003_pre_third", "create table third (a int);", "drop table third;")
    with (small / "shared" / "0001_pre_first.sql").open("a") as file:
        file.write("-- a harmless comment\n")
    for attempt in (migrate_up, migrate_down):
        with pytest.raises(CheckFailed, match=r"0001_pre_first\.sql was changed"):
            attempt(plain_database, root=small)
    assert "third" not in tables(plain_database)
    assert "second" in tables(plain_database)
    ok = {state.id: state.checksum_ok for state in migration_status(plain_database, root=small)}
    assert ok == {"0001_pre_first": False, "0002_pre_second": True, "0003_pre_third": None}


def test_a_failing_file_leaves_nothing_and_can_be_repaired(plain_database: str, small: Path):
    bad = "create table third (a int);\ncreate table first (a int, b nonsense);"
    add(small, "0003_pre_third", bad, "drop table third;")
    with pytest.raises(CommandError, match=r"0003_pre_third: .*nonsense.*42704"):
        migrate_up(plain_database, root=small)
    assert "third" not in tables(plain_database)
    assert [s.id for s in migration_status(plain_database, root=small) if s.pending] == ["0003_pre_third"]
    add(small, "0003_pre_third", "create table third (a int);", "drop table third;")
    assert migrate_up(plain_database, root=small) == ["0003_pre_third"]


def test_a_step_and_its_record_are_one_transaction(
    plain_database: str, small: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:  # ends where a kill between the two would
        patch.setattr(ledger, "RECORD", "insert into nowhere values (%s, %s, %s)")
        with pytest.raises(CommandError, match=r"0001_pre_first: .*nowhere"):
            migrate_up(plain_database, root=small)
    assert "first" not in tables(plain_database)
    assert len(migrate_up(plain_database, root=small)) == 2


def test_a_failing_rollback_undoes_nothing(plain_database: str, small: Path):
    add(small, "0003_pre_third", "create table third (a int);", "drop table third;\n\ndrop table nowhere;")
    migrate_up(plain_database, root=small)
    with pytest.raises(CommandError, match=r"0003_pre_third\.rollback\.sql: .*nowhere"):
        migrate_down(plain_database, root=small)
    assert "third" in tables(plain_database)
    assert not any(state.pending for state in migration_status(plain_database, root=small))


def test_a_file_before_the_newest_applied_one_is_refused(plain_database: str, small: Path):
    add(small, "0004_pre_fourth", "create table fourth (a int);", "drop table fourth;")
    migrate_up(plain_database, root=small)
    add(small, "0003_pre_late", "create table late (a int);", "drop table late;")
    with pytest.raises(CheckFailed, match="0003_pre_late comes before 0004_pre_fourth"):
        migrate_up(plain_database, root=small)


def test_a_dependency_that_is_missing_is_refused(plain_database: str, small: Path):
    add(
        small, "0003_pre_third", "-- depends: 0000_pre_gone\ncreate table third (a int);", "drop table third;"
    )
    with pytest.raises(CheckFailed, match="0003_pre_third"):
        migrate_up(plain_database, root=small)
    assert "third" not in tables(plain_database)


def test_an_older_release_leaves_what_a_newer_one_applied(plain_database: str, small: Path, tmp_path: Path):
    add(small, "0003_pre_third", "create table third (a int);", "drop table third;")
    migrate_up(plain_database, root=small)
    for path in (small / "shared").glob("0003*"):
        path.unlink()
    assert migrate_up(plain_database, root=small) == []
    newest = migration_status(plain_database, root=small)[-1]
    assert (newest.id, newest.pending, newest.checksum_ok) == ("0003_pre_third", False, None)
    with pytest.raises(CheckFailed, match="newer release"):
        migrate_down(plain_database, root=small)


def test_the_option_is_remembered(database: str):
    migrate_up(database, option=POSTGRES)
    assert migrate_up(database) == []
    assert {state.option for state in migration_status(database)} == {POSTGRES}
    for attempt in (migrate_up, migration_status):
        with pytest.raises(ConfigInvalid, match="migrated with the option postgres"):
            attempt(database, option=TIMESCALE)
    migrate_down(database, steps=100)
    assert {state.option for state in migration_status(database)} == {TIMESCALE}


def test_timescale_is_found_and_its_absence_explained(database: str, plain_database: str):
    assert "0008_pre_hypertables" in migrate_up(database)
    with pytest.raises(ConfigInvalid, match="timescale is not possible here: the server does not have"):
        migrate_up(plain_database, option=TIMESCALE)
    told: list[str] = []
    assert "0010_pre_time_indexes" in migrate_up(plain_database, on_progress=told.append)
    assert "plain PostgreSQL" in told[0]


def test_tables_made_without_us_are_left_alone(plain_database: str, small: Path):
    with psycopg.connect(plain_database) as conn:
        conn.execute("create table first (mine int)")
    with pytest.raises(CommandError, match='relation "first" already exists, but not by this command'):
        migrate_up(plain_database, root=small)


def test_an_unreachable_database_is_told_without_the_password():
    with socket.socket() as taken:  # bound, not listening: refuses
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = f"postgresql://me:s3cret@127.0.0.1:{port}/market"
        for attempt in (migrate_up, migrate_down, migration_status):
            with pytest.raises(DependencyAway, match=rf"me:\*\*\*@127\.0\.0\.1:{port}/market") as caught:
                attempt(url)
            assert "s3cret" not in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cret@host/db?nonsense=1", "me:s3cret@host", "postgresql://[s3cret"]
)
def test_a_bad_url_is_told_without_its_text(url: str):
    with pytest.raises(ConfigInvalid) as caught:
        migrate_up(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_lock_that_is_never_released_is_told(
    plain_database: str, small: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "LOCK_WAIT_SECONDS", 0.0)
    with psycopg.connect(plain_database, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        with pytest.raises(DependencyAway, match="another run"):
            migrate_up(plain_database, root=small)


def test_fewer_than_one_step_is_refused(plain_database: str):
    with pytest.raises(ConfigInvalid):
        migrate_down(plain_database, steps=0)
