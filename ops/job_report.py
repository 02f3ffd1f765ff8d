"""What ``tapeflow jobs`` prints: a job, its attempts, what of it waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from ops.tables import show_table
from sinks.job_list import ListedJob
from sinks.jobs import JobAttempt, JobStatus, JobWaits

ATTEMPTS = ("at", "provider", "outcome", "rows", "symbols", "ms", "detail")
WAITING = ("what", "coverage", "not before", "held by", "why")
JOBS = ("job_id", "type", "state", "rows", "requests", "submitted", "finished", "detail")
#: symbols of a request that are named; the others are counted
NAMED = 3


def show_job(job: JobStatus) -> None:
    """Print everything that is known of a job, for people."""
    click.echo(line_of(job))
    click.echo(f"record {job.partition}@{job.offset}, submitted {_time(job.submitted_at)}, {_ended(job)}")
    for columns, rows in (
        (ATTEMPTS, [_attempt(a) for a in job.attempts]),
        (WAITING, [_waiting(w) for w in job.waiting]),
    ):
        if rows:
            click.echo()
            show_table(columns, rows)


def line_of(job: JobStatus) -> str:
    """Return one line of a job: state, rows, attempts, and why it is not done."""
    parts = [job.state, _count(job.rows, "row"), _count(job.requests, "attempt")]
    if job.waiting:
        healing = sum(w.heal for w in job.waiting)
        blocking = len(job.waiting) - healing
        parts += [f"{_count(blocking, 'request')} waiting"] if blocking else []
        parts += [f"{_count(healing, 'request')} to be replaced by a better source"] if healing else []
    parts += [f"{_count(count, 'piece')} {state}" for state, count in job.backfill.items()]
    line = f"{job.job_id}: {', '.join(parts)}"
    # of what waits the reason is renewed with each try, the job's own is of when it was queued
    why = next((w.why for w in job.waiting if not w.heal and w.why), job.detail)
    return f"{line}: {why}" if why else line


def show_jobs(jobs: Sequence[ListedJob]) -> None:
    """Print one line a job, for people."""
    show_table(
        JOBS,
        [
            (
                job.job_id,
                job.job_type,
                job.state,
                f"{job.rows:,}",
                f"{job.requests:,}",
                _time(job.submitted_at),
                _time(job.finished_at) if job.finished_at else "-",
                job.detail,
            )
            for job in jobs
        ],
    )


def job_json(job: ListedJob | JobStatus) -> dict[str, Any]:
    """Return a job as JSON."""
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "state": job.state,
        "partition": job.partition,
        "offset": job.offset,
        "submitted_at": _iso(job.submitted_at),
        "finished_at": _iso(job.finished_at),
        "updated_at": _iso(job.updated_at),
        "rows": job.rows,
        "requests": job.requests,
        "detail": job.detail,
    }


def status_json(job: JobStatus) -> dict[str, Any]:
    """Return everything that is known of a job as JSON."""
    return {
        "job": {**job_json(job), "document": job.document},
        "attempts": [
            {
                "at": _iso(a.at),
                "provider": a.provider,
                "outcome": a.outcome,
                "rows": a.rows,
                "symbols": a.symbols,
                "latency_ms": a.latency_ms,
                "detail": a.detail,
            }
            for a in job.attempts
        ],
        "waiting": [
            {
                "request": w.request,
                "coverage": w.coverage,
                "allow_downgrade": w.allow_downgrade,
                "hint": w.hint,
                "heal": w.heal,
                "not_before": _iso(w.not_before),
                "leases": w.leases,
                "lease_owner": w.lease_owner,
                "lease_until": _iso(w.lease_until),
                "why": w.why,
            }
            for w in job.waiting
        ],
        "backfill": dict(job.backfill),
    }


def _attempt(a: JobAttempt) -> tuple[str, ...]:
    return (
        _time(a.at),
        a.provider,
        a.outcome,
        f"{a.rows:,}",
        f"{a.symbols:,}",
        f"{a.latency_ms:,.1f}",
        a.detail,
    )


def _waiting(w: JobWaits) -> tuple[str, ...]:
    what = "to be replaced" if w.heal else "to be had"
    return f"{_symbols(w.request)} {what}", w.coverage, _time(w.not_before), w.lease_owner or "-", w.why


def _symbols(request: dict[str, Any]) -> str:
    symbols = request.get("symbols") or []
    more = f" and {len(symbols) - NAMED:,} more" if len(symbols) > NAMED else ""
    return f"{', '.join(symbols[:NAMED])}{more}"


def _ended(job: JobStatus) -> str:
    if job.finished_at is None:
        return f"last touched {_time(job.updated_at)}"
    return f"finished {_time(job.finished_at)}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
