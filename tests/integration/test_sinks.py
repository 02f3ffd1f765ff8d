"""The database as it fails: what is waited for, what is not, and how it comes back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from domain.clock import SystemClock
from schemas.errors import DatabaseAway, DatabaseRefused, OutageOutlasted
from sinks import candles
from sinks.database import Connection, Database
from tests.integration.conftest import migrated

pytestmark = pytest.mark.integration


class Work:
    """Statements to run in the database's thread; notes how often it was begun."""

    def __init__(self, *statements: str) -> None:
        self.statements, self.begun = statements, 0

    def __call__(self, connection: Connection) -> Any:
        self.begun += 1
        row = None
        for statement in self.statements:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        connection.commit()
        return row


ONE = Work("select 1")


@contextlib.asynccontextmanager
async def opened(url: str, prepare: Any = candles.prepare) -> AsyncIterator[Database]:
    database = Database(url, "tapeflow-test", SystemClock(), prepare)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def reached(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as database:
        yield database


def nobody() -> str:
    """Return a URL at which nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"postgresql://postgres@127.0.0.1:{s.getsockname()[1]}/market"


async def backend(database: Database) -> int:
    (pid,) = await database.call(Work("select pg_backend_pid()"))
    return int(pid)


async def until(condition: Any) -> None:
    """Wait until a condition holds; the test's own limit is that of the whole run."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_worker_that_is_cut_off_holds_no_lock_for_long(reached):
    found = [
        (await reached.call(Work(f"show {name}")))[0]
        for name in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
    ]
    assert found == ["10s", "5s", "20s"]
    assert (await reached.call(Work("show application_name")))[0] == "tapeflow-test"


async def test_each_connection_is_prepared_once(database_url):
    prepared: list[Connection] = []
    async with opened(database_url, prepared.append) as database:
        for _ in range(3):
            await database.attempt(ONE)
        assert len(prepared) == 1
        with contextlib.suppress(DatabaseAway):
            await database.attempt(Work("select pg_terminate_backend(pg_backend_pid())"))
        await database.attempt(ONE)
        assert len(prepared) == 2


async def test_a_connection_that_cannot_be_prepared_is_not_kept_open(plain_database):
    with psycopg.connect(plain_database, autocommit=True) as observer:  # no tables there yet
        count = "select count(*) from pg_stat_activity where application_name = 'tapeflow-test'"
        async with opened(plain_database) as database:
            for _ in range(3):
                with pytest.raises(DatabaseRefused, match="42P01"):
                    await database.attempt(ONE)

            await until(lambda: observer.execute(count).fetchone() == (0,))
            migrated(plain_database, "postgres")
            assert await database.attempt(ONE) == (1,)


async def test_a_backend_killed_in_a_statement_is_an_outage_and_over_at_the_next_attempt(
    reached, database_url
):
    pid = await backend(reached)
    sleeping = asyncio.ensure_future(reached.attempt(Work("select pg_sleep(15)")))
    with psycopg.connect(database_url, autocommit=True) as killer:
        asleep = "select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
        await until(lambda: killer.execute(asleep, [pid]).fetchone())
        killer.execute("select pg_terminate_backend(%s)", [pid])
    with pytest.raises(DatabaseAway):
        await sleeping
    met = reached.reachability
    assert not met.up
    assert await reached.attempt(ONE) == (1,)
    assert met.up, "and known to be there again"
    assert await backend(reached) != pid


async def test_patience_repeats_the_whole_transaction(reached, database_url):
    with psycopg.connect(database_url, autocommit=True) as observer:
        observer.execute("create table tries (at timestamptz)")
        observer.execute("create sequence begun")
    work = Work(
        "insert into tries values (now()) returning 1",
        # the first time the backend ends itself in mid-transaction; a sequence does not roll back
        "select case when nextval('begun') = 1 then pg_terminate_backend(pg_backend_pid()) end",
        "select 'done'",
    )
    assert await reached.patiently(10, work) == ("done",)
    assert work.begun == 2
    assert await reached.call(Work("select count(*) from tries")) == (1,)


async def test_a_statement_that_takes_too_long_is_an_outage(reached):
    with pytest.raises(DatabaseAway, match="57014"):
        await reached.attempt(Work("set statement_timeout = '50ms'", "select pg_sleep(15)"))
    assert await reached.attempt(Work("show statement_timeout")) == ("20s",), "rolled back"


async def test_a_lock_that_another_holds_is_an_outage(reached, database_url):
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table sink_offsets")
        with pytest.raises(DatabaseAway, match="55P03"):
            await reached.attempt(Work("set lock_timeout = '50ms'", "lock table sink_offsets"))


async def test_nonsense_is_refused_and_says_why(reached):
    with pytest.raises(DatabaseRefused, match='42601 syntax error at or near "selec"'):
        await reached.patiently(10, Work("selec 1"))
    assert await reached.attempt(ONE) == (1,), "the transaction was rolled back"


async def test_bad_data_is_passed_on_as_it_came(reached):
    for statement, error in [
        ("insert into sink_offsets values ('s', 'c', 't', -1, 0, 0)", psycopg.errors.CheckViolation),
        ("select 1 / 0", psycopg.errors.DivisionByZero),
    ]:
        with pytest.raises(error):
            await reached.patiently(10, Work(statement))
    assert await reached.attempt(ONE) == (1,)


async def test_an_error_of_our_own_rolls_back(reached):
    def fail(connection: Connection) -> None:
        connection.execute("insert into sink_offsets values ('s', 'c', 't', 1, 0, 0)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await reached.patiently(10, fail)
    assert await reached.call(Work("select count(*) from sink_offsets")) == (0,)


async def test_a_server_that_is_not_there_is_waited_for_as_long_as_the_budget_says():
    async with opened(nobody()) as database:
        begun = time.monotonic()
        with pytest.raises(OutageOutlasted, match=r"the database was away for 1 s: .*refused") as outlasted:
            await database.patiently(1.0, ONE)
        assert 0.3 < time.monotonic() - begun < 1.5
        assert outlasted.value.exit_code == 4
        assert database.reachability.up is False
        assert "refused" in database.reachability.detail
        assert database.reachability.retries > 2
        assert database.reachability.last_success is None


async def test_it_goes_on_when_the_server_is_back(postgres, plain_database):
    async with opened(migrated(plain_database, "postgres")) as database:
        await database.attempt(ONE)
        before = database.reachability.last_success
        postgres.stop()
        try:
            work = Work("select 1")
            waiting = asyncio.ensure_future(database.patiently(60, work))
            await until(lambda: work.begun or not database.reachability.up)
            await until(lambda: not database.reachability.up)
            since = database.reachability.since
        finally:
            postgres.start()
        assert await waiting == (1,)
        assert database.reachability.up is True
        assert database.reachability.since > since
        assert (database.reachability.last_success or 0) > (before or 0)


async def test_the_event_loop_turns_while_the_database_works(reached):
    await reached.attempt(ONE)
    turns, working = 0, asyncio.ensure_future(reached.call(Work("select pg_sleep(0.3)")))
    while not working.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100


async def test_closing_waits_for_what_is_under_way(database_url):
    database = Database(database_url, "tapeflow-test", SystemClock(), candles.prepare)
    work = Work(
        "insert into sink_offsets values ('s', 'c', 't', 1, 0, 0) returning 1", "select pg_sleep(0.5)"
    )
    storing = asyncio.ensure_future(database.call(work))
    await until(lambda: work.begun)
    await database.close()
    assert storing.done()
    with psycopg.connect(database_url) as observer:
        assert observer.execute("select count(*) from sink_offsets").fetchone() == (1,)
