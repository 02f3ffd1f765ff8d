"""Results of jobs to the database: many in one transaction, as one commit costs as much as a hundred rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from mode import Service

from schemas.errors import DatabaseRefused, Poison
from sinks import job_results
from sinks.job_results import JobResult

if TYPE_CHECKING:
    from streams.app import MarketApp

#: a job waits so long for others to be stored with it
GATHER_S = 0.01
MAX_JOBS = 128
MAX_ROWS = 50_000


@dataclass(slots=True)
class _Entry:
    result: JobResult
    stored: asyncio.Future[None]


class JobBatches(Service):
    """Coalesces what jobs leave; the bound of its queue is the number of jobs in flight."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app for its settings and its database of jobs."""
        super().__init__(**kw)
        self._app = app
        self._queue: asyncio.Queue[_Entry] = asyncio.Queue()

    async def store(self, result: JobResult) -> None:
        """Return when it is committed.

        Raises:
            Poison: the database refuses rows of it; nothing of it was stored.
        """
        entry = _Entry(result, asyncio.get_running_loop().create_future())
        await self._queue.put(entry)
        await entry.stored

    @Service.task
    async def _flusher(self) -> None:
        while not self.should_stop:
            entries = await self._collect()
            try:
                await self._store(entries)
            finally:
                # the worker ends: whoever waits must not wait for ever
                for entry in entries:
                    entry.stored.cancel()

    async def _collect(self) -> list[_Entry]:
        clock = self._app.clock
        entries = [await self._queue.get()]
        rows = entries[0].result.rows
        deadline = clock.monotonic() + GATHER_S
        while len(entries) < MAX_JOBS and rows < MAX_ROWS:
            try:
                entry = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                left = deadline - clock.monotonic()
                if left <= 0:
                    break
                try:
                    entry = await asyncio.wait_for(self._queue.get(), left)
                except TimeoutError:
                    break
            entries.append(entry)
            rows += entry.result.rows
        return entries

    async def _store(self, entries: Sequence[_Entry]) -> None:
        """Store all that the database takes.

        Raises:
            Fatal: see `Database.patiently`.
        """
        app = self._app
        database, settings = app.services.jobs_database, app.settings
        budget, places = settings.database_budget_s, settings.provider_rank
        results = [entry.result for entry in entries]
        try:
            await database.patiently(budget, job_results.store, results, places)
        except psycopg.Error as exc:  # of class 22 or 23: the database refuses a row
            refused = await database.patiently(budget, job_results.refused, results, places)
            if not refused:
                raise DatabaseRefused(f"the database refused a batch, but none of its jobs: {exc}") from exc
            bad = {id(result): Poison(reason, detail) for result, reason, detail in refused}
            good = [result for result in results if id(result) not in bad]
            if good:
                await database.patiently(budget, job_results.store, good, places)
            for entry in entries:
                if (poison := bad.get(id(entry.result))) is not None and not entry.stored.done():
                    entry.stored.set_exception(poison)
        for entry in entries:
            if not entry.stored.done():
                entry.stored.set_result(None)
