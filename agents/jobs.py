"""``md.jobs.v1`` -> vendors -> ``candles_intraday``, ``quotes_l1``, ``jobs``; poison -> ``md.dlq.v1``."""

from __future__ import annotations

from typing import Any

import mode

from schemas.topics import JOBS
from streams import guard
from streams.app import app


@app.agent(app.topic(app.settings.topic(JOBS)), supervisor_strategy=mode.CrashingSupervisor)
async def run_jobs(stream: Any) -> None:
    """Run jobs, many at a time; each is acknowledged once everything of it is stored."""
    async for event in guard.events(app, stream):
        await app.services.job_runner.take(event)
