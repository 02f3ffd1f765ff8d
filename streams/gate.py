"""Nothing is joined before everything is there: broker, topics, database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mode import Service
from typing_extensions import override

from schemas.errors import BrokerAway, DatabaseAway, Fatal
from sinks import candles, job_results, quotes
from sinks.database import Connection
from streams import topics
from streams.status import Phase

if TYPE_CHECKING:
    from streams.app import MarketApp

RETRY_S = 1.0


class Gate(Service):
    """Waits, for as long as it takes: a worker that is not in the group holds nobody up."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app to open."""
        super().__init__(**kw)
        self._app = app
        self.phase: Phase = "starting"
        self.detail = ""

    @override
    async def on_start(self) -> None:
        try:
            await self._open()
        except Fatal as exc:
            await self._app.crash(exc)
            raise

    async def _open(self) -> None:
        app = self._app
        while not self.should_stop:
            try:
                cluster = await topics.describe(app.settings.kafka_bootstrap_servers)
                topics.require(
                    cluster, prefix=app.settings.topic_prefix, partitions=app.settings.topic_partitions
                )
                app.services.join(cluster.id)
                await app.services.database.attempt(_probe)
            except BrokerAway as exc:
                self._wait_in("waiting_for_broker", str(exc))
            except DatabaseAway as exc:
                self._wait_in("waiting_for_database", str(exc))
            else:
                self.phase, self.detail = "starting", "joining the group"
                return
            await self.sleep(RETRY_S)

    def _wait_in(self, phase: Phase, detail: str) -> None:
        if (phase, detail) != (self.phase, self.detail):
            self.log.warning("%s: %s", phase.replace("_", " "), detail)
        self.phase, self.detail = phase, detail


def _probe(connection: Connection) -> None:
    """Ask the database, and make sure that its tables are there."""
    connection.execute(candles.PROBE)
    connection.execute(quotes.PROBE)
    connection.execute(job_results.PROBE)
    connection.commit()
