"""Jobs sent, waited for and looked up by the command line, on a real broker and a real database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Message

from domain.clock import SystemClock
from ops import cli
from ops.job_sender import Sent
from ops.job_wait import JobWait
from schemas.control import ControlMessage
from schemas.decode_jobs import examine_job
from schemas.errors import CommandError
from schemas.jobs import encode_job, fixture_bars_job, fixture_quotes_job
from schemas.outcome import Outcome, ProviderOutcome
from schemas.provider import ProviderName
from schemas.topics import CONTROL, JOBS, PROVIDER_OUTCOMES
from sinks import job_results
from sinks.job_results import AttemptRow, JobResult, JobRow, WaitingRow
from streams import topics
from streams.setting_sources import read
from streams.settings import candidate, digest
from tests.integration import records
from tests.integration.conftest import command

pytestmark = pytest.mark.integration

SECOND = 1_000_000_000
AT = 1_763_650_800 * SECOND
SESSION = ("--session", "2025-11-20")
ALL = list(range(JOBS.partitions))
REQUEST = {"symbols": ["AAPL", "MSFT", "TSLA", "A", "B"]}


@pytest.fixture
async def bootstrap(kafka: Any, topic_prefix: str) -> str:
    bootstrap: str = kafka.bootstrap
    await topics.apply(bootstrap, prefix=topic_prefix)
    return bootstrap


@pytest.fixture
def settings(bootstrap: str, topic_prefix: str) -> dict[str, str]:
    """What the commands find in their environment; no database."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "TOPIC_PREFIX": topic_prefix,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    }


@pytest.fixture
def landed(bootstrap: str, topic_prefix: str) -> Callable[[], list[Message]]:
    """Return what is on the topic of jobs."""
    return lambda: records.read(bootstrap, topic_prefix + JOBS.name)


