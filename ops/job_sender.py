"""Sends jobs to Kafka, keyed by their ids, and says where each one is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ops.target_topic import partitions_of
from schemas.errors import CommandError, DependencyAway
from schemas.export import schema_name
from schemas.jobs import Job, encode_job
from schemas.topics import JOBS

DELIVERY_S = 30.0
JSON = ("content-type", b"application/json")
#: jobs that are on their way at a time
BATCH = 500


class Sent(NamedTuple):
    """A job that the broker has."""

    job_id: str
    topic: str
    partition: int
    offset: int


class JobSender:
    """An idempotent producer of jobs; use it as a context manager."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        """Connect to nothing yet.

        Args:
            bootstrap: `host:port`, by commas.
            topic: physical name.
        """
        self.sent = 0
        """Jobs that the broker has."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> JobSender:
        """Connect, after making sure that the topic is there: sending to an unknown one fails late.

        Raises:
            DependencyAway: no broker answers.
            CommandError: there is no such topic.
        """
        await partitions_of(self._bootstrap, self._topic)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id="tapeflow-produce",
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=int(DELIVERY_S * 1000),
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
        """Disconnect; what was not acknowledged may be lost."""
        producer, self._producer = self._producer, None
        if producer is not None:
            if kind is not None:
                # an idempotent producer gives no batch up, and stop() waits for all of them or for its sender
                producer._sender.sender_task.cancel()  # noqa: SLF001 - there is no other way
            await producer.stop()

    async def send(self, jobs: Sequence[Job]) -> list[Sent]:
        """Send jobs and return when the broker has them all, in their order.

        Raises:
            DependencyAway: it did not take them in time.
            CommandError: it refused one.
        """
        sent: list[Sent] = []
        for at in range(0, len(jobs), BATCH):
            try:
                async with asyncio.timeout(DELIVERY_S):
                    sent += await self._deliver(jobs[at : at + BATCH])
            except TimeoutError:
                raise DependencyAway(
                    f"the broker was away for {DELIVERY_S:.0f} s; {self.sent} jobs acknowledged"
                ) from None
            except KafkaError as exc:
                if exc.retriable:
                    raise DependencyAway(f"the broker: {exc!r}; {self.sent} jobs acknowledged") from None
                raise CommandError(f"the broker refused a job: {exc!r}; {self.sent} acknowledged") from None
        return sent

    async def _deliver(self, jobs: Sequence[Job]) -> list[Sent]:
        producer = self._producer
        assert producer is not None, "used inside the context"
        futures = [
            await producer.send(
                self._topic,
                encode_job(job),
                key=job.job_id.encode(),
                headers=[JSON, ("schema", schema_name(JOBS, type(job)).encode())],
            )
            for job in jobs
        ]
        places = await asyncio.gather(*futures)
        self.sent += len(places)
        return [
            Sent(job.job_id, place.topic, place.partition, place.offset)
            for job, place in zip(jobs, places, strict=True)
        ]
