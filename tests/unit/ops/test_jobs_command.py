"""What `tapeflow jobs` tells of a job; its database is in tests/integration/test_job_commands.py."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import tapeflow
from ops.job_report import job_json, line_of, show_job, status_json
from ops.tables import show_table
from sinks.jobs import JobAttempt, JobStatus, JobWaits

AT = datetime(2025, 11, 20, 15, tzinfo=UTC)
DONE = JobStatus(
    job_id="morning-1",
    job_type="bars",
    state="done",
    partition=3,
    offset=17,
    submitted_at=AT,
    finished_at=AT + timedelta(seconds=2),
    updated_at=AT,
    rows=1_560,
    requests=1,
    detail="",
    document={},
    attempts=(JobAttempt(AT, "polygon", "ok", 1_560, 2, 1_234.56, ""),),
    waiting=(),
    backfill={},
)


def waits(why: str, *, heal: bool = False, symbols: tuple[str, ...] = ("AAPL",)) -> JobWaits:
    request: dict[str, Any] = {"symbols": list(symbols)}
    return JobWaits(1, request, "consolidated", False, None, heal, why, AT, 0, None, None)


def test_a_job_that_is_done_is_one_line():
    assert line_of(DONE) == "morning-1: done, 1,560 rows, 1 attempt"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {
                "state": "waiting",
                "detail": "at first",
                "waiting": (waits("polygon is open"), waits("as well")),
            },
            "waiting, 1,560 rows, 1 attempt, 2 requests waiting: polygon is open",
        ),
        (
            {"waiting": (waits("polygon is open", heal=True),), "detail": "iex has been taken"},
            "done, 1,560 rows, 1 attempt, 1 request to be replaced by a better source: iex has been taken",
        ),
        (
            {"state": "failed", "rows": 1, "requests": 2, "detail": "polygon: lacks coverage"},
            "failed, 1 row, 2 attempts: polygon: lacks coverage",
        ),
        (
            {"state": "waiting", "backfill": {"done": 1, "queued": 4}},
            "waiting, 1,560 rows, 1 attempt, 1 piece done, 4 pieces queued",
        ),
    ],
)
def test_what_is_not_plainly_done_says_why(changes, line):
    assert line_of(replace(DONE, **changes)) == f"morning-1: {line}"


def test_the_attempts_are_a_table(capsys):
    show_job(DONE)
    assert capsys.readouterr().out.splitlines() == [
        "morning-1: done, 1,560 rows, 1 attempt",
        "record 3@17, submitted 2025-11-20 15:00:00Z, finished 2025-11-20 15:00:02Z",
        "",
        "at                    provider  outcome  rows   symbols  ms       detail",
        "2025-11-20 15:00:00Z  polygon   ok       1,560  2        1,234.6",
    ]


def test_symbols_of_what_waits_are_named_and_counted(capsys):
    show_job(replace(DONE, attempts=(), waiting=(waits("why", symbols=("A", "B", "C", "D", "E")),)))
    assert capsys.readouterr().out.splitlines()[-1].startswith("A, B, C and 2 more to be had  consolidated")


def test_times_are_of_utc_whatever_the_session_of_the_database_has():
    local = replace(DONE, submitted_at=AT.astimezone(timezone(timedelta(hours=-5))))
    assert job_json(local)["submitted_at"] == "2025-11-20T15:00:00+00:00"
    assert status_json(local)["attempts"][0]["at"] == "2025-11-20T15:00:00+00:00"


def test_on_a_terminal_it_has_lines_and_obeys_no_cell(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    show_table(("who", "what"), [("polygon", "[bold]503[/bold] \x1b[2J")])
    out = capsys.readouterr().out
    assert "[bold]503[/bold] \ufffd[2J" in out
    assert out.count("\n") == 5


def test_no_rows_are_no_table(capsys):
    show_table(("who",), [])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("args", [["list", "--state", "lost"], ["list", "--limit", "0"], ["status"]])
def test_what_cannot_be_meant_is_a_usage_error(args):
    assert CliRunner().invoke(tapeflow, ["jobs", *args]).exit_code == 2
