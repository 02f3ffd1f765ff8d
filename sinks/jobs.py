"""``jobs`` and what belongs to them, as somebody reads them who asks what became of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, dict_row

from sinks.database import Connection


@dataclass(frozen=True, slots=True)
class JobAttempt:
    """One answer of a provider, or the lack of one."""

    at: datetime
    """When it ended, UTC."""
    provider: str
    outcome: str
    rows: int
    symbols: int
    latency_ms: float
    detail: str


@dataclass(frozen=True, slots=True)
class JobWaits:
    """A request of a job that waits for a provider that can serve it."""

    waiting_id: int
    request: dict[str, Any]
    coverage: str
    allow_downgrade: bool
    hint: str | None
    heal: bool
    """The job does not wait for it: rows of lesser coverage are there."""
    why: str
    not_before: datetime
    leases: int
    lease_owner: str | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What is known of a job; times with zone."""

    job_id: str
    job_type: str
    state: str
    """`waiting`, `done` or `failed`."""
    partition: int
    offset: int
    submitted_at: datetime
    finished_at: datetime | None
    updated_at: datetime
    rows: int
    """Bars or quotes that providers delivered."""
    requests: int
    detail: str
    document: dict[str, Any]
    attempts: tuple[JobAttempt, ...]
    """The oldest first."""
    waiting: tuple[JobWaits, ...]
    backfill: Mapping[str, int]
    """Pieces of a backfill by their state: `queued`, `leased`, `done`, `failed`, `cancelled`."""


JOB = """
    select job_id, job_type, state, part as partition, record_offset as "offset", submitted_at, finished_at,
           updated_at, rows, requests, detail, document
    from jobs where job_id = %s
"""
ATTEMPTS = """
    select at, provider, outcome, rows, symbols, latency_ms, detail
    from job_attempts where job_id = %s order by at, position
"""
WAITING = """
    select waiting_id, request, coverage, allow_downgrade, hint, heal, why, not_before, leases, lease_owner,
           lease_until
    from waiting_requests where job_id = %s order by heal, waiting_id
"""
BACKFILL = "select state, count(*) from backfill_jobs where request_id = %s group by state order by state"


def read(connection: Connection, job_id: str) -> JobStatus | None:
    """Return what became of a job; None if none of that name has been run yet.

    Args:
        connection: in no transaction.
        job_id: of the job.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        job = connection.cursor(row_factory=dict_row).execute(JOB, (job_id,)).fetchone()
        if job is None:
            return None
        attempts = connection.cursor(row_factory=class_row(JobAttempt)).execute(ATTEMPTS, (job_id,))
        waiting = connection.cursor(row_factory=class_row(JobWaits)).execute(WAITING, (job_id,))
        pieces = connection.execute(BACKFILL, (job_id,))
        return JobStatus(
            **job, attempts=tuple(attempts), waiting=tuple(waiting), backfill=dict(pieces.fetchall())
        )


#: attempts go with their job
PURGE = """
    delete from jobs where job_id in (
      select job_id from jobs j
      where updated_at < now() - %s * interval '1 day' and state <> 'waiting'
        and not exists (select from waiting_requests w where w.job_id = j.job_id)
      order by updated_at limit 5000)
"""


def purge(connection: Connection, older_than_days: int) -> int:
    """Forget jobs that ended so many days ago, some thousands at a time, and commit; return how many.

    Their rows of bars and quotes stay.
    """
    count = connection.execute(PURGE, (older_than_days,)).rowcount
    connection.commit()
    return count
