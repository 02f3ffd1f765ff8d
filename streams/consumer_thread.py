"""The consumer's thread: fetch settings that Faust hard-codes, questions about many partitions at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.transport.drivers import aiokafka as driver
from faust.transport.drivers.aiokafka import ensure_aiokafka_TP
from faust.types import TP
from typing_extensions import override

from streams import raw_records
from streams.setting_fields import FETCH_MIN_BYTES

if TYPE_CHECKING:
    from streams.chunked_app import ChunkedApp


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread, with the fetch settings, and one seek for many partitions."""

    @override
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        app = cast("ChunkedApp", self.app)
        # before start(), which builds the fetcher from these two; Faust has 1500 ms and 1 byte
        consumer._fetch_max_wait_ms = app.settings.fetch_max_wait_ms
        consumer._fetch_min_bytes = FETCH_MIN_BYTES
        raw_records.install(app.chunk_topics.keys())
        return consumer

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        """Seek, in the consumer's own thread.

        Raises:
            IllegalStateError: for a partition that is no longer ours.
        """
        consumer = self._ensure_consumer()
        for tp, offset in positions.items():
            consumer.seek(ensure_aiokafka_TP(tp), offset)

    async def bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """Return beginning and end of each partition's log."""
        consumer = self._ensure_consumer()
        wanted = [ensure_aiokafka_TP(tp) for tp in tps]
        begin = await consumer.beginning_offsets(wanted)
        end = await consumer.end_offsets(wanted)
        return {TP(tp.topic, tp.partition): (begin[tp], end[tp]) for tp in wanted}

    async def committed_in_kafka(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """Return the group's offset of each partition, None if it has none."""
        consumer = self._ensure_consumer()
        return {tp: await consumer.committed(ensure_aiokafka_TP(tp)) for tp in tps}
