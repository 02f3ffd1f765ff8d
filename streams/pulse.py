"""Once a second: counts for the rates, ends of partitions, reachability; and the watchdog's facts."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service

from domain.liveness import Progress
from schemas.errors import DatabaseAway
from sinks.database import Connection
from streams.status import Rates

if TYPE_CHECKING:
    from streams.app import MarketApp

PERIOD_S = 1.0
#: rates are averages over so many periods
WINDOW = 10
#: the database and the ends of partitions are asked for when nothing else has told us for so long
QUIET_S = 3.0
ANSWER_S = 3.0


class Sample(NamedTuple):
    """Counters at one moment."""

    at: float
    records_in: int
    stored: int
    dead_lettered: int


class Pulse(Service):
    """The worker's own view of how it is doing."""

    def __init__(self, app: MarketApp, **kw: Any) -> None:
        """Take the app to watch."""
        super().__init__(**kw)
        self._app = app
        now = app.clock.monotonic()
        self._samples: deque[Sample] = deque([Sample(now, 0, 0, 0)], WINDOW + 1)
        self.heartbeat = now
        """Monotonic seconds when the event loop last turned."""
        self.excused_at = now
        """Monotonic seconds when an outage, a rebalance or the start was last under way."""
        self.dealt_at = now
        """Monotonic seconds when the group was last not dealing partitions."""
        self.ends: dict[TP, int] = {}
        self.committed: dict[TP, int | None] = {}
        self.broker_up = False
        self.broker_since = now
        self.broker_detail = "not asked yet"
        self.broker_success: float | None = None
        self._asked_at = 0.0

    @Service.task
    async def _beat(self) -> None:
        app = self._app
        while not self.should_stop:
            now = self.heartbeat = app.clock.monotonic()
            counters = app.counters
            self._samples.append(Sample(now, counters.records_in, counters.stored, counters.dead_lettered))
            phase = app.services.phase()
            if phase != "running":
                self.excused_at = now
            if phase not in ("starting", "rebalancing"):
                self.dealt_at = now
            await self.sleep(PERIOD_S)

    @Service.task
    async def _ask(self) -> None:
        app = self._app
        while not self.should_stop:
            await self._ask_broker()
            last = app.services.database.reachability.last_success
            if last is None or app.clock.monotonic() - last > QUIET_S:
                await self._ask_database()
            await self.sleep(QUIET_S)

    async def _ask_broker(self) -> None:
        app = self._app
        if app.services.phase() == "starting":
            return
        # a copy: a rebalance changes the tenures while the consumer's thread asks
        ours = set(app.tenures)
        # one that stands by wants to know, too, whether the broker is there
        tps = ours or {TP(topic, 0) for topic in app.chunk_topics}
        try:
            # from the broker, not from the fetcher: a fetcher that hangs would report no lag
            async with asyncio.timeout(ANSWER_S):
                bounds = await app.chunk_consumer.bounds(tps)
                self.committed = await app.chunk_consumer.committed_in_kafka(ours)
        except (KafkaError, TimeoutError) as exc:
            self._met_broker(up=False, detail=f"the broker does not answer: {exc!r}")
        else:
            self.ends = {tp: end for tp, (_, end) in bounds.items()}
            self._met_broker(up=True)

    def _met_broker(self, *, up: bool, detail: str = "") -> None:
        now = self._app.clock.monotonic()
        if up != self.broker_up:
            self.broker_up, self.broker_since = up, now
        self.broker_detail = detail
        if up:
            self.broker_success = now
        else:
            self._app.counters.broker_retries += 1

    async def _ask_database(self) -> None:
        try:
            await self._app.services.database.attempt(_select_one)
        except DatabaseAway as exc:
            self.log.debug("database: %s", exc)  # noted in its reachability

    def rates(self) -> Rates:
        """Return records per second over the window."""
        first, last = self._samples[0], self._samples[-1]
        seconds = max(last.at - first.at, PERIOD_S)
        return Rates(
            (last.records_in - first.records_in) / seconds,
            (last.stored - first.stored) / seconds,
            (last.dead_lettered - first.dead_lettered) / seconds,
        )

    def end(self, tp: TP) -> int | None:
        """Return the end of a partition, as of the last fetch or question."""
        asked, fetched = self.ends.get(tp), self._app.chunk_consumer.fetched_end(tp)
        return max(asked or 0, fetched or 0) if asked or fetched else asked

    def progress(self) -> list[Progress]:
        """Return how each partition stands, for the watchdog."""
        return [
            Progress(f"{tp.topic}[{tp.partition}]", max(0, (self.end(tp) or 0) - t.stored), t.moved_at)
            for tp, t in list(self._app.tenures.items())
        ]


def _select_one(connection: Connection) -> None:
    connection.execute("select 1")
    connection.commit()
