"""What `tapeflow produce job` makes of its options and of a file; nothing here needs a broker."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ops.cli import tapeflow
from ops.job_options import numbered
from ops.ticks_file import BLOCK_BYTES
from schemas.decode_jobs import MAX_JOB_BYTES, examine_job
from schemas.jobs import BackfillJob, BarsFetchJob, Job, QuotesFetchJob, encode_job, fixture_bars_job

WINDOW = ("--start", "2025-11-20T09:30:00-05:00", "--end", "2025-11-20T10:30:00-05:00")
SESSION = ("--session", "2025-11-20")


def run(*args: str, stdin: str | bytes = "") -> Result:
    """Run `tapeflow produce job ... --dry-run`."""
    return CliRunner().invoke(tapeflow, ["produce", "job", *args, "--dry-run"], input=stdin)


def made(*args: str, stdin: str = "") -> list[Any]:
    """Return the jobs that options make, as a worker would read them."""
    done = run(*args, stdin=stdin)
    assert done.exit_code == 0, done.output
    return [examine_job(line.encode()) for line in done.stdout.splitlines()]


def test_every_option_of_bars_is_in_the_job():
    (job,) = made(
        "bars",
        *("--symbols", "AAPL, MSFT,", "--interval", "5m", "--adjustment", "split", "--coverage", "iex"),
        *("--regular", "--allow-downgrade", "--provider-hint", "alpaca", "--job-id", "morning-1"),
        *("--requested-at", "2025-11-21T08:00:00Z"),
        *WINDOW,
    )
    assert job == BarsFetchJob.model_validate(
        {
            "job_id": "morning-1",
            "symbols": ["AAPL", "MSFT"],
            "interval": "5m",
            "window": {"start": "2025-11-20T14:30:00Z", "end": "2025-11-20T15:30:00Z"},
            "adjustment": "split",
            "coverage": "iex",
            "extended_hours": False,
            "allow_downgrade": True,
            "provider_hint": "alpaca",
            "requested_at": "2025-11-21T08:00:00Z",
        }
    )


def test_what_is_not_said_is_what_the_contract_says():
    (job,) = made("bars", "--symbols", "AAPL", *SESSION)
    plain = BarsFetchJob(job_id="x", symbols=("AAPL",), interval="1m", window=job.window)
    assert job.model_dump(exclude={"job_id", "requested_at"}) == plain.model_dump(
        exclude={"job_id", "requested_at"}
    )
    assert job.requested_at is not None
    (quotes,) = made("quotes", "--symbols", "AAPL")
    assert isinstance(quotes, QuotesFetchJob)
    assert (quotes.window, quotes.coverage, quotes.allow_downgrade) == (None, "consolidated", False)


def test_every_option_of_quotes_is_in_the_job():
    (job,) = made(
        "quotes",
        *("--symbols", "AAPL", "--coverage", "iex", "--allow-downgrade", "--provider-hint", "iex"),
        *("--job-id", "q-1", *WINDOW),
    )
    assert isinstance(job, QuotesFetchJob)
    assert job.window is not None
    assert (job.window.start, job.window.end) == (
        datetime(2025, 11, 20, 14, 30, tzinfo=UTC),
        datetime(2025, 11, 20, 15, 30, tzinfo=UTC),
    )
    assert (job.job_id, job.coverage, job.allow_downgrade, job.provider_hint) == ("q-1", "iex", True, "iex")


def test_a_backfill_is_one_job_a_symbol():
    common = ("--interval", "1h", "--priority", "T0", "--reason", "outage of the 20th", *SESSION)
    jobs = made("backfill", "--symbols", "AAPL,BRK.B", "--job-id", "hole", *common)
    assert all(isinstance(job, BackfillJob) for job in jobs)
    assert [(j.job_id, j.symbol) for j in jobs] == [("hole-1", "AAPL"), ("hole-2", "BRK.B")]
    assert {(j.interval, j.priority, j.reason) for j in jobs} == {("1h", "T0", "outage of the 20th")}
    (job,) = made("backfill", "--symbols", "AAPL", "--job-id", "hole", "--provider-hint", "iex", *SESSION)
    assert (job.job_id, job.priority, job.provider_hint) == ("hole", "T1", "iex")


def test_new_jobs_have_new_ids():
    ids = {made("quotes", "--symbols", "AAPL")[0].job_id for _ in range(3)}
    assert len(ids) == 3
    assert numbered("x", 1) == ["x"]


@pytest.mark.parametrize(
    ("day", "daily", "start", "end"),
    [
        ("2025-11-20", False, "2025-11-20T14:30:00Z", "2025-11-20T21:00:00Z"),
        ("2025-07-01", False, "2025-07-01T13:30:00Z", "2025-07-01T20:00:00Z"),
        # a daily bar starts at midnight in New York: the regular hours would hold none
        ("2025-11-20", True, "2025-11-20T05:00:00Z", "2025-11-21T05:00:00Z"),
        ("2025-07-01", True, "2025-07-01T04:00:00Z", "2025-07-02T04:00:00Z"),
    ],
)
def test_a_session_is_of_new_york(day, daily, start, end):
    (job,) = made("bars", "--symbols", "A", "--session", day, "--interval", "1d" if daily else "30m")
    assert (job.window.start, job.window.end) == (
        datetime.fromisoformat(start),
        datetime.fromisoformat(end),
    )


def test_a_file_of_symbols_may_be_commented(tmp_path: Path):
    path = tmp_path / "symbols.txt"
    path.write_text("# tech\nAAPL, MSFT # two\n\nBRK.B\n")
    (job,) = made("bars", "--symbols-file", str(path), "--symbols", "TSLA", *SESSION)
    assert job.symbols == ("TSLA", "AAPL", "MSFT", "BRK.B")
    (job,) = made("quotes", "--symbols-file", "-", stdin="AAPL\nMSFT\n")
    assert job.symbols == ("AAPL", "MSFT")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["bars", *SESSION], "name at least one symbol: --symbols AAPL,MSFT"),
        (["bars", "--symbols", ",", *SESSION], "name at least one symbol"),
        (["bars", "--symbols", "AAPL"], "which window? --start and --end, or --session"),
        (["backfill", "--symbols", "AAPL"], "which window?"),
        (["bars", "--symbols", "AAPL", "--start", "2025-11-20T14:30Z"], "--start and --end belong together"),
        (["bars", "--symbols", "AAPL", *SESSION, *WINDOW], "--session is a window itself"),
        (["bars", "--symbols", "AAPL", "--session", "2025-11-22"], "--session 2025-11-22 is a Saturday"),
        (["bars", "--symbols", "AAPL", "--session", "22.11.2025"], "--session"),
        (["bars", "--symbols", "aapl", *SESSION], "symbols.0: "),
        (["bars", "--symbols", "AAPL,AAPL", *SESSION], "symbols: AAPL is there twice"),
        (
            ["bars", "--symbols", "AAPL", "--start", "2025-11-20T14:30", "--end", "2025-11-20T15:00"],
            "window.start: Input should be a time with its zone",
        ),
        (
            ["bars", "--symbols", "A", "--start", "2025-11-20T15:30Z", "--end", "2025-11-20T14:30Z"],
            "window: start should be before end",
        ),
        (["quotes", "--symbols", "AAPL", "--job-id", "a b"], "job_id: "),
        (["quotes", "--symbols", "AAPL", "--requested-at", "noon"], "requested_at: "),
        (["backfill", "--symbols", "AAPL", "--reason", "two\nlines", *SESSION], "reason: "),
        (["bars", "--symbols", "AAPL", "--interval", "2m", *SESSION], "--interval"),
        (["bars", "--symbols", "AAPL", "--provider-hint", "yahoo", *SESSION], "--provider-hint"),
        (["quotes", "--symbols", "AAPL", "--timeout", "0"], "--timeout"),
        (["send", "absent.ndjson"], "absent.ndjson"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_that_names_the_field(args, words):
    done = run(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_symbols_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "symbols.txt"
    path.write_bytes(b"\xff\xfe")
    done = run("quotes", "--symbols-file", str(path))
    assert done.exit_code == 2
    assert "is not UTF-8" in done.stderr


def test_the_same_options_in_json():
    done = run("quotes", "--symbols", "AAPL", "--job-id", "q-1", "--json")
    report = json.loads(done.stdout)
    (job,) = report["jobs"]
    assert (report["schema_version"], report["topic"]) == (1, "md.jobs.v1")
    assert (report["sent"], report["bad"], report["dry_run"]) == (0, 0, True)
    assert isinstance(examine_job(json.dumps(job).encode()), QuotesFetchJob)


def line(job: Job | None = None, **changes: Any) -> str:
    """Return a job as a line of a file."""
    return json.dumps(json.loads(encode_job(job or fixture_bars_job())) | changes)


class TestFile:
    def test_good_lines_go_and_bad_ones_are_told(self, tmp_path):
        path = tmp_path / "jobs.ndjson"
        lines = [
            line(job_id="a"),
            "",
            line(job_id="b", interval="2m"),
            "{no json",
            line(job_id="c", symbols=[]),
            line(job_id="d", colour="red"),
            line(job_id="a", interval="5m"),
            line(job_id="e") + "\r",
        ]
        path.write_text("\n".join(lines), newline="")
        done = run("send", str(path))
        assert [json.loads(text)["job_id"] for text in done.stdout.splitlines()] == ["a", "e"]
        told = [text for text in done.stderr.splitlines() if text.startswith("line ")]
        assert [text.split(": ")[:2] for text in told] == [
            ["line 3", "interval"],
            ["line 4", "value"],
            ["line 5", "symbols"],
            ["line 6", "colour"],
            ["line 7", "job_id"],
        ]
        assert told[-1] == "line 7: job_id: a is that of line 1, a new job has a new id"
        assert done.exception is not None
        assert str(done.exception) == "5 of 7 jobs are bad and were not sent"
        assert getattr(done.exception, "exit_code", None) == 5

    def test_what_it_prints_it_takes(self, tmp_path):
        first = run("bars", "--symbols", "AAPL", *SESSION)
        path = tmp_path / "jobs.ndjson"
        path.write_text(first.stdout)
        again = run("send", str(path))
        assert (again.exit_code, again.stdout) == (0, first.stdout)

    def test_more_bad_lines_than_anybody_reads_are_counted(self, tmp_path):
        path = tmp_path / "jobs.ndjson"
        path.write_text("{}\n" * 50)
        done = run("send", str(path))
        told = [text for text in done.stderr.splitlines() if text.startswith("line ")]
        assert [text.partition(":")[0] for text in told] == [f"line {n}" for n in range(1, 21)]
        assert "... and 30 more bad lines" in done.stderr

    def test_lines_are_counted_through_the_whole_file(self, tmp_path):
        path = tmp_path / "jobs.ndjson"
        lines = [line(job_id=f"j-{n}") for n in range(3_000)]
        path.write_text("\n".join([*lines, "{}", line(job_id="j-1")]))
        done = run("send", str(path))
        assert path.stat().st_size > 2 * BLOCK_BYTES
        told = [text for text in done.stderr.splitlines() if text.startswith("line ")]
        assert told == [
            "line 3001: job_type: Field required",
            "line 3002: job_id: j-1 is that of line 2, a new job has a new id",
        ]

    def test_a_job_larger_than_a_worker_takes_is_told(self, tmp_path):
        path = tmp_path / "jobs.ndjson"
        path.write_text(line() + " " * MAX_JOB_BYTES + "\n" + line(job_id="next") + "\n")
        done = run("send", str(path))
        assert "line 1: value: " in done.stderr
        assert [json.loads(text)["job_id"] for text in done.stdout.splitlines()] == ["next"]

    def test_an_empty_file_is_no_jobs(self, tmp_path):
        path = tmp_path / "jobs.ndjson"
        path.touch()
        done = run("send", str(path))
        assert (done.exit_code, done.stdout) == (0, "")


def test_a_dry_run_reads_no_settings(monkeypatch):
    monkeypatch.setenv("WEB_PORT", "nonsense")
    assert run("quotes", "--symbols", "AAPL").exit_code == 0


@pytest.mark.parametrize("first", [["--dry-run"], ["ticks"], ["ticks", "--dry-run"], []])
def test_a_file_of_trades_needs_no_subcommand(tmp_path, first):
    path = tmp_path / "trades.ndjson"
    trade = {"symbol": "A", "ts_event": 1762795433000000000, "price": 1, "size": 1, "provider": "a"}
    path.write_text(json.dumps(trade))
    done = CliRunner().invoke(tapeflow, ["produce", *first, str(path), "--dry-run", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["rows"]) == (0, 1), done.output
