"""What jobs leave, many of them in one transaction: rows, attempts, what still waits, their state.

A job may be run twice, and a transaction whose commit was not heard of is repeated: neither changes anything
but what is newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import psycopg

from schemas.errors import Reason
from schemas.outcome import Outcome
from schemas.provider import Coverage, ProviderName
from sinks import backfills, vendor_bars, vendor_quotes, voids
from sinks.backfills import BackfillRow
from sinks.database import Connection, poison_reason
from sinks.nanos import to_time
from sinks.vendor_bars import VendorBars
from sinks.vendor_quotes import VendorQuotes
from sinks.voids import Void


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job and what became of it; times in nanoseconds since the epoch."""

    job_id: str
    job_type: str
    state: Literal["done", "waiting", "failed"]
    """Of a waiting request that is finished: of that request alone; the job's own state follows."""
    partition: int
    offset: int
    submitted_ns: int
    """When the broker received it: of two records with one id the later one counts."""
    finished_ns: int | None
    detail: str
    document: bytes
    """The JSON as it came; not looked at when a waiting request is finished."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One answer of a provider, or the lack of one."""

    provider: ProviderName
    outcome: Outcome
    rows: int
    latency_ms: float
    at_ns: int
    detail: str
    symbols: int


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A request that nobody can serve now."""

    request: dict[str, Any]
    why: str
    heal: bool
    coverage: Coverage
    allow_downgrade: bool
    hint: ProviderName | None
    not_before_ns: int


@dataclass(frozen=True, slots=True)
class JobResult:
    """Everything that one run of a job leaves, or one run of a request of it that waited."""

    job: JobRow
    attempts: Sequence[AttemptRow] = ()
    bars: Sequence[VendorBars] = ()
    quotes: Sequence[VendorQuotes] = ()
    waiting: Sequence[WaitingRow] = ()
    backfill: BackfillRow | None = None
    voids: Sequence[Void] = ()
    """Where healing is complete."""
    finishes: int | None = None
    """The waiting request that was run; None: the record of the job."""

    @property
    def rows(self) -> int:
        """How many rows it brings."""
        return sum(len(part.rows) for part in self.bars) + sum(len(part.rows) for part in self.quotes)


class _Job(msgspec.Struct, frozen=True, gc=False):
    n: int
    job_id: str
    job_type: str
    state: str
    part: int
    record_offset: int
    submitted_ns: int
    finished_ns: int | None
    rows: int
    requests: int
    detail: str
    document: msgspec.Raw
    finishes: int | None


class _Attempt(msgspec.Struct, frozen=True, gc=False):
    n: int
    job_id: str
    position: int
    provider: str
    outcome: str
    rows: int
    symbols: int
    latency_ms: float
    at_ns: int
    detail: str


class _Waiting(msgspec.Struct, frozen=True):
    n: int
    job_id: str
    request: dict[str, Any]
    coverage: str
    allow_downgrade: bool
    hint: str | None
    heal: bool
    why: str
    not_before_ns: int


class _Ended(msgspec.Struct, frozen=True, gc=False):
    job_id: str
    failed: bool = False
    rows: int = 0
    requests: int = 0
    detail: str = ""
    finished_ns: int | None = None


_EMPTY = msgspec.Raw(b"{}")

PROBE = "select from jobs, job_attempts, waiting_requests limit 0"
#: who finishes the last two requests of a job at the same time must not both see the other's as waiting
LOCK = "select from jobs where job_id = any(%s) order by job_id for update"
#: `begun`: runs of records that count: later than what is known, and no step back from done.
#: `ended`: requests that still waited: of two workers that served one, the first counts
STORE = f"""
    with given as materialized (
      select * from json_to_recordset(%(jobs)s) as g(
        n int4, job_id text, job_type text, state text, part int4, record_offset int8, submitted_ns int8,
        finished_ns int8, rows int8, requests int4, detail text, document jsonb, finishes int8)),
    fresh as (
      select distinct on (job_id) * from given where finishes is null
      order by job_id, submitted_ns desc, record_offset desc, n desc),
    begun as (
      insert into jobs as j (job_id, job_type, state, part, record_offset, submitted_at, finished_at,
                             rows, requests, detail, document)
      select job_id, job_type, state, part, record_offset, {to_time("submitted_ns")},
             {to_time("finished_ns")}, rows, requests, detail, document
      from fresh order by job_id
      on conflict (job_id) do update set
        job_type = excluded.job_type, state = excluded.state, part = excluded.part,
        record_offset = excluded.record_offset, submitted_at = excluded.submitted_at,
        finished_at = excluded.finished_at, rows = excluded.rows, requests = excluded.requests,
        detail = excluded.detail, document = excluded.document, updated_at = now()
      where (excluded.submitted_at, excluded.record_offset) > (j.submitted_at, j.record_offset)
         or (excluded.submitted_at, excluded.record_offset) = (j.submitted_at, j.record_offset)
            and (j.state <> 'done' or excluded.state = 'done')
      returning j.job_id),
    gone as (
      delete from waiting_requests w using begun b where w.job_id = b.job_id),
    ended as (
      delete from waiting_requests w using given g where w.waiting_id = g.finishes returning g.n, w.heal),
    counts as materialized (
      select f.n from fresh f join begun using (job_id) union all select n from ended),
    tried as (
      insert into job_attempts
        (job_id, at, provider, position, outcome, rows, symbols, latency_ms, detail)
      select a.job_id, {to_time("a.at_ns")}, a.provider, a.position, a.outcome, a.rows, a.symbols,
             a.latency_ms, a.detail
      from json_to_recordset(%(attempts)s) as a(
        n int4, job_id text, position int2, provider text, outcome text, rows int8, symbols int4,
        latency_ms float8, at_ns int8, detail text)
      join given g using (n)
      where g.finishes is null or n in (select n from ended)
      on conflict do nothing),
    left_over as (
      insert into waiting_requests (job_id, request, coverage, allow_downgrade, hint, heal, why, not_before)
      select w.job_id, w.request, w.coverage, w.allow_downgrade, w.hint, w.heal, w.why,
             {to_time("w.not_before_ns")}
      from json_to_recordset(%(waiting)s) as w(
        n int4, job_id text, request jsonb, coverage text, allow_downgrade bool, hint text, heal bool,
        why text, not_before_ns int8)
      join counts using (n))
    select n, heal from ended order by n
