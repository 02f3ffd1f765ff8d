"""Jobs by the line, for whoever looks for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sinks.database import Connection

LIST = """
    select job_id, job_type, state, part, record_offset, submitted_at, finished_at, updated_at, rows,
           requests, detail
    from jobs where %(state)s::text is null or state = %(state)s
    order by updated_at desc, job_id limit %(limit)s
"""


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job without its attempts and without what waits; the fields are those of `sinks.jobs.JobStatus`."""

    job_id: str
    job_type: str
    state: str
    partition: int
    offset: int
    submitted_at: datetime
    finished_at: datetime | None
    updated_at: datetime
    rows: int
    requests: int
    detail: str


def latest(connection: Connection, state: str | None, limit: int) -> list[ListedJob]:
    """Return the jobs that changed last, the last one first.

    Args:
        connection: to read by.
        state: only these: `waiting`, `done` or `failed`; None for all.
        limit: so many at most.
    """
    rows = connection.execute(LIST, {"state": state, "limit": limit}).fetchall()
    return [ListedJob(*row) for row in rows]
