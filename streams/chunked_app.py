"""A Faust app with chunk topics: what the transport asks of an app, and nothing of tapeflow's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import faust
from faust.types import TP, TopicT

import streams.transport  # noqa: F401 - registers the chunked:// transport
from domain.clock import Clock, SystemClock
from schemas.errors import TapeflowError
from streams.chunk_queue import ChunkQueue, ChunkTopic
from streams.chunks import ChunkSchema
from streams.positions import Restore
from streams.settings import InForce, Settings
from streams.status import Counters
from streams.tenure import Tenure
from streams.transport import ChunkConsumer


class ChunkedApp(faust.App):
    """Give it a ``chunked://`` broker URL."""

    def __init__(self, *args: Any, in_force: InForce, **options: Any) -> None:
        """Take the settings in force and what `faust.App` takes."""
        self.in_force = in_force
        self.clock: Clock = SystemClock()
        self.counters = Counters()
        self.chunk_topics: dict[str, Restore] = {}
        self._chunk_topics: dict[str, ChunkTopic] = {}
        super().__init__(*args, **options)

    @property
    def settings(self) -> Settings:
        """The settings in force: read it once for all that belongs together."""
        return self.in_force.settings

    @property
    def chunk_consumer(self) -> ChunkConsumer:
        """The consumer, as the class that it is."""
        return cast(ChunkConsumer, self.consumer)

    @property
    def tenures(self) -> dict[TP, Tenure]:
        """The current tenure of each partition of a chunk topic."""
        return self.chunk_consumer.tenures

    def chunk_topic(self, name: str, *, restore: Restore, max_records: int) -> TopicT:
        """Return a topic whose agent receives slices of raw records.

        Args:
            name: physical name.
            restore: makes the fold's state from what the database holds.
            max_records: bound of the queue before the agent.
        """
        self.chunk_topics[name] = restore
        topic = self._chunk_topics[name] = ChunkTopic(
            self,
            topics=(name,),
            schema=ChunkSchema(),
            queue=ChunkQueue(max_records, self.flow_control),
            allow_empty=False,
        )
        return topic

    def has_room(self, name: str) -> bool:
        """Return whether the agent of a chunk topic can be handed another slice without waiting for it."""
        return self._chunk_topics[name].has_room

    async def load_tenures(
        self, bounds: Mapping[TP, tuple[int, int]], former: Mapping[TP, Tenure]
    ) -> dict[TP, Tenure]:
        """Return where to go on in each partition; crash the worker if that cannot be said.

        Crash rather than raise alone: Faust's recovery ends silently when a seek fails, and the worker
        would hold its partitions and read nothing.
        """
        try:
            return await self.positions(bounds, former)
        except TapeflowError as exc:
            await self.crash(exc)
            raise

    async def positions(
        self, bounds: Mapping[TP, tuple[int, int]], former: Mapping[TP, Tenure]
    ) -> dict[TP, Tenure]:
        """Ask whoever keeps the positions."""
        raise NotImplementedError
