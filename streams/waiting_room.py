"""What could not be served when its job came: asked again once somebody can, by whichever worker is free."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mode import Service

from providers.base import BarsRequest
from providers.serving import Wants
from schemas.errors import DatabaseAway, Poison
from sinks import jobs, waiting
from sinks.job_results import JobResult, JobRow, WaitingRow
from sinks.waiting import Leased
from streams import job_results
from streams.job_requests import from_json
from streams.job_runner import outcome_of, rules_of

if TYPE_CHECKING:
    from streams.app import MarketApp

#: the table is looked at so often, and at once when the provider table has changed
PERIOD_S = 2.0
COUNT_S = 5.0
#: what became of a job is known for so long
KEPT_DAYS = 30
PURGE_S = 600.0
#: jobs that come now go first: so many of those that wait are under way at a time
AT_ONCE = 8
#: what nobody can serve now is not looked at again before
AGAIN_NS = 5_000_000_000


class WaitingRoom(Service):
    """Takes what waits in small numbers, so that jobs that come now are not held up."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app for its services."""
        super().__init__(**kw)
        self._app = app
        self._count_due = 0.0
        self._purge_due = app.clock.monotonic() + PURGE_S
        self.counts: dict[str, int] | None = None
        """Requests that wait in the whole fleet, as of the last look; None before it."""

    @Service.task
    async def _serve(self) -> None:
        table = self._app.services.provider_table
        while not self.should_stop:
            version = table.version
            try:
                await self._count()
                found = await self._some()
            except DatabaseAway as exc:
                self.log.debug("waiting_requests: %s", exc)  # noted in its reachability
                found = 0
            if found < AT_ONCE:
                await self._pause(version)

    async def _pause(self, version: int) -> None:
        """Wait for the period, or for a change of the provider table."""
        change = asyncio.ensure_future(self._app.services.provider_table.wait_for_change(version))
        try:
            await self.wait(change, timeout=PERIOD_S)
        finally:
            change.cancel()

    async def _count(self) -> None:
        now = self._app.clock.monotonic()
        if now >= self._purge_due:
            await self._app.services.jobs_database.attempt(jobs.purge, KEPT_DAYS)
            self._purge_due = now + PURGE_S
        if now >= self._count_due:
            self.counts = await self._app.services.jobs_database.attempt(waiting.counts)
            self._count_due = now + COUNT_S

    async def _some(self) -> int:
        """Serve some of what waits; return how many were there."""
        app = self._app
        leased = await app.services.jobs_database.attempt(
            waiting.lease, app.worker_id, AT_ONCE, app.clock.now_ns()
        )
        await asyncio.gather(*map(self._one, leased))
        return len(leased)

    async def _one(self, leased: Leased) -> None:
        app, services = self._app, self._app.services
        request = from_json(leased.request)
        wants = Wants(leased.job_id, leased.coverage, leased.allow_downgrade, leased.hint)
        rules = rules_of(app.settings)
        decision = services.router.decide(request, wants, services.provider_table.standings(), rules)
        if not decision.order and not decision.never:
            # nobody is asked, so nothing is written but when to look again
            await self._release(leased, decision.explain())
            return
        served = await services.router.serve(request, wants, services.provider_table.standings, rules)
        failed = served.wrong or job_results.never(served.rest)
        again = [] if failed else job_results.waiting(served.rest, wants)
        if leased.heal:
            again = [_healing(row) for row in again]
        job = JobRow(
            job_id=leased.job_id,
            job_type=leased.job_type,
            state="failed" if failed else "done",
            partition=leased.partition,
            offset=leased.offset,
            submitted_ns=leased.submitted_ns,
            finished_ns=app.clock.now_ns(),
            detail=failed or outcome_of(served),
            document=b"",
        )
        result = JobResult(
            job,
            attempts=job_results.attempts(served.attempts),
            bars=job_results.bars(served.answers, request.interval)
            if isinstance(request, BarsRequest)
            else (),
            quotes=job_results.quotes(served.answers),
            waiting=again,
            voids=job_results.healed(request, served) if leased.heal and not again else (),
            finishes=leased.waiting_id,
        )
        try:
            await services.job_batches.store(result)
        except Poison as poison:  # the database refuses the rows of a vendor
            self.log.warning("job %s: %s", leased.job_id, poison)
            await self._release(leased, str(poison))
            return

    async def _release(self, leased: Leased, why: str) -> None:
        app = self._app
        await app.services.jobs_database.attempt(
            waiting.release, app.worker_id, [leased.waiting_id], app.clock.now_ns() + AGAIN_NS, why
        )


def _healing(row: WaitingRow) -> WaitingRow:
    """Return a row that still heals: the lesser rows are there, whatever is asked again."""
    return WaitingRow(
        request=row.request,
        why=row.why,
        heal=True,
        coverage=row.coverage,
        allow_downgrade=False,
        hint=row.hint,
        not_before_ns=row.not_before_ns,
    )
