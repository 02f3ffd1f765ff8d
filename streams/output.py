"""One idempotent producer for everything a worker publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from mode import Service
from typing_extensions import override

from domain.clock import Clock
from schemas.errors import BrokerAway, Fatal, OutageOutlasted
from schemas.topics import DLQ_MAX_BYTES

#: key, value, headers
Message = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
#: (topic, partition)
Target = tuple[str, int]

BATCH_BYTES = 131_072
#: the budget is counted in these: a process that was stopped for long has waited for one of them
STEP_S = 1.0
#: aiokafka asks for metadata in a tight loop when the last broker has gone: one core, 4,000 log lines/s
METADATA_PACE_S = 0.1


class Output(Service):
    """Delivers batches, and says how long it has been waiting for the broker."""

    def __init__(
        self, bootstrap_servers: str, client_id: str, budget_s: float, clock: Clock, **kw: Any
    ) -> None:
        """Take where to deliver to.

        Args:
            bootstrap_servers: `host:port`, by commas.
            client_id: as the broker's logs show it.
            budget_s: how long a batch may wait for the broker before the worker gives up.
            clock: for `waiting_s`.
            kw: as for every mode service.
        """
        super().__init__(**kw)
        self._options = {
            "bootstrap_servers": bootstrap_servers,
            "client_id": client_id,
            "request_timeout_ms": int(budget_s * 1000),
        }
        self._budget_s = budget_s
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None
        self._waiting_since: float | None = None
        self._given_up: set[asyncio.Future[Any]] = set()
        self.last_success: float | None = None

    @property
    def waiting_s(self) -> float:
        """Seconds that the delivery under way has taken; 0 without one."""
        return 0.0 if self._waiting_since is None else self._clock.monotonic() - self._waiting_since

    @override
    async def on_start(self) -> None:
        self._producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * DLQ_MAX_BYTES,
            # lz4 is asked for at its highest level by aiokafka: ten times the CPU, and twice the bytes
            compression_type="zstd",
        )
        pace_metadata(self._producer.client)
        await self._producer.start()

    @override
    async def on_stop(self) -> None:
        if self._producer is not None:
            if self._given_up:
                # an idempotent producer gives no batch up, and stop() waits for all of them or for its sender
                self._producer._sender.sender_task.cancel()  # noqa: SLF001 - there is no other way
            await self._producer.stop()
            for future in self._given_up:
                future.cancel()

    async def deliver(self, messages: Mapping[Target, Iterable[Message]]) -> None:
        """Send, and wait until the broker has everything.

        Raises:
            OutageOutlasted: the broker did not take it within the budget.
            Fatal: the broker refused it.
        """
        self._waiting_since = self._clock.monotonic()
        try:
            futures = [f for target, items in messages.items() for f in await self._send(target, items)]
            await self._settle(futures)
        except KafkaError as exc:
            # a timeout is not retriable by aiokafka's book
            if exc.retriable or isinstance(exc, KafkaTimeoutError):
                raise OutageOutlasted(f"the broker was away for {self._budget_s:.0f} s: {exc!r}") from exc
            raise Fatal(f"the broker refused our records: {exc!r}") from exc
        finally:
            self._waiting_since = None
        self.last_success = self._clock.monotonic()

    async def publish(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> int:
        """Send one record, wait for the broker, return its offset.

        Raises:
            BrokerAway: it does not take it now.
            Fatal: it refused it.
        """
        producer = self._producer
        assert producer is not None, "started before it is used"
        try:
            metadata = await producer.send_and_wait(topic, value, key, partition, headers=headers)
        except KafkaError as exc:
            if exc.retriable or isinstance(exc, KafkaTimeoutError):
                raise BrokerAway(f"the broker does not take records of {topic}: {exc!r}") from exc
            raise Fatal(f"the broker refused a record of {topic}: {exc!r}") from exc
        return int(metadata.offset)

    async def _settle(self, futures: list[asyncio.Future[Any]]) -> None:
        if not futures:
            return
        # the limit is ours: an idempotent producer would try for ever
        pending, left = set(futures), self._budget_s
        while pending and left > 0:
            step = min(left, STEP_S)
            done, pending = await asyncio.wait(pending, timeout=step, return_when=asyncio.FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                self._given_up |= pending
            for future in done:
                future.result()
            left -= step
        if pending:
            self._given_up |= pending
            raise KafkaTimeoutError

    async def _send(self, target: Target, items: Iterable[Message]) -> list[asyncio.Future[Any]]:
        """Send as closed batches, which go at once instead of waiting for the linger."""
        producer = self._producer
        assert producer is not None, "started before it is used"
        topic, partition = target
        now_ms = self._clock.now_ns() // 1_000_000
        futures: list[asyncio.Future[Any]] = []
        batch = producer.create_batch()
        for key, value, headers in items:
            if batch.append(key=key, value=value, timestamp=now_ms, headers=headers) is None:
                batch.close()
                futures.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=now_ms, headers=headers)
        if batch.record_count():
            batch.close()
            futures.append(await producer.send_batch(batch, topic, partition=partition))
        return futures


def pace_metadata(client: Any) -> None:
    """Keep a client of aiokafka from asking for metadata in a tight loop."""
    force = client.force_metadata_update

    async def later(update: asyncio.Future[Any]) -> Any:
        await asyncio.sleep(METADATA_PACE_S)
        return await update

    client.force_metadata_update = lambda: asyncio.ensure_future(later(force()))