"""  # noqa: S608 - constants of these modules
#: a job that failed stays so; it waits while something of it does. What heals does neither to it
FINISH = f"""
    update jobs j set
      state = s.state, rows = j.rows + g.rows, requests = j.requests + g.requests, updated_at = now(),
      finished_at = case when s.state <> 'waiting'
        then coalesce(j.finished_at, {to_time("g.finished_ns")}, now()) end,
      detail = case when s.state = 'waiting' and g.detail = '' or j.state = 'failed' then j.detail
        else g.detail end
    from json_to_recordset(%s) as g(
      job_id text, failed bool, rows int8, requests int4, detail text, finished_ns int8)
    join (
      select was.job_id, was.state = 'failed' as failed, exists (
        select from waiting_requests w where w.job_id = was.job_id and not w.heal) as waits
      from jobs was where was.job_id = any(%s)) as k using (job_id)
    cross join lateral (
      select case when k.failed or g.failed then 'failed' when k.waits then 'waiting' else 'done' end
    ) as s(state)
    where j.job_id = g.job_id
"""  # noqa: S608 - constants of these modules


def prepare(connection: Connection) -> None:
    """Make what `store` needs on a new connection."""
    vendor_bars.prepare(connection)
    vendor_quotes.prepare(connection)


def store(connection: Connection, results: Sequence[JobResult], places: Sequence[str]) -> None:
    """Store everything and commit.

    Args:
        connection: prepared.
        results: of any jobs, in any order, several of one job among them.
        places: PROVIDER_RANK, the best provider first.

    Raises:
        psycopg.Error: nothing was stored; of class 22 or 23 when something of a job is refused.
    """
    _write(connection, results, places)
    connection.commit()


def refused(
    connection: Connection, results: Sequence[JobResult], places: Sequence[str]
) -> list[tuple[JobResult, Reason, str]]:
    """Return which of the jobs the database refuses, found by halving; nothing is stored.

    Raises:
        psycopg.Error: for another reason than the data.
    """
    if not results:
        return []
    try:
        _write(connection, results, places)
    except psycopg.Error as exc:
        reason = poison_reason(exc)
        if reason is None:
            raise
        connection.rollback()
        if len(results) == 1:
            return [(results[0], reason, exc.diag.message_primary or str(exc))]
        half = len(results) // 2
        return refused(connection, results[:half], places) + refused(connection, results[half:], places)
    connection.rollback()
    return []


def _write(connection: Connection, results: Sequence[JobResult], places: Sequence[str]) -> None:
    ends = [result for result in results if result.finishes is not None]
    if ends:
        connection.execute(LOCK, ([result.job.job_id for result in results],))
    if bars := [bars for result in results for bars in result.bars]:
        vendor_bars.write(connection, bars, places)
    if void := [void for result in results for void in result.voids]:
        voids.write(connection, void)
    if quotes := [quotes for result in results for quotes in result.quotes]:
        vendor_quotes.write(connection, quotes, places)
    if windows := [result.backfill for result in results if result.backfill is not None]:
        backfills.write(connection, windows)
    given = {
        "jobs": _json(_job(n, result) for n, result in enumerate(results)),
        "attempts": _json(_attempts(results)),
        "waiting": _json(_waiting(results)),
    }
    ended = connection.execute(STORE, given).fetchall()
    if ended:
        each = _ended((results[n], heal) for n, heal in ended)
        connection.execute(FINISH, (_json(each.values()), list(each)))


def _json(rows: Iterable[msgspec.Struct]) -> str:
    return msgspec.json.encode(list(rows)).decode()


def _job(n: int, result: JobResult) -> _Job:
    job = result.job
    return _Job(
        n=n,
        job_id=job.job_id,
        job_type=job.job_type,
        state=job.state,
        part=job.partition,
        record_offset=job.offset,
        submitted_ns=job.submitted_ns,
        finished_ns=job.finished_ns,
        rows=result.rows,
        requests=len(result.attempts),
        detail=job.detail,
        document=msgspec.Raw(job.document) if result.finishes is None else _EMPTY,
        finishes=result.finishes,
    )


def _attempts(results: Sequence[JobResult]) -> Iterable[_Attempt]:
    return (
        _Attempt(
            n, r.job.job_id, at, a.provider, a.outcome, a.rows, a.symbols, a.latency_ms, a.at_ns, a.detail
        )
        for n, r in enumerate(results)
        for at, a in enumerate(r.attempts)
    )


def _waiting(results: Sequence[JobResult]) -> Iterable[_Waiting]:
    return (
        _Waiting(
            n,
            r.job.job_id,
            w.request,
            w.coverage,
            w.allow_downgrade,
            w.hint,
            w.heal,
            w.why,
            w.not_before_ns,
        )
        for n, r in enumerate(results)
        for w in r.waiting
    )


def _ended(results: Iterable[tuple[JobResult, bool]]) -> dict[str, _Ended]:
    """Return what the jobs gain whose requests were served, or only healed: one row a job."""
    each: dict[str, _Ended] = {}
    for result, heal in results:
        job = result.job
        was = each.get(job.job_id) or _Ended(job.job_id)
        each[job.job_id] = _Ended(
            job.job_id,
            was.failed or (job.state == "failed" and not heal),
            was.rows + result.rows,
            was.requests + len(result.attempts),
            job.detail or was.detail,
            job.finished_ns or was.finished_ns,
        )
    return each
