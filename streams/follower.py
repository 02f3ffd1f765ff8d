"""A compacted topic of one partition, followed in full by every worker: what they all know alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service
from typing_extensions import override

from streams.output import pace_metadata

#: how long the broker may take for the whole topic, or to say where it ends
ANSWER_S = 10.0
POLL_MS = 1_000
#: a question to the broker waits behind the fetch that is under way
FETCH_MS = 200
RETRY_S = 1.0


class Follower(Service):
    """Reads the topic to its end when it starts, and then whatever comes, each record once and in order."""

    def __init__(self, bootstrap_servers: str, client_id: str, topic: str, what: str, **kw: Any) -> None:
        """Take what to follow.

        Args:
            bootstrap_servers: `host:port`, by commas.
            client_id: as the broker's logs show it.
            topic: physical name; only its partition 0 is read.
            what: it is about, for the log.
            kw: as for every mode service.
        """
        super().__init__(**kw)
        self._options = {"bootstrap_servers": bootstrap_servers, "client_id": client_id}
        self._tp = TopicPartition(topic, 0)
        self._what = what
        self._consumer: AIOKafkaConsumer | None = None
        self._moved = asyncio.Condition()
        self.read = 0
        """Records of the topic up to here have been taken."""

    async def take(self, records: Sequence[ConsumerRecord], *, live: bool) -> None:
        """Take records; must be given by the subclass.

        Args:
            records: at least one, in order.
            live: they came after the start; others were there before.
        """
        raise NotImplementedError

    async def until_read(self, offset: int) -> None:
        """Return when everything up to ``offset`` has been taken."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.read >= offset)

    async def catch_up(self) -> None:
        """Return when everything that is in the topic now has been taken.

        Raises:
            TimeoutError: the broker did not say where it ends, or what is in it.
            KafkaError: the broker cannot be asked.
        """
        assert self._consumer is not None, "started before it is used"
        async with asyncio.timeout(ANSWER_S):
            end = (await self._consumer.end_offsets([self._tp]))[self._tp]
            await self.until_read(end)

    @override
    async def on_start(self) -> None:
        """Read the topic to its end."""
        while not self.should_stop:
            consumer = AIOKafkaConsumer(
                **self._options,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_MS,
            )
            pace_metadata(consumer._client)  # noqa: SLF001 - there is no other way
            try:
                async with asyncio.timeout(ANSWER_S):
                    await consumer.start()
                    await self._read_all(consumer)
            except (KafkaError, TimeoutError) as exc:
                await consumer.stop()
                self.log.warning("%s cannot be read yet: %r", self._what, exc)
                await self.sleep(RETRY_S)
            else:
                self._consumer = consumer
                return

    async def _read_all(self, consumer: AIOKafkaConsumer) -> None:
        end = (await consumer.end_offsets([self._tp]))[self._tp]
        consumer.assign([self._tp])
        await consumer.seek_to_beginning(self._tp)
        records: list[ConsumerRecord] = []
        while await consumer.position(self._tp) < end:
            for batch in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                records += batch
        if records:
            await self.take(records, live=False)
        await self._reached(await consumer.position(self._tp))

    @override
    async def on_stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    @Service.task
    async def _follow(self) -> None:
        consumer = self._consumer
        if consumer is None:  # told to stop before the broker was there
            return
        while not self.should_stop:
            try:
                batches = await consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError as exc:
                self.log.warning("%s cannot be read: %r", self._what, exc)
                await self.sleep(RETRY_S)
                continue
            for batch in batches.values():
                await self.take(batch, live=True)
            # not the last record's: compaction may have left nothing behind it
            await self._reached(await consumer.position(self._tp))

    async def _reached(self, position: int) -> None:
        if position != self.read:
            async with self._moved:
                self.read = position
                self._moved.notify_all()
