"""What a job may say, as operators know it: the names here are theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.decode_jobs import examine_job
from schemas.errors import Poison, Reason
from schemas.jobs import (
    BackfillJob,
    BarsFetchJob,
    QuotesFetchJob,
    TimeWindow,
    encode_job,
    fixture_backfill_job,
    fixture_bars_job,
    fixture_quotes_job,
)

OPEN = datetime(2025, 1, 6, 14, 30, tzinfo=UTC)
CLOSE = datetime(2025, 1, 6, 21, tzinfo=UTC)
WINDOW = {"start": "2025-01-06T09:30:00-05:00", "end": "2025-01-06T21:00:00Z"}
BARS = {
    "job_type": "bars",
    "job_id": "by-hand-1",
    "symbols": ["AAPL", "BRK.B"],
    "interval": "5m",
    "window": WINDOW,
}
QUOTES = {"job_type": "quotes", "job_id": "by-hand-2", "symbols": ["AAPL"]}
BACKFILL = {
    "job_type": "backfill",
    "job_id": "by-hand-3",
    "symbol": "MSFT",
    "interval": "1d",
    "window": WINDOW,
    "priority": "T0",
    "reason": "split not applied",
}


def refusal(job: dict[str, Any]) -> str:
    """Return what a producer is told about a job on the topic."""
    verdict = examine_job(json.dumps(job).encode())
    assert isinstance(verdict, Poison), verdict
    assert verdict.reason is Reason.SCHEMA
    return verdict.detail


def test_bars_fetch_job_valid() -> None:
    written = BarsFetchJob(
        job_id="by-hand-1",
        symbols=("AAPL", "BRK.B"),
        interval="5m",
        window=TimeWindow(start=OPEN, end=CLOSE),
    )
    assert examine_job(json.dumps(BARS).encode()) == written
    assert BarsFetchJob.model_validate_json(json.dumps(BARS)) == written
    assert BarsFetchJob.model_validate(BARS) == written
    assert written.symbols == ("AAPL", "BRK.B")
    assert (written.job_type, written.adjustment, written.coverage) == ("bars", "raw", "consolidated")
    assert written.extended_hours
    assert not written.allow_downgrade


def test_bars_fetch_job_invalid_interval() -> None:
    for interval in ("2m", "1M", "60", "", None, 60):
        with pytest.raises(ValidationError, match="interval"):
            BarsFetchJob.model_validate(BARS | {"interval": interval})
        assert refusal(BARS | {"interval": interval}).startswith("interval: ")
    for interval in ("1m", "5m", "15m", "30m", "1h", "1d"):
        assert isinstance(examine_job(json.dumps(BARS | {"interval": interval}).encode()), BarsFetchJob)


def test_bars_fetch_job_empty_symbols() -> None:
    with pytest.raises(ValidationError, match="symbols"):
        BarsFetchJob(job_id="j", symbols=(), interval="1m", window=TimeWindow(start=OPEN, end=CLOSE))
    assert refusal(BARS | {"symbols": []}) == "symbols: 0 symbols, 1 to 1000 allowed"


def test_bars_fetch_job_too_many_symbols() -> None:
    symbols = [f"S{i}" for i in range(1_001)]
    with pytest.raises(ValidationError, match="symbols"):
        BarsFetchJob.model_validate(BARS | {"symbols": symbols})
    assert refusal(BARS | {"symbols": symbols}) == "symbols: 1001 symbols, 1 to 1000 allowed"
    job = examine_job(json.dumps(BARS | {"symbols": symbols[:1_000]}).encode())
    assert isinstance(job, BarsFetchJob)
    assert len(job.symbols) == 1_000


def test_quotes_fetch_job_valid() -> None:
    latest = QuotesFetchJob(job_id="by-hand-2", symbols=("AAPL",))
    assert examine_job(json.dumps(QUOTES).encode()) == latest
    assert QuotesFetchJob.model_validate_json(json.dumps(QUOTES)) == latest
    assert latest.window is None
    assert (latest.coverage, latest.allow_downgrade) == ("consolidated", False)

    of_a_session = examine_job(json.dumps(QUOTES | {"window": WINDOW}).encode())
    assert isinstance(of_a_session, QuotesFetchJob)
    assert of_a_session.window == TimeWindow(start=OPEN, end=CLOSE)


def test_backfill_job_valid() -> None:
    written = BackfillJob(
        job_id="by-hand-3",
        symbol="MSFT",
        interval="1d",
        window=TimeWindow(start=OPEN, end=CLOSE),
        priority="T0",
        reason="split not applied",
    )
    assert examine_job(json.dumps(BACKFILL).encode()) == written
    assert BackfillJob.model_validate_json(json.dumps(BACKFILL)) == written
    for tier in ("T0", "T1", "T2"):
        job = examine_job(json.dumps(BACKFILL | {"priority": tier}).encode())
        assert isinstance(job, BackfillJob)
        assert job.priority == tier


def test_backfill_job_invalid_priority() -> None:
    for priority in ("T3", "t0", "", "high", 0, None, ["T0"]):
        with pytest.raises(ValidationError, match="priority"):
            BackfillJob.model_validate(BACKFILL | {"priority": priority})
        assert refusal(BACKFILL | {"priority": priority}) == "priority: Input should be 'T0', 'T1' or 'T2'"
    without = {name: value for name, value in BACKFILL.items() if name != "priority"}
    assert refusal(without) == "priority: Field required"


def test_fixture_bars_job() -> None:
    job = fixture_bars_job()
    assert isinstance(job, BarsFetchJob)
    assert job.job_id == "ci-bars-123"
    assert job.window.length == timedelta(hours=6, minutes=30)
    assert job == fixture_bars_job()
    assert encode_job(job) == encode_job(fixture_bars_job())
    assert examine_job(encode_job(job)) == job


def test_fixture_quotes_job() -> None:
    job = fixture_quotes_job()
    assert isinstance(job, QuotesFetchJob)
    assert job.job_id == "ci-quotes-456"
    assert job.window is None
    assert job == fixture_quotes_job()
    assert encode_job(job) == encode_job(fixture_quotes_job())
    assert examine_job(encode_job(job)) == job


def test_fixture_backfill_job() -> None:
    job = fixture_backfill_job()
    assert isinstance(job, BackfillJob)
    assert job.job_id == "ci-backfill-789"
    assert job.priority == "T1"
    assert job == fixture_backfill_job()
    assert encode_job(job) == encode_job(fixture_backfill_job())
    assert examine_job(encode_job(job)) == job


def test_time_window_valid() -> None:
    window = TimeWindow(start=OPEN, end=CLOSE)
    assert window == TimeWindow.model_validate_json(json.dumps(WINDOW))
    assert (window.start_ns, window.end_ns) == (1_736_173_800_000_000_000, 1_736_197_200_000_000_000)
    # half-open: an instant is a window of nothing, a microsecond is one
    with pytest.raises(ValidationError, match="start should be before end"):
        TimeWindow(start=OPEN, end=OPEN)
    with pytest.raises(ValidationError, match="start should be before end"):
        TimeWindow(start=CLOSE, end=OPEN)
    assert TimeWindow(start=OPEN, end=OPEN + timedelta(microseconds=1)).length == timedelta(microseconds=1)
    with pytest.raises(ValidationError, match=r"end\n.*this one is naive"):
        TimeWindow(start=OPEN, end=CLOSE.replace(tzinfo=None))
    assert refusal(BARS | {"window": WINDOW | {"end": "2025-01-06T21:00:00"}}).startswith(
        "window.end: Input should be a time with its zone"
    )


@pytest.mark.parametrize("job", [BARS, QUOTES, BACKFILL], ids=lambda job: job["job_type"])
def test_provider_hint_optional(job: dict[str, Any]) -> None:
    for written in (job, job | {"provider_hint": None}):
        verdict = examine_job(json.dumps(written).encode())
        assert isinstance(verdict, BarsFetchJob | QuotesFetchJob | BackfillJob)
        assert verdict.provider_hint is None
        assert b"provider_hint" not in encode_job(verdict)


@pytest.mark.parametrize("job", [BARS, QUOTES, BACKFILL], ids=lambda job: job["job_type"])
def test_provider_hint_specified(job: dict[str, Any]) -> None:
    for provider in ("polygon", "finnhub", "alpaca", "iex"):
        verdict = examine_job(json.dumps(job | {"provider_hint": provider}).encode())
        assert isinstance(verdict, BarsFetchJob | QuotesFetchJob | BackfillJob)
        assert verdict.provider_hint == provider
        assert examine_job(encode_job(verdict)) == verdict
    for unknown in ("kraken", "Polygon", "", "polygon,alpaca", ["polygon"], 1):
        assert refusal(job | {"provider_hint": unknown}).startswith("provider_hint: ")
