"""``md.provider-outcomes.v1`` -> ``md.provider-health.v1``; poison -> ``md.dlq.v1``."""

from __future__ import annotations

from typing import Any

import mode

from schemas.topics import PROVIDER_OUTCOMES
from streams import guard
from streams.app import app


@app.agent(app.topic(app.settings.topic(PROVIDER_OUTCOMES)), supervisor_strategy=mode.CrashingSupervisor)
async def keep_health(stream: Any) -> None:
    """Fold outcomes; each is acknowledged once it is in a record of the table."""
    async for event in guard.events(app, stream):
        await app.services.health_keeper.take(event)
