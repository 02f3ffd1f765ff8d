"""Sends trades to Kafka as fast as it takes them: batches per partition, in order, each one acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from domain.clock import Clock
from ops.target_topic import partitions_of
from schemas.errors import CommandError, DependencyAway
from schemas.trade import ClockTick, Trade

BATCH_BYTES = 131_072
DELIVERY_MS = 30_000
JSON = ("content-type", b"application/json")
TRADE_HEADERS = [JSON, ("schema", b"trade-tick.v1")]
CLOCK_HEADERS = [JSON, ("schema", b"clock-tick.v1")]


class TickSender:
    """An idempotent producer of one topic; use it as a context manager."""

    def __init__(self, bootstrap: str, topic: str, clock: Clock) -> None:
        """Connect to nothing yet.

        Args:
            bootstrap: `host:port`, by commas.
            topic: physical name.
            clock: for record timestamps (the broker puts its own in their place).
        """
        self.acknowledged = 0
        """Trades that the broker has."""
        self.clocks = 0
        """Clock records handed over, one per partition each time."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._clock = clock
        self._partitions: list[int] = []
        self._targets: dict[str, tuple[bytes, int]] = {}
        self._partitioner = DefaultPartitioner()
        self._open: dict[int, tuple[Any, int]] = {}
        """Partition -> batch that is being filled, trades in it."""
        self._under_way: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> TickSender:
        """Connect, after making sure that the topic is there: sending to an unknown one fails after 40 s.

        Raises:
            DependencyAway: no broker answers.
            CommandError: there is no such topic.
        """
        self._partitions = list(range(await partitions_of(self._bootstrap, self._topic)))
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id="tapeflow-produce",
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=BATCH_BYTES,
            compression_type="lz4",
            request_timeout_ms=DELIVERY_MS,
        )
        try:
            await producer.start()
        except KafkaError as exc:
            await producer.stop()
            raise DependencyAway(f"no broker answers at {self._bootstrap}: {exc}") from None
        self._producer = producer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; what `finish` did not wait for may be lost."""
        producer, self._producer = self._producer, None
        if producer is not None:
            if self._under_way:
                # an idempotent producer gives no batch up, and stop() waits for all of them or for its sender
                producer._sender.sender_task.cancel()  # noqa: SLF001 - there is no other way
            await producer.stop()
            for future in self._under_way.copy():
                future.cancel()

    async def send(self, trades: Iterable[Trade], values: Iterable[bytes]) -> None:
        """Add trades to the batches of their partitions; send those that are full.

        Args:
            trades: in the order in which their partitions shall have them.
            values: the same, encoded.

        Raises:
            DependencyAway: the broker went away for longer than a delivery may take.
            CommandError: the broker refused a record.
        """
        now_ms = self._clock.now_ns() // 1_000_000
        targets = self._targets
        for trade, value in zip(trades, values, strict=True):
            key, partition = targets.get(trade.symbol) or self._target(trade.symbol)
            await self._add(partition, key, value, now_ms, TRADE_HEADERS, trades=1)

    async def send_clock(self, tick: ClockTick) -> None:
        """Add a clock record behind everything sent so far, in every partition."""
        now_ms = self._clock.now_ns() // 1_000_000
        value = tick.model_dump_json().encode()
        for partition in self._partitions:
            await self._add(partition, None, value, now_ms, CLOCK_HEADERS, trades=0)
        self.clocks += 1
        await self.flush()

    async def flush(self) -> None:
        """Send what is in the batches, full or not."""
        for partition in list(self._open):
            await self._hand_over(partition)

    async def finish(self) -> None:
        """Send everything and wait until the broker has it.

        Raises:
            DependencyAway: it did not take everything in time.
            CommandError: it refused a record.
        """
        await self.flush()
        while self._under_way:
            done, _ = await asyncio.wait(
                self._under_way, timeout=DELIVERY_MS / 1000, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._failure = self._failure or KafkaTimeoutError()
                break
        self._check()

    def _target(self, symbol: str) -> tuple[bytes, int]:
        key = symbol.encode()
        partition = self._partitioner(key, self._partitions, self._partitions)
        target = self._targets[symbol] = (key, partition)
        return target

    async def _add(
        self,
        partition: int,
        key: bytes | None,
        value: bytes,
        now_ms: int,
        headers: list[tuple[str, bytes]],
        *,
        trades: int,
    ) -> None:
        assert self._producer is not None, "used inside the context"
        batch, held = self._open.get(partition) or (self._producer.create_batch(), 0)
        if batch.append(key=key, value=value, timestamp=now_ms, headers=headers) is None:
            await self._hand_over(partition)
            batch, held = self._producer.create_batch(), 0
            batch.append(key=key, value=value, timestamp=now_ms, headers=headers)
        self._open[partition] = (batch, held + trades)

    async def _hand_over(self, partition: int) -> None:
        """Send one batch: waits until the one before it in the partition is on its way."""
        assert self._producer is not None, "used inside the context"
        self._check()
        batch, held = self._open.pop(partition)
        batch.close()
        try:
            future = await self._producer.send_batch(batch, self._topic, partition=partition)
        except KafkaError as exc:
            self._failure = exc
            self._check()
            return

        def settled(done: asyncio.Future[Any]) -> None:
            self._under_way.discard(done)
            if done.cancelled():
                return
            if (error := done.exception()) is None:
                self.acknowledged += held
            else:
                self._failure = self._failure or error

        self._under_way.add(future)
        future.add_done_callback(settled)

    def _check(self) -> None:
        error = self._failure
        if error is None:
            return
        if isinstance(error, KafkaError) and not (error.retriable or isinstance(error, KafkaTimeoutError)):
            raise CommandError(f"the broker refused a record: {error!r}; {self.acknowledged} acknowledged")
        raise DependencyAway(
            f"the broker was away for {DELIVERY_MS // 1000} s; {self.acknowledged} trades acknowledged"
        )
