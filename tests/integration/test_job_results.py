"""What jobs leave, on a real database: all of it or nothing, once however often it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.base import BarRow
from schemas.errors import Reason
from sinks import job_results, jobs, vendor_bars, waiting
from sinks.database import Connection
from sinks.job_results import JobResult
from sinks.jobs import JobStatus
from sinks.voids import Void
from tests.unit.sinks.bars import MINUTE_NS, START
from tests.unit.sinks.results import (
    HOUR_NS,
    NOW,
    SECOND_NS,
    attempt,
    backfill_row,
    bar_row,
    job_result,
    waiting_row,
)
from tests.unit.sinks.results import (
    vendor_bars as bars,
)
from tests.unit.sinks.results import (
    vendor_quotes as quotes,
)

pytestmark = pytest.mark.integration

PLACES = ("polygon",)
TABLES = ("candles_intraday", "quotes_l1", "jobs", "job_attempts", "waiting_requests", "backfill_jobs")


@pytest.fixture
def connect(database_url: str) -> Iterator[Callable[[], Connection]]:
    """Open prepared connections to one database."""
    opened: list[Connection] = []

    def connect() -> Connection:
        connection = psycopg.connect(database_url)
        opened.append(connection)
        # who waits for a lock that nobody gives back fails, and does not hang
        connection.execute("set lock_timeout = '10s'")
        job_results.prepare(connection)
        connection.commit()
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    return connect()


def store(connection: Connection, *results: JobResult) -> None:
    job_results.store(connection, results, PLACES)


def read(connection: Connection, job_id: str = "job-1") -> JobStatus:
    status = jobs.read(connection, job_id)
    assert status is not None
    return status


def everything(connection: Connection) -> dict[str, list[Any]]:
    """All rows of all tables, with where they lie: a row that is written again moves."""
    rows = {
        table: sorted(connection.execute(f"select t.ctid::text, t::text from {table} t").fetchall())
        for table in TABLES
    }
    connection.commit()
    return rows


def counts(connection: Connection) -> dict[str, int]:
    return {table: len(rows) for table, rows in everything(connection).items()}


def lease(
    connection: Connection, owner: str = "w1", limit: int = 10, now_ns: int = NOW
) -> list[waiting.Leased]:
    return waiting.lease(connection, owner, limit, now_ns)


def finish(leased: waiting.Leased, state: str = "done", **changes: Any) -> JobResult:
    """What the waiting room stores of a request that it has served."""
    said = {"partition": leased.partition, "offset": leased.offset, "submitted_ns": leased.submitted_ns}
    return job_result(leased.job_id, state, **said, document=b"", finishes=leased.waiting_id, **changes)


FULL = job_result(
    attempts=[attempt(provider="alpaca", outcome="away", rows=0, detail="503"), attempt()],
    bars=[bars(), bars(bar_row(symbol="MSFT"))],
    quotes=[quotes()],
    detail="nothing of XYZ",
)


def test_everything_of_a_job_is_stored_together(connection):
    store(connection, FULL)
    connection.rollback()  # it has committed already
    assert counts(connection) == {
        "candles_intraday": 2,
        "quotes_l1": 1,
        "jobs": 1,
        "job_attempts": 2,
        "waiting_requests": 0,
        "backfill_jobs": 0,
    }


def test_what_became_of_a_job_can_be_read(connection):
    assert jobs.read(connection, "job-1") is None
    heals = waiting_row(heal=True, not_before_ns=NOW + 5_000, hint="polygon")
    store(connection, job_result(**_fields(FULL), waiting=[heals]))
    status = read(connection)
    assert (status.job_id, status.job_type, status.state) == ("job-1", "bars", "done")
    assert (status.partition, status.offset, status.rows, status.requests) == (2, 7, 3, 2)
    assert status.detail == "nothing of XYZ"
    assert status.document == {"job_type": "bars", "job_id": "job-1"}
    assert status.submitted_at.timestamp() * SECOND_NS == START
    assert status.finished_at is not None
    assert status.finished_at.timestamp() * SECOND_NS == NOW
    assert [(a.provider, a.outcome, a.rows, a.detail) for a in status.attempts] == [
        ("alpaca", "away", 0, "503"),
        ("polygon", "ok", 1, ""),
    ]
    assert (status.attempts[1].latency_ms, status.attempts[1].symbols) == (12.5, 1)
    (left,) = status.waiting
    assert (left.request, left.heal, left.coverage, left.hint) == (
        heals.request,
        True,
        "consolidated",
        "polygon",
    )
    assert (left.why, left.leases, left.lease_owner, left.lease_until) == (heals.why, 0, None, None)
    assert int(left.not_before.timestamp() * 1_000_000) == (NOW + 5_000) // 1_000
    assert status.backfill == {}
    assert jobs.read(connection, "job-2") is None


def _fields(result: JobResult) -> dict[str, Any]:
    return {
        "attempts": result.attempts,
        "bars": result.bars,
        "quotes": result.quotes,
        "detail": result.job.detail,
    }


def test_a_transaction_that_is_repeated_changes_nothing(connection):
    results = [
        FULL,
        job_result("job-2", "waiting", waiting=[waiting_row(), waiting_row("MSFT")]),
        job_result("job-3", "failed", detail="nobody has 5m of 1999", attempts=[attempt(outcome="empty")]),
        job_result("job-4", "waiting", job_type="backfill", backfill=backfill_row(request_id="job-4")),
    ]
    store(connection, *results)
    leased = lease(connection)
    assert len(leased) == 2
    store(
        connection,
        finish(leased[0], bars=[bars(bar_row(symbol="IBM"))], attempts=[attempt(at_ns=NOW + 1000)]),
    )
    before = {name: [text for _, text in rows] for name, rows in everything(connection).items()}
    # the commit was not heard of: the same finish again
    store(
        connection,
        finish(leased[0], bars=[bars(bar_row(symbol="IBM"))], attempts=[attempt(at_ns=NOW + 1000)]),
    )
    assert {name: [text for _, text in rows] for name, rows in everything(connection).items()} == before
    assert read(connection, "job-2").rows == 1
    # and the jobs that are over are run again
    store(connection, results[0], results[2], results[3])
    after = everything(connection)
    for table in ("candles_intraday", "quotes_l1", "job_attempts", "waiting_requests", "backfill_jobs"):
        assert [text for _, text in after[table]] == before[table]
    for result in (results[0], results[2], results[3]):
        status = read(connection, result.job.job_id)
        assert (status.state, status.rows, status.requests) == (
            result.job.state,
            result.rows,
            len(result.attempts),
        )


def test_a_job_that_is_done_does_not_wait_when_its_record_is_read_again(connection):
    store(connection, FULL)
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row()], detail="everybody is away"))
    store(connection, job_result("job-1", "failed", detail="nobody can"))
    assert (read(connection).state, read(connection).waiting, read(connection).rows) == ("done", (), 3)


def test_a_job_that_waits_is_done_when_its_record_is_read_again_and_served(connection):
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row(), waiting_row(heal=True)]))
    store(connection, FULL)
    status = read(connection)
    assert (status.state, status.waiting, status.rows) == ("done", (), 3)


def test_what_waits_is_what_the_last_run_says(connection):
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row(), waiting_row("MSFT")]))
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row("MSFT")]))
    assert [w.request["symbols"] for w in read(connection).waiting] == [["MSFT"]]


def test_a_later_record_with_the_same_id_counts(connection):
    store(connection, FULL)
    later = job_result("job-1", "waiting", offset=8, submitted_ns=START + SECOND_NS, waiting=[waiting_row()])
    store(connection, later)
    assert (read(connection).state, read(connection).offset, len(read(connection).waiting)) == (
        "waiting",
        8,
        1,
    )
    store(connection, FULL)
    assert (read(connection).state, read(connection).offset, len(read(connection).waiting)) == (
        "waiting",
        8,
        1,
    )
    store(connection, job_result("job-9", offset=2), job_result("job-9", offset=1, detail="the first"))
    assert (read(connection, "job-9").offset, read(connection, "job-9").detail) == (2, "")


def test_two_workers_do_not_lease_the_same_request(connect):
    one, other = connect(), connect()
    store(one, job_result("job-1", "waiting", waiting=[waiting_row(f"S{n}") for n in range(10)]))
    # in the middle of the lease of the one
    held = one.execute(
        waiting.LEASE, {"owner": "w1", "limit": 4, "now": NOW, "seconds": waiting.LEASE_S}
    ).fetchall()
    theirs = lease(other, "w2")
    one.commit()
    assert len(held) == 4
    assert len(theirs) == 6
    assert {row[0] for row in held}.isdisjoint({leased.waiting_id for leased in theirs})
    assert lease(one) == lease(other) == []


def test_what_is_leased_says_all_that_is_needed_to_ask(connection):
    row = waiting_row(coverage="iex", allow_downgrade=True, hint="alpaca", heal=True)
    store(connection, job_result("job-1", waiting=[row]))
    (leased,) = lease(connection)
    assert (leased.job_id, leased.job_type, leased.partition, leased.offset) == ("job-1", "bars", 2, 7)
    assert leased.submitted_ns == START
    assert leased.request == row.request
    assert (leased.why, leased.heal, leased.coverage, leased.allow_downgrade, leased.hint, leased.leases) == (
        row.why,
        True,
        "iex",
        True,
        "alpaca",
        1,
    )


def test_what_is_not_due_is_not_leased_and_what_only_heals_comes_last(connection):
    rows = [
        waiting_row("HEALS", heal=True),
        waiting_row("LATER", not_before_ns=NOW + 1_000),
        waiting_row("NOW", not_before_ns=NOW),
        waiting_row("FIRST"),
    ]
    store(connection, job_result("job-1", "waiting", waiting=rows))
    assert waiting.counts(connection) == {"waiting": 3, "healing": 1}
    taken = [lease(connection, limit=1) for _ in range(4)]
    assert [leased.request["symbols"][0] for (leased,) in taken[:3]] == ["FIRST", "NOW", "HEALS"]
    assert taken[3] == []
    assert [leased.request["symbols"][0] for leased in lease(connection, now_ns=NOW + 1_000)] == ["LATER"]


def test_a_lease_runs_out(connection):
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row()]))
    lease(connection, "w1")
    assert lease(connection, "w2", now_ns=NOW + 60 * SECOND_NS - 1_000) == []
    (leased,) = lease(connection, "w2", now_ns=NOW + 60 * SECOND_NS)
    assert leased.leases == 2


def test_a_request_that_is_given_back_can_be_leased_when_it_is_due(connection):
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row(), waiting_row("MSFT")]))
    leased = lease(connection)
    waiting.release(connection, "w1", [leased[0].waiting_id], NOW + 5 * SECOND_NS, "still away")
    assert lease(connection) == []
    (again,) = lease(connection, "w2", now_ns=NOW + 5 * SECOND_NS)
    assert (again.waiting_id, again.why, again.leases) == (leased[0].waiting_id, "still away", 2)
    # it is another's now: who had it before does not give it away
    waiting.release(connection, "w1", [again.waiting_id], 0, "late")
    assert read(connection).waiting[0].lease_owner == "w2"


def test_a_job_is_done_when_the_last_request_that_does_not_heal_is_served(connection):
    rows = [waiting_row(), waiting_row("MSFT"), waiting_row("IBM", heal=True)]
    store(
        connection, job_result("job-1", "waiting", waiting=rows, detail="waits: polygon: open", bars=[bars()])
    )
    first, second, heals = lease(connection)
    store(connection, finish(first, bars=[bars()], attempts=[attempt()]))
    status = read(connection)
    assert (status.state, status.finished_at, status.detail) == ("waiting", None, "waits: polygon: open")
    store(
        connection,
        finish(second, bars=[bars()], attempts=[attempt(at_ns=NOW + 1_000)], finished_ns=NOW + SECOND_NS),
    )
    status = read(connection)
    assert (status.state, status.detail, status.rows, status.requests) == ("done", "", 3, 2)
    assert status.finished_at is not None
    assert status.finished_at.timestamp() * SECOND_NS == NOW + SECOND_NS
    assert [w.heal for w in status.waiting] == [True]
    store(connection, finish(heals, bars=[bars()], finished_ns=NOW + HOUR_NS))
    healed = read(connection)
    assert (healed.state, healed.waiting, healed.rows) == ("done", (), 4)
    assert healed.finished_at == status.finished_at


def test_a_request_that_is_served_in_part_leaves_the_rest_waiting(connection):
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row()]))
    (leased,) = lease(connection)
    rest = waiting_row(why="only half", not_before_ns=NOW + SECOND_NS)
    store(connection, finish(leased, "waiting", bars=[bars()], waiting=[rest]))
    assert (read(connection).state, [w.why for w in read(connection).waiting]) == ("waiting", ["only half"])
    # the lease had run out and another has served it, too: what it leaves is not left twice
    store(connection, finish(leased, "waiting", bars=[bars()], waiting=[rest]))
    assert (read(connection).rows, len(read(connection).waiting)) == (1, 1)


def test_a_job_of_which_a_part_can_never_be_served_has_failed(connection):
    store(connection, job_result("job-1", "waiting", waiting=[waiting_row(), waiting_row("MSFT")]))
    first, second = lease(connection)
    store(connection, finish(first, "failed", detail="nobody has it"))
    assert (read(connection).state, read(connection).detail) == ("failed", "nobody has it")
    store(connection, finish(second))
    assert (read(connection).state, read(connection).detail) == ("failed", "nobody has it")
    assert read(connection).waiting == ()


def test_a_job_that_cannot_be_healed_is_done_all_the_same(connection):
    store(connection, job_result("job-1", waiting=[waiting_row(heal=True)], bars=[bars()]))
    (leased,) = lease(connection)
    store(connection, finish(leased, "failed", detail="nobody has the tape of 1999"))
    status = read(connection)
    assert (status.state, status.detail, status.waiting) == ("done", "nobody has the tape of 1999", ())


def test_several_results_of_one_job_in_one_transaction(connection):
    store(
        connection,
        job_result("job-1", "waiting", waiting=[waiting_row(f"S{n}") for n in range(3)]),
        job_result("job-2", "waiting", waiting=[waiting_row()]),
    )
    leased = lease(connection)
    store(connection, *(finish(one, bars=[bars()], attempts=[attempt()]) for one in leased), FULL)
    assert [read(connection, name).state for name in ("job-1", "job-2")] == ["done", "done"]
    assert waiting.counts(connection) == {"waiting": 0, "healing": 0}


def test_the_last_two_requests_are_finished_at_the_same_time_by_two_workers(connect):
    one, other, observer = connect(), connect(), connect()
    store(one, job_result("job-1", "waiting", waiting=[waiting_row(), waiting_row("MSFT")]))
    first, second = lease(one)
    job_results._write(one, [finish(first)], PLACES)  # and not committed yet
    late = Thread(target=store, args=(other, finish(second)))
    late.start()
    waits = "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    while late.is_alive() and not observer.execute(waits, (other.info.backend_pid,)).fetchone():
        observer.commit()
    assert late.is_alive(), "it must wait for the one that came first"
    one.commit()
    late.join(20)
    observer.commit()
    assert read(observer).state == "done"


def test_a_backfill_is_queued_in_pieces_once(connection):
    days = 3 * 24 * HOUR_NS
    row = backfill_row(window_end_ns=START + days, hint="alpaca")
    result = job_result("job-1", "waiting", job_type="backfill", backfill=row)
    store(connection, result)
    found = connection.execute(
        "select tier, reason, note, provider_hint, state, request_id, "
        "extract(epoch from window_end - window_start)::int8 / 60 from backfill_jobs order by window_start"
    ).fetchall()
    connection.commit()
    assert {row[:-1] for row in found} == {
        ("T1", "request", "minutes missing after an outage", "alpaca", "queued", "job-1")
    }
    minutes = [row[-1] for row in found]
    assert len(minutes) == 4
    assert (max(minutes), sum(minutes)) == (1_440, 3 * 1_440)
    assert read(connection).backfill == {"queued": 4}
    # read again, when some of it is done already
    connection.execute(
        "update backfill_jobs set state = 'done', finished_at = now() "
        "where job_id = (select min(job_id) from backfill_jobs)"
    )
    store(connection, result)
    assert read(connection).backfill == {"done": 1, "queued": 3}
    # somebody else asks for the same days: what is queued is not queued twice
    store(
        connection,
        job_result(
            "job-2",
            "waiting",
            job_type="backfill",
            backfill=backfill_row(
                request_id="job-2", window_start_ns=START + HOUR_NS, window_end_ns=START + days
            ),
        ),
    )
    assert counts(connection)["backfill_jobs"] == 5


@pytest.mark.parametrize(
    ("bad", "reason", "said"),
    [
        ({"bars": [bars(bar_row(low=9.0, high=1.0))]}, Reason.SINK_CONSTRAINT, "candles_intraday"),
        ({"bars": [bars(), bars(bar_row(symbol="A\0"))]}, Reason.SINK_DATA, "0x00"),
        ({"bars": [bars(bar_row(volume=float("nan")))]}, Reason.SINK_CONSTRAINT, "v_check"),
        ({"quotes": [quotes(provider=None)]}, Reason.SINK_CONSTRAINT, "provider"),
        ({"attempts": [attempt(detail="\0")]}, Reason.SINK_DATA, "unicode"),
        ({"attempts": [attempt(latency_ms=-1.0)]}, Reason.SINK_CONSTRAINT, "latency"),
        ({"waiting": [waiting_row(coverage="half")]}, Reason.SINK_CONSTRAINT, "coverage"),
        ({"backfill": backfill_row(tier="T9")}, Reason.SINK_CONSTRAINT, "tier"),
    ],
    ids=lambda value: next(iter(value), None) if isinstance(value, dict) else None,
)
def test_the_job_that_is_refused_is_found_and_the_rest_can_be_stored(connection, bad, reason, said):
    good = [
        job_result(f"job-{n}", bars=[bars(bar_row(symbol=f"S{n}"))], attempts=[attempt()]) for n in range(8)
    ]
    results = [*good[:5], job_result("bad", **bad), *good[5:]]
    with pytest.raises(psycopg.Error):
        store(connection, *results)
    connection.rollback()
    ((found, why, words),) = job_results.refused(connection, results, PLACES)
    assert found is results[5]
    assert why is reason
    assert said.lower() in words.lower()
    assert set(counts(connection).values()) == {0}, "looking for it stores nothing"
    store(connection, *good)
    assert counts(connection)["candles_intraday"] == counts(connection)["jobs"] == 8


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.booleans(), max_size=40))
def test_exactly_the_bad_ones_are_found(connection, bad):
    results = [
        job_result(f"job-{n}", bars=[bars(bar_row(symbol=f"S{n}", volume=-1.0 if is_bad else 1.0))])
        for n, is_bad in enumerate(bad)
    ]
    refused = job_results.refused(connection, results, PLACES)
    assert [id(result) for result, _, _ in refused] == [
        id(result) for result, is_bad in zip(results, bad, strict=True) if is_bad
    ]


def test_finding_one_among_many_takes_few_attempts(connection, monkeypatch):
    attempts = 0
    write = vendor_bars.write

    def counted(*args: Any) -> None:
        nonlocal attempts
        attempts += 1
        write(*args)

    monkeypatch.setattr(vendor_bars, "write", counted)
    results = [job_result(f"job-{n}", bars=[bars(bar_row(symbol=f"S{n}"))]) for n in range(127)]
    results.append(job_result("bad", bars=[bars(bar_row(volume=-1.0))]))
    assert [result.job.job_id for result, _, _ in job_results.refused(connection, results, PLACES)] == ["bad"]
    assert attempts <= 2 * 7 + 1


def test_another_error_while_looking_is_passed_on(connection):
    connection.execute("alter table jobs rename to elsewhere")
    connection.commit()
    with pytest.raises(psycopg.errors.UndefinedTable):
        job_results.refused(connection, [FULL], PLACES)


def test_nothing_to_store(connection):
    store(connection)
    assert job_results.refused(connection, [], PLACES) == []
    assert set(counts(connection).values()) == {0}


def test_raw_and_adjusted_bars_of_one_minute_and_both_coverages(connection):
    store(
        connection,
        job_result("job-1", bars=[bars(bar_row(volume=100.0))]),
        job_result("job-2", bars=[bars(bar_row(volume=400.0), adjustment="split")]),
        job_result(
            "job-3",
            bars=[bars(bar_row(volume=3.0), provider="iex", feed="iex", coverage="iex", final_before_ns=0)],
        ),
        job_result(
            "job-4",
            bars=[
                bars(
                    bar_row(ts_event=START + MINUTE_NS, volume=5.0),
                    provider="iex",
                    feed="iex",
                    coverage="iex",
                )
            ],
        ),
    )
    found = connection.execute(
        "select extract(epoch from ts)::int8, adjustment, coverage, provider, v from candles_intraday "
        "order by ts, adjustment"
    ).fetchall()
    assert found == [
        (START // SECOND_NS, "raw", "consolidated", "polygon", 100.0),
        (START // SECOND_NS, "split", "consolidated", "polygon", 400.0),
        (START // SECOND_NS + 60, "raw", "iex", "iex", 5.0),
    ]


def test_jobs_that_ended_long_ago_are_forgotten_with_their_attempts(connection):
    store(
        connection,
        job_result("old", attempts=[attempt()]),
        job_result("heals", waiting=[waiting_row(heal=True)]),
        job_result("waits", "waiting", waiting=[waiting_row()]),
        job_result("young", attempts=[attempt()]),
    )
    connection.execute("update jobs set updated_at = now() - interval '31 days' where job_id <> 'young'")
    connection.commit()
    assert jobs.purge(connection, 30) == 1
    left = {job_id for (job_id,) in connection.execute("select job_id from jobs").fetchall()}
    assert left == {"heals", "waits", "young"}
    tried = connection.execute("select distinct job_id from job_attempts").fetchall()
    assert tried == [("young",)]
    assert jobs.purge(connection, 30) == 0


def test_healing_takes_away_what_the_better_source_does_not_have(connection):
    def minutes(*numbers: int) -> list[BarRow]:
        return [bar_row(ts_event=START + n * MINUTE_NS) for n in numbers]

    lesser = bars(*minutes(0, 1, 2, 3), provider="iex", feed="tiingo", coverage="iex", final_before_ns=0)
    store(connection, job_result("job-1", bars=[lesser], waiting=[waiting_row(heal=True)]))
    (leased,) = lease(connection)
    better = bars(*minutes(0, 2))
    void = Void(("AAPL",), "1m", "raw", START, START + 3 * MINUTE_NS)
    store(connection, finish(leased, bars=[better], voids=[void]))
    rows = connection.execute(
        "select (extract(epoch from ts)::int8 * 1000000000 - %s) / %s, provider from candles_intraday "
        "order by ts",
        (START, MINUTE_NS),
    ).fetchall()
    # the minute after the window was not healed: its stand-in stays
    assert rows == [(0, "polygon"), (2, "polygon"), (3, "iex")]