class Worker:
    """Stores what became of jobs, as a worker does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url)
        job_results.prepare(self.connection)
        self.connection.commit()

    def store(self, record: Message, state: Any = "done", detail: str = "", **left: Any) -> None:
        """Store the job of a record."""
        self.keep(record.value() or b"", state, detail, record.partition() or 0, record.offset() or 0, **left)

    def keep(
        self, value: bytes, state: Any, detail: str, partition: int, offset: int, at: int = AT, **left: Any
    ) -> None:
        """Store a job."""
        document = json.loads(value)
        finished = None if state == "waiting" else at + 2 * SECOND
        row = JobRow(
            document["job_id"], document["job_type"], state, partition, offset, at, finished, detail, value
        )
        job_results.store(self.connection, [JobResult(row, **left)], ())

    def finish(self, record: Message) -> None:
        """Serve the one request of a job that waits."""
        job_id = (record.key() or b"").decode()
        found = self.connection.execute(
            "select waiting_id from waiting_requests where job_id = %s", [job_id]
        ).fetchone()
        assert found is not None
        row = JobRow(job_id, "bars", "done", 0, 0, AT, AT + 9 * SECOND, "", b"")
        job_results.store(self.connection, [JobResult(row, finishes=found[0])], ())


@pytest.fixture
def worker(timescale_url: str) -> Iterator[Worker]:
    worker = Worker(timescale_url)
    yield worker
    worker.connection.close()


def attempt(provider: ProviderName, outcome: Outcome, rows: int = 0, detail: str = "") -> AttemptRow:
    return AttemptRow(provider, outcome, rows, 12.34, AT + SECOND, detail, 2)


def waiting(why: str, *, heal: bool = False) -> WaitingRow:
    return WaitingRow(REQUEST, why, heal, "consolidated", False, None, AT)


class Done(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def quick(monkeypatch, plain_environment, tmp_path, capsys) -> Callable[..., Done]:
    """Run the command line in this process, where everything is imported already."""

    def quick(*args: str, settings: dict[str, str]) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", plain_environment | settings)
            patch.setattr(sys, "argv", ["tapeflow", *args])
            patch.chdir(tmp_path)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return quick


@contextmanager
def running(environment: dict[str, str], folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command line beside the test; nothing of it outlives the test."""
    with subprocess.Popen(
        command(*args),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=folder,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(found: Callable[[], Any]) -> Any:
    """Return what is found, as soon as it is."""
    deadline = time.monotonic() + 30
    while not (what := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return what


class TestProduce:
    def test_jobs_land_by_their_ids_with_their_headers(self, quick, settings, landed):
        sent = [
            ("bars-fetch-job.v1", ["bars", "--symbols", "AAPL,MSFT", "--job-id", "b-1", *SESSION]),
            ("quotes-fetch-job.v1", ["quotes", "--symbols", "AAPL", "--job-id", "q-1"]),
            ("backfill-job.v1", ["backfill", "--symbols", "AAPL", "--job-id", "f-1", *SESSION]),
        ]
        for _, args in sent:
            done = quick("produce", "job", *args, settings=settings)
            assert (done.returncode, done.stdout) == (0, f"{args[args.index('--job-id') + 1]}\n"), done.stderr
        found = {m.key(): m for m in landed()}
        for schema, args in sent:
            key = args[args.index("--job-id") + 1].encode()
            message = found[key]
            job = examine_job(message.value())
            assert (getattr(job, "job_id", None), getattr(job, "job_type", None)) == (key.decode(), args[0])
            assert message.partition() == DefaultPartitioner()(key, ALL, ALL)
            assert dict(message.headers() or []) == {
                "content-type": b"application/json",
                "schema": schema.encode(),
            }
        assert len(found) == 3

    def test_a_file_lands_in_order_and_says_where(self, tapeflow, settings, landed):
        jobs = [fixture_quotes_job().model_copy(update={"job_id": f"j-{n}"}) for n in range(1_200)]
        lines = [encode_job(job).decode() for job in jobs]
        lines[5:5] = ["{}"]
        done = tapeflow("produce", "job", "send", "-", "--json", settings=settings, stdin="\n".join(lines))
        report = json.loads(done.stdout)
        assert (done.returncode, report["sent"], report["bad"]) == (5, 1_200, 1)
        assert "line 6: job_type: Field required" in done.stderr
        assert [one["job_id"] for one in report["jobs"]] == [job.job_id for job in jobs]
        there = {(m.partition(), m.offset()): m for m in landed()}
        assert len(there) == 1_200
        for one, job in zip(report["jobs"], jobs, strict=True):
            assert examine_job(there[one["partition"], one["offset"]].value()) == job

    def test_lines_of_a_pipe_are_sent_before_it_ends(self, plain_environment, settings, landed, tmp_path):
        with subprocess.Popen(
            command("produce", "job", "send", "-"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=plain_environment | settings,
            cwd=tmp_path,
            text=True,
        ) as process:
            assert process.stdin is not None
            process.stdin.write(encode_job(fixture_bars_job()).decode() + "\n")
            process.stdin.flush()
            until(landed)
            assert process.poll() is None
            out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "ci-bars-123\n")

    def test_what_is_missing_is_told_in_one_line(self, quick, settings):
        args = ("produce", "job", "quotes", "--symbols", "AAPL")
        away = quick(*args, "--bootstrap-servers", "127.0.0.1:1", settings=settings)
        assert (away.returncode, away.stdout) == (4, "")
        assert away.stderr.startswith("tapeflow: no broker answers at 127.0.0.1:1")
        assert len(away.stderr.splitlines()) == 1
        absent = quick(*args, "--topic", "absent.v1", settings=settings)
        assert (absent.returncode, absent.stdout) == (1, "")
        assert absent.stderr.startswith("tapeflow: there is no topic absent.v1")


class TestWait:
    ARGS = ("produce", "job", "bars", "--symbols", "AAPL", "--job-id", "w-1", *SESSION, "--wait")

    def test_it_ends_when_the_job_is_done_and_tells_on_the_way(
        self, plain_environment, settings, landed, worker, tmp_path
    ):
        environment = plain_environment | settings | {"DATABASE_URL": worker.url}
        # a job before it had the same id, and is done
        partition = DefaultPartitioner()(b"w-1", ALL, ALL)
        before = encode_job(fixture_bars_job()).replace(b"ci-bars-123", b"w-1")
        worker.keep(before, "done", "", partition, 0, at=1)
        topic = settings["TOPIC_PREFIX"] + JOBS.name
        records.write(settings["KAFKA_BOOTSTRAP_SERVERS"], topic, [(partition, b"w-1", before)])
        with running(environment, tmp_path, *self.ARGS, "--json") as process:
            (record,) = until(lambda: landed()[1:])
            worker.store(record, "waiting", waiting=[waiting("polygon is open since 15:00")])
            assert process.stderr is not None
            said = [process.stderr.readline(), process.stderr.readline()]
            assert process.poll() is None
            worker.finish(record)
            out, err = process.communicate(timeout=30)
        assert said[0].startswith(f"sent to {record.topic()}[{record.partition()}]@{record.offset()}")
        assert said[1] == "w-1: waiting, 0 rows, 0 attempts, 1 request waiting: polygon is open since 15:00\n"
        assert err == "w-1: done, 0 rows, 0 attempts\n"
        assert process.returncode == 0
        assert json.loads(out)["jobs"] == [
            {"job_id": "w-1", "partition": record.partition(), "offset": record.offset(), "state": "done"}
        ]

    def test_a_job_that_fails_is_an_error(self, plain_environment, settings, landed, worker, tmp_path):
        environment = plain_environment | settings | {"DATABASE_URL": worker.url}
        with running(environment, tmp_path, *self.ARGS) as process:
            (record,) = until(landed)
            worker.store(record, "failed", "polygon: lacks coverage")
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (1, "w-1\n")
        assert err.endswith(
            "tapeflow: 1 of 1 jobs failed; w-1: failed, 0 rows, 0 attempts: polygon: lacks coverage\n"
        )

    def test_it_does_not_wait_for_ever(self, quick, settings, timescale_url):
        done = quick(*self.ARGS, "--timeout", "0.1", settings=settings | {"DATABASE_URL": timescale_url})
        assert (done.returncode, done.stdout) == (1, "w-1\n")
        assert done.stderr.endswith("1 of 1 jobs not done after 0.1 s; w-1: no worker has taken it\n")

    async def test_of_many_jobs_the_numbers_are_told(self, worker, capsys):
        sent = []
        for n in range(23):
            job = fixture_quotes_job().model_copy(update={"job_id": f"j-{n}"})
            sent.append(Sent(job.job_id, "jobs", 0, n))
            if n:
                state = "waiting" if n == 1 else "failed" if n == 2 else "done"
                worker.keep(encode_job(job), state, "", 0, n)
        wait = JobWait(worker.url, sent, SystemClock())
        await wait.run(0.01)
        assert capsys.readouterr().err == "20 done, 1 failed, 1 waiting, 1 not taken yet\n"
        assert wait.states["j-2"] == "failed"
        with pytest.raises(CommandError, match=r"^1 of 23 jobs failed; j-2: failed"):
            wait.judge()

    def test_a_database_that_is_away_is_told_when_time_is_up(self, quick, settings):
        done = quick(*self.ARGS, "--timeout", "0.1", settings=settings)
        assert (done.returncode, done.stdout) == (4, "w-1\n")
        assert "tapeflow: the database does not answer" in done.stderr


class TestStatus:
    @pytest.fixture
    def run(self, quick, worker):
        def run(*args: str) -> Any:
            return quick("jobs", *args, settings={"DATABASE_URL": worker.url})

        return run

    @pytest.fixture
    def job(self, worker) -> str:
        """A job that was served in part: one attempt failed, one served, a request waits, one heals."""
        worker.keep(
            encode_job(fixture_bars_job()),
            "waiting",
            "as it was queued",
            3,
            17,
            attempts=[attempt("polygon", "away", detail="503 [red]no[/]\x1b"), attempt("alpaca", "ok", 780)],
            waiting=[waiting("it heals", heal=True), waiting("polygon is open since 15:00")],
        )
        return "ci-bars-123"

    def test_a_job_is_shown_with_attempts_and_what_waits(self, run, job):
        done = run("status", job)
        assert done.returncode == 0, done.stderr
        head, record, _, *rest = done.stdout.splitlines()
        assert head == (
            "ci-bars-123: waiting, 0 rows, 2 attempts, 1 request waiting, 1 request to be replaced by a "
            "better source: polygon is open since 15:00"
        )
        assert record.startswith("record 3@17, submitted 2025-11-20 15:00:00Z, last touched ")
        columns, *attempts = rest[: rest.index("")]
        assert columns.split() == ["at", "provider", "outcome", "rows", "symbols", "ms", "detail"]
        assert [row.split() for row in attempts] == [
            ["2025-11-20", "15:00:01Z", "polygon", "away", "0", "2", "12.3", "503", "[red]no[/]\ufffd"],
            ["2025-11-20", "15:00:01Z", "alpaca", "ok", "780", "2", "12.3"],
        ]
        _, blocking, healing = rest[rest.index("") + 1 :]
        assert blocking.startswith(
            "AAPL, MSFT, TSLA and 2 more to be had       consolidated  2025-11-20 15:00:00Z"
        )
        assert blocking.endswith("polygon is open since 15:00")
        assert "to be replaced" in healing

    def test_the_same_as_json(self, run, job):
        report = json.loads(run("status", job, "--json").stdout)
        assert report["schema_version"] == 1
        assert {
            name: report["job"][name] for name in ("job_id", "job_type", "state", "partition", "offset")
        } == {
            "job_id": job,
            "job_type": "bars",
            "state": "waiting",
            "partition": 3,
            "offset": 17,
        }
        assert report["job"]["submitted_at"] == "2025-11-20T15:00:00+00:00"
        assert report["job"]["finished_at"] is None
        assert report["job"]["document"] == json.loads(encode_job(fixture_bars_job()))
        assert [(a["provider"], a["outcome"], a["rows"], a["latency_ms"]) for a in report["attempts"]] == [
            ("polygon", "away", 0, 12.34),
            ("alpaca", "ok", 780, 12.34),
        ]
        assert [(w["heal"], w["why"], w["request"]) for w in report["waiting"]] == [
            (False, "polygon is open since 15:00", REQUEST),
            (True, "it heals", REQUEST),
        ]

    def test_a_job_that_nobody_knows(self, run):
        done = run("status", "absent-1")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("tapeflow: no job absent-1: never sent, refused as poison")

    def test_the_list_is_of_what_changed_last(self, run, worker):
        for n, state in enumerate(("done", "waiting", "failed", "done")):
            value = encode_job(fixture_quotes_job().model_copy(update={"job_id": f"j-{n}"}))
            worker.keep(value, state, f"detail {n}", 0, n)
            worker.connection.execute(
                "update jobs set updated_at = 'epoch'::timestamptz + %s * interval '1 day' where job_id = %s",
                [n, f"j-{n}"],
            )
        worker.connection.commit()

        def ids(*args: str) -> list[str]:
            return [j["job_id"] for j in json.loads(run("list", "--json", *args).stdout)["jobs"]]

        assert ids() == ["j-3", "j-2", "j-1", "j-0"]
        assert ids("--limit", "2") == ["j-3", "j-2"]
        assert ids("--state", "done") == ["j-3", "j-0"]
        columns, row = run("list", "--state", "waiting").stdout.splitlines()
        assert columns.split() == [
            *("job_id", "type", "state", "rows", "requests", "submitted", "finished", "detail")
        ]
        assert row.split() == [
            *("j-1", "quotes", "waiting", "0", "0", "2025-11-20", "15:00:00Z", "-", "detail", "1")
        ]

    def test_no_jobs_are_said_to_be_none(self, run):
        done = run("list", "--state", "failed")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "no jobs that are failed\n")

    def test_a_database_without_tables_or_away(self, quick, database):
        bare = quick("jobs", "list", settings={"DATABASE_URL": database})
        assert (bare.returncode, bare.stdout) == (1, "")
        assert "`tapeflow migrate up` creates it" in bare.stderr
        away = quick("jobs", "status", "x", settings={"DATABASE_URL": "postgresql://u:pw@127.0.0.1:1/d"})
        assert (away.returncode, away.stdout) == (4, "")
        assert "pw" not in away.stderr


class TestAgainst:
    """What providers answered lately, under other settings."""

    @pytest.fixture
    def check(self, quick, settings, tmp_path):
        def check(*args: str, **candidate: Any) -> Any:
            path = tmp_path / "candidate.toml"
            path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in candidate.items()))
            return quick("config", "check", "--file", str(path), *args, settings=settings)

        return check

    def outcomes(self, bootstrap: str, prefix: str, *said: tuple[ProviderName, Outcome]) -> None:
        now = SystemClock().now_ns()
        values = [
            ProviderOutcome(provider=p, id=f"{now}-{n}", ts=now, outcome=o, latency_ms=20.0)
            for n, (p, o) in enumerate(said)
        ]
        records.write(
            bootstrap,
            prefix + PROVIDER_OUTCOMES.name,
            [(0, v.provider.encode(), v.model_dump_json().encode()) for v in values]
            + [(1, b"polygon", b"no outcome")],
        )

    def test_without_outcomes_it_says_so(self, check):
        done = check("--against", "15m", breaker_trip_failures=2)
        assert (done.returncode, done.stdout) == (0, "")
        assert (
            "compared with the files here: no reload so far; different: BREAKER_TRIP_FAILURES" in done.stderr
        )
        assert "no outcomes since " in done.stderr

    def test_a_stricter_breaker_would_have_gone_to_another_provider(self, check, bootstrap, topic_prefix):
        self.outcomes(
            bootstrap,
            topic_prefix,
            ("polygon", "ok"),
            ("polygon", "away"),
            ("polygon", "away"),
            ("alpaca", "ok"),
        )
        # the last outcome ends the stretch: later than the others, by the broker's clock in milliseconds
        time.sleep(0.005)
        self.outcomes(bootstrap, topic_prefix, ("alpaca", "ok"))
        done = check("--against", "15m", "--json", breaker_trip_failures=2)
        assert done.returncode == 0, done.stderr
        against = json.loads(done.stdout)["against"]
        assert against["outcomes"] == 5
        assert against["changed"] == ["breaker_trip_failures"]
        found = {d["kind"]: (d["now_first"], d["new_first"]) for d in against["differences"]}
        assert found == dict.fromkeys(("bars_1m", "bars_1d", "quotes_l1"), ("polygon", "alpaca"))
        whys = {d["why"] for d in against["differences"]}
        assert all(why.startswith("polygon ") and "2 failures in a row" in why for why in whys), whys
        table = check("--against", "15m", breaker_trip_failures=2)
        assert len(table.stdout.splitlines()) == 4
        same = check("--against", "15m")
        assert same.stdout == ""
        assert "every decision would have been the same" in same.stderr

    def test_what_the_fleet_has_is_in_force_and_not_what_the_files_say(self, check, bootstrap, topic_prefix):
        document = dict(candidate(read(Path("absent"), Path("absent")))) | {"policy_bars_1d": ["alpaca"]}
        message = ControlMessage(
            digest=digest(document), document=document, changed=(), actor="", ts_sent=SystemClock().now_ns()
        )
        forged = message.model_copy(update={"document": document | {"policy_bars_1d": ["iex"]}})
        values = [b"no message", message.model_dump_json().encode(), forged.model_dump_json().encode()]
        records.write(bootstrap, topic_prefix + CONTROL.name, [(0, b"settings", v) for v in values])
        self.outcomes(bootstrap, topic_prefix, ("polygon", "ok"))
        time.sleep(0.005)
        self.outcomes(bootstrap, topic_prefix, ("polygon", "ok"))
        against = json.loads(check("--against", "15m", "--json").stdout)["against"]
        assert against["in_force"] == f"2-{digest(document)[:12]}"
        assert against["changed"] == ["policy_bars_1d"]
        assert [(d["kind"], d["now_first"], d["new_first"]) for d in against["differences"]] == [
            ("bars_1d", "alpaca", "polygon")
        ]

    def test_what_is_older_is_left_out(self, check, bootstrap, topic_prefix):
        self.outcomes(bootstrap, topic_prefix, ("polygon", "away"), ("polygon", "away"))
        time.sleep(0.005)
        self.outcomes(bootstrap, topic_prefix, ("alpaca", "ok"))
        whole = json.loads(check("--against", "15m", "--json", breaker_trip_failures=2).stdout)["against"]
        assert (whole["outcomes"], len(whole["differences"])) == (3, 3)
        time.sleep(1.1)
        against = json.loads(check("--against", "1s", "--json", breaker_trip_failures=2).stdout)["against"]
        assert (against["outcomes"], against["differences"]) == (0, [])

    def test_no_broker_is_exit_4(self, quick, settings):
        nowhere = settings | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
        done = quick("config", "check", "--against", "15m", settings=nowhere)
        assert (done.returncode, done.stdout) == (4, "")
        assert len(done.stderr.splitlines()) == 1
