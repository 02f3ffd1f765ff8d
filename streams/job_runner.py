"""A job from its record to the acknowledgement: ask, store, answer for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from faust.types import TP
from mode import Service
from typing_extensions import override

from domain.dlq_limit import PoisonMeter
from providers.serving import Rules, Served, Wants
from schemas.decode_jobs import examine_job
from schemas.errors import Poison, PoisonFlood, Reason
from schemas.jobs import BackfillJob, BarsFetchJob, Job, QuotesFetchJob
from sinks.backfills import BackfillRow
from sinks.job_results import JobResult, JobRow
from streams import job_results
from streams.guard import Diverted, Single, divert
from streams.job_requests import requests
from streams.job_results import JobState
from streams.routing_fields import policies

if TYPE_CHECKING:
    from streams.app import MarketApp
    from streams.settings import Settings

#: the reasons of a dead letter are one line; what was tried is in `job_attempts`
MAX_DETAIL = 480
QUEUED = "queued in backfill_jobs"


def wants_of(job: BarsFetchJob | QuotesFetchJob) -> Wants:
    """Return what a job accepts."""
    return Wants(job.job_id, job.coverage, job.allow_downgrade, job.provider_hint)


def rules_of(settings: Settings) -> Rules:
    """Return whom to ask, as the settings in force say."""
    return Rules(policies(settings), settings.breaker_trip_failures)


class JobRunner(Service):
    """Runs up to JOBS_IN_FLIGHT jobs at a time."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app for its services."""
        super().__init__(**kw)
        self._app = app
        self._slots = asyncio.Semaphore(app.settings.jobs_in_flight)
        self._under_way: set[asyncio.Task[None]] = set()
        self._meters: defaultdict[TP, PoisonMeter] = defaultdict(lambda: PoisonMeter(app.settings.dlq_limit))

    @property
    def in_flight(self) -> int:
        """Jobs under way."""
        return len(self._under_way)

    async def take(self, event: Single) -> None:
        """Begin with a record; waits while enough are under way.

        Raises:
            PoisonFlood: more poison than the limit allows.
        """
        await self._slots.acquire()
        job = examine_job(event.record.value)
        self._judge(event, job)
        task = asyncio.create_task(self._run(event, job), name=f"job {event.tp}@{event.record.offset}")
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _judge(self, event: Single, job: Job | Poison) -> None:
        meter = self._meters[event.tp]
        meter.limit = self._app.settings.dlq_limit
        verdict = meter.exceeded(1, (0,) if isinstance(job, Poison) else ())
        if verdict is not None:
            raise PoisonFlood(f"{event.tp.topic}[{event.tp.partition}]: {verdict}; the last: {job}")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._slots.release()
        if not task.cancelled() and (exc := task.exception()) is not None:
            # not acknowledged: whoever holds the partition next runs the job again
            self._ending = asyncio.ensure_future(self._app.crash(exc))

    @override
    async def on_stop(self) -> None:
        under_way = tuple(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _run(self, event: Single, job: Job | Poison) -> None:
        if isinstance(job, Poison):
            await self._divert(event, job, "decode")
            self._app.counters.jobs["unknown", "poison"] += 1
        elif isinstance(job, BackfillJob):
            await self._finish(
                event, job, self._result(event, job, "waiting", detail=QUEUED, backfill=_backfill(job))
            )
        else:
            await self._fetch(event, job)
        event.ack()

    async def _fetch(self, event: Single, job: BarsFetchJob | QuotesFetchJob) -> None:
        app, wants = self._app, wants_of(job)
        parts = requests(job)
        if len(parts) > 1:
            why = f"too large to be asked at once: {len(parts)} parts"
            result = self._result(
                event, job, "waiting", detail=why, waiting=job_results.queued(parts, wants, why)
            )
            await self._finish(event, job, result)
            return
        services = app.services
        served = await services.router.serve(
            parts[0], wants, services.provider_table.standings, rules_of(app.settings)
        )
        failed = served.wrong or job_results.never(served.rest)
        waiting = job_results.waiting(served.rest, wants)
        state: JobState = "waiting" if any(not w.heal for w in waiting) else "done"
        result = self._result(
            event,
            job,
            "failed" if failed else state,
            detail=failed or outcome_of(served),
            attempts=job_results.attempts(served.attempts),
            bars=job_results.bars(served.answers, job.interval) if isinstance(job, BarsFetchJob) else (),
            quotes=job_results.quotes(served.answers),
            waiting=waiting,
        )
        await self._finish(event, job, result, failed)

    async def _finish(self, event: Single, job: Job, result: JobResult, failed: str = "") -> None:
        """Dead letter first, then the rows, then (by who called) the acknowledgement."""
        if failed:
            await self._divert(event, Poison(Reason.UNSERVICEABLE, failed[:MAX_DETAIL]), "route")
        try:
            await self._app.services.job_batches.store(result)
        except Poison as poison:  # the database refuses the rows of a vendor
            await self._divert(event, poison, "sink")
            result = self._result(event, job, "failed", detail=str(poison))
            await self._app.services.job_batches.store(result)
        self._app.counters.jobs[job.job_type, result.job.state] += 1

    def _result(
        self, event: Single, job: Job, state: JobState, *, detail: str = "", **what: Any
    ) -> JobResult:
        row = JobRow(
            job_id=job.job_id,
            job_type=job.job_type,
            state=state,
            partition=event.tp.partition,
            offset=event.record.offset,
            submitted_ns=event.record.timestamp * 1_000_000,
            finished_ns=None if state == "waiting" else self._app.clock.now_ns(),
            detail=detail,
            document=event.record.value or b"",
        )
        return JobResult(row, **what)

    async def _divert(self, event: Single, poison: Poison, stage: str) -> None:
        await divert(self._app, event.tp, Diverted(event.record, poison, stage))


def outcome_of(served: Served) -> str:
    """Return one line about what was served: whom there is nothing of, what waits and why."""
    said = []
    if served.empty:
        said.append(f"nothing of {', '.join(served.empty[:20])}")
    said += [f"waits: {rest.why}" for rest in served.rest if not rest.never][:1]
    return "; ".join(said)


def _backfill(job: BackfillJob) -> BackfillRow:
    return BackfillRow(
        request_id=job.job_id,
        tier=job.priority,
        symbol=job.symbol,
        interval=job.interval,
        window_start_ns=job.window.start_ns,
        window_end_ns=job.window.end_ns,
        reason_text=job.reason,
        hint=job.provider_hint,
    )
